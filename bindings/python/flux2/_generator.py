"""Where noise comes from."""

from __future__ import annotations

import operator
import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _flux2
from ._arrays import torch_module

_BITS = 64
_DEFAULT_SEED = 67280421310721  # torch's


class Generator:
    """Stands in for `torch.Generator` and gives the same numbers, without torch.

    `Generator(42)`, or as torch has it `Generator("cpu").manual_seed(42)`. As in torch a second
    call goes on where the first one stopped. With "cuda" the numbers are those of a CUDA generator,
    which depend on the card.

    :param seed_or_device: a seed, or "cpu" or "cuda"
    :param device: "cpu" or "cuda"
    :param card: for "cuda": a known card, or "SMSxTHREADS"
    """

    def __init__(
        self, seed_or_device: int | str | None = None, device: str = "cpu", *, card: str = "h100"
    ) -> None:
        seed = None if isinstance(seed_or_device, str) else seed_or_device
        if isinstance(seed_or_device, str):
            device = seed_or_device
        if device not in ("cpu", "cuda"):
            raise ValueError(f'the device of a generator is "cpu" or "cuda", not {device!r}')
        self.device = device
        self.card = card
        self.manual_seed(_DEFAULT_SEED if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Starts again from `seed`, a whole number of at most 64 bits; negative ones wrap, as in
        torch."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise TypeError(f"a seed is a whole number, not {type(seed).__name__}")
        seed = operator.index(seed)
        if not -(2 ** (_BITS - 1)) <= seed < 2**_BITS:
            raise ValueError(f"seed {seed} has more than {_BITS} bits")
        self._seed = seed % 2**_BITS
        self._engine = _flux2.NoiseGenerator(self._seed)
        self._fresh = True
        return self

    def seed(self) -> int:
        """Starts again from a random seed, and returns it."""
        return self.manual_seed(secrets.randbits(53)).initial_seed()

    def initial_seed(self) -> int:
        """The seed that it started from."""
        return self._seed

    def randn(self, shape: tuple[int, ...], *, bf16: bool = False) -> np.ndarray:
        """Standard normal numbers: the next that `torch.randn` would draw, as float32; with `bf16`
        those it draws for bfloat16."""
        if self.device != "cpu":
            raise ValueError("the numbers of a CUDA generator can be drawn once a seed, by a call")
        self._fresh = False
        dtype = _flux2.NoiseDType.bf16 if bf16 else _flux2.NoiseDType.f32
        return self._engine.randn(list(shape), dtype).numpy()

    def __repr__(self) -> str:
        return f"flux2.Generator({self._seed}, device={self.device!r})"


@dataclass
class _Source:
    """One generator of the caller's, its own or torch's."""

    generator: Any

    @property
    def own(self) -> bool:
        return isinstance(self.generator, Generator)

    @property
    def cuda(self) -> bool:
        return self.own and self.generator.device == "cuda"

    @property
    def seed(self) -> int:
        return self.generator.initial_seed()

    @property
    def fresh(self) -> bool:
        """Whether nothing has been drawn from it since it was seeded."""
        if self.own:
            return self.generator._fresh
        torch = torch_module()
        start = torch.Generator().manual_seed(self.seed).get_state()
        return bool(torch.equal(self.generator.get_state(), start))

    def randn(self, shape: tuple[int, ...], bf16: bool) -> np.ndarray:
        if self.own:
            return self.generator.randn(shape, bf16=bf16)
        torch = torch_module()
        dtype = torch.bfloat16 if bf16 else torch.float32
        return torch.randn(shape, generator=self.generator, dtype=dtype).float().numpy()


class Noise:
    """The `generator` argument of a call: none, one, or one a picture.

    Where the argument is left out and the program has imported torch, torch's own default
    generator is taken, as Diffusers does, so that `torch.manual_seed` counts.
    """

    def __init__(self, argument: Any, batch: int) -> None:
        torch = torch_module()
        if argument is None:
            argument = [] if torch is None else torch.default_generator
        elif isinstance(argument, (list, tuple)) and len(argument) != batch:
            raise ValueError(f"{len(argument)} generators for {batch} pictures: give one a picture")
        generators = list(argument) if isinstance(argument, (list, tuple)) else [argument]
        self._sources = [_Source(_checked(one)) for one in generators]
        if len({source.cuda for source in self._sources}) > 1:
            raise ValueError("CPU and CUDA generators cannot be mixed in one call")

    def set_on(self, request: _flux2.Request, run: _flux2.Run, *, bf16: bool) -> None:
        """Lets a call draw from the generators, and record their seeds if that is where they are."""
        if all(source.fresh for source in self._sources):
            request.seeds = [source.seed for source in self._sources]
        if bf16:
            request.noise_dtype = _flux2.NoiseDType.bf16
        if self._sources and self._sources[0].cuda:
            self._set_cuda_seeds(request)
        elif self._sources:
            run.noise = lambda shape: self.draw(tuple(shape), bf16=bf16)

    def draw(self, shape: tuple[int, ...], *, bf16: bool) -> np.ndarray:
        """[B, ...]: a generator for all of it, or one a row."""
        sources = self._sources or [_Source(_random())]
        if len(sources) == 1:
            drawn = sources[0].randn(shape, bf16)
        else:
            drawn = np.concatenate([source.randn((1, *shape[1:]), bf16) for source in sources])
        return np.ascontiguousarray(drawn)

    def _set_cuda_seeds(self, request: _flux2.Request) -> None:
        generators = [source.generator for source in self._sources]
        if not request.seeds:
            raise ValueError(
                "the numbers of a CUDA generator can be drawn once a seed: generator.manual_seed(seed)"
            )
        request.noise = _flux2.Noise.torch_cuda
        request.cuda_card = generators[0].card

    def spend(self) -> None:
        """A call has drawn from the seeds of CUDA generators, which do not go on from there."""
        for source in self._sources:
            if source.cuda:
                source.generator._fresh = False


def _random() -> Generator:
    generator = Generator()
    generator.seed()
    return generator


def _checked(generator: Any) -> Any:
    if isinstance(generator, Generator):
        return generator
    torch = torch_module()
    if torch is not None and isinstance(generator, torch.Generator):
        if generator.device.type != "cpu":
            raise ValueError(
                f"a torch.Generator on {generator.device} has numbers of its card;"
                ' give one on the CPU, or flux2.Generator(seed, "cuda", card=...)'
            )
        return generator
    raise TypeError(
        "generator must be a flux2.Generator, a torch.Generator or a list of them,"
        f" not {type(generator).__name__}"
    )
