"""Where a from_pretrained finds its model, and which library options it asks for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from . import _flux2
from ._arguments import whole

# What Diffusers' loaders take and what is the case here whatever it says: weights are
# mapped from safetensors (or GGUF) and read by the first call that needs them.
_WITHOUT_EFFECT = {"use_safetensors", "low_cpu_mem_usage"}

_COMPUTE = {
    "float32": _flux2.Compute.f32,
    "bfloat16": _flux2.Compute.bf16,
    "int8": _flux2.Compute.int8,
    "auto": _flux2.Compute.automatic,
}
_VARIANTS = {
    "dev": _flux2.Family.dev,
    "klein": _flux2.Family.klein,
    "klein-base": _flux2.Family.klein_base,
    "klein-kv": _flux2.Family.klein_kv,
}
#: Parts of a model that may lie elsewhere.
PARTS = ("transformer", "text_encoder", "vae", "tokenizer")


def reject_unknown(arguments: dict[str, Any], function: str) -> None:
    unknown = sorted(set(arguments) - _WITHOUT_EFFECT)
    if unknown:
        raise TypeError(f"{function} does not take {', '.join(unknown)}")


def compute_of(dtype: Any) -> _flux2.Compute:
    """:param dtype: torch.float32, "bfloat16", "auto", ...; None is float32, as in Diffusers"""
    name = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in _COMPUTE:
        known = ", ".join(_COMPUTE)
        raise ValueError(f"torch_dtype {name} is not computed in; there are {known}")
    return _COMPUTE[name]


def dtype_name(compute: _flux2.Compute) -> str:
    return next(name for name, value in _COMPUTE.items() if value == compute)


def device_of(device: Any) -> _flux2.Device:
    """:param device: "cpu", "cuda", "cuda:0", a torch.device"""
    name = str(device).partition(":")[0]
    if name not in ("cpu", "cuda"):
        raise ValueError(f'the device is "cpu" or "cuda", not {str(device)!r}')
    return _flux2.Device.cpu if name == "cpu" else _flux2.Device.cuda


def options_of(dtype: Any, device: Any, threads: int) -> _flux2.PipelineOptions:
    options = _flux2.PipelineOptions()
    options.compute = compute_of(dtype)
    options.device = device_of(device)
    options.threads = whole(threads, "threads")
    return options


def prompt_cache_of(where: bool | str | os.PathLike[str]) -> _flux2.PromptCacheOptions | None:
    if where is False:
        return None
    options = _flux2.PromptCacheOptions()
    if where is not True:
        options.folder = os.fspath(where)
    return options


def source_of(
    model: str | os.PathLike[str],
    parts: dict[str, Any],
    variant: str | None,
    hub: dict[str, Any],
) -> _flux2.ModelSource:
    """:param parts: paths by name; None: the model's own
    :param hub: arguments of `find`
    """
    source = _flux2.ModelSource()
    source.model = find(model, **hub)
    for name, path in parts.items():
        if path is None:
            continue
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"{name} must be the path of a file or folder, not {type(path).__name__}:"
                " parts are loaded by the pipeline"
            )
        setattr(source, name, os.fspath(path))
    if variant is not None:
        if variant not in _VARIANTS:
            raise ValueError(
                f"variant {variant!r} is no member of the family; there are {', '.join(_VARIANTS)}."
                " Weights of other precision are files of their own: give their path"
            )
        source.variant = _VARIANTS[variant]
    return source


def find(
    model: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    include: list[str] | None = None,
) -> str:
    """The path of a model: "nano" is the one that comes with this package, "org/name" is brought
    from the Hugging Face Hub unless its cache holds it. A path is that path.

    :param include: patterns of files, in place of those that a model needs
    """
    name = os.fspath(model)
    own = Path(__file__).parent / "models" / name
    if name == "nano" and own.is_dir():
        return str(own)
    if not _flux2.names_repository(name):
        return name
    options = _flux2.PullOptions()
    options.access = _flux2.HubAccess.offline if local_files_only else _flux2.HubAccess.cached
    options.revision = revision or ""
    options.include = include or []
    if cache_dir is not None:
        options.cache_dir = os.fspath(cache_dir)
    if token is not None and token is not True:  # True: the one that is stored
        options.token = token or ""
    with _PullBar(name) as bar:
        return str(_flux2.pull(name, options, bar.update).path)


class _PullBar:
    """Bytes that are there, of those that were missing; shown once some are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None

    def __enter__(self) -> _PullBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, progress: _flux2.PullProgress) -> None:
        if progress.total == 0:
            return
        if self._bar is None:
            self._bar = tqdm(desc=self._name, unit="B", unit_scale=True, unit_divisor=1024)
        self._bar.total = progress.total
        self._bar.update(progress.done - self._bar.n)
