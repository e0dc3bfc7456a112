"""Adapters (LoRA and its kin), under the names that Diffusers gives to handling them."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import _flux2
from ._arguments import number
from ._loading import find, reject_unknown
from ._state_dict import write_state_dict

_log = logging.getLogger("flux2")

_ORDERS = {"correct": _flux2.AdaLnOrder.correct, "reference": _flux2.AdaLnOrder.reference}
_DEFAULT_FILE = "pytorch_lora_weights.safetensors"


class _OwnFile:
    """Tensors in memory as a file, which goes when nobody has it any more."""

    def __init__(self, state_dict: Mapping[str, Any]) -> None:
        handle, self.path = tempfile.mkstemp(".safetensors", "flux2-adapter-")
        weakref.finalize(self, Path(self.path).unlink, missing_ok=True)
        os.close(handle)
        write_state_dict(state_dict, Path(self.path))


@dataclass(frozen=True)
class Loaded:
    """A file that was held against the model. Its digest makes sure that it stays the one."""

    path: str
    sha256: str
    lenient: bool
    adaln_order: _flux2.AdaLnOrder
    own: _OwnFile | None  # keeps it while it is `path`

    def adapter(self, weight: float) -> _flux2.Adapter:
        made = _flux2.Adapter()
        made.path, made.sha256, made.weight = self.path, self.sha256, weight
        made.lenient, made.adaln_order = self.lenient, self.adaln_order
        return made


class AdapterSet:
    """Which adapters a pipeline has, and which of them act. Pipelines made of one another share it,
    as they share the weights."""

    def __init__(self) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.weights: dict[str, float] = {}  # of those that are active, in their order
        self.fused: dict[str, tuple[Loaded, float]] = {}
        self.enabled = True

    def acting(self, scale: float) -> list[_flux2.Adapter]:
        """For one call. What is fused is out of reach of the call's scale."""
        adapters = [
            loaded.adapter(weight)
            for name, (loaded, weight) in self.fused.items()
            if self.enabled or name not in self.loaded
        ]
        if self.enabled:
            adapters += [
                self.loaded[name].adapter(weight * scale)
                for name, weight in self.weights.items()
                if name not in self.fused
            ]
        return adapters

    def remove(self, name: str) -> None:
        del self.loaded[name]
        was_active = self.weights.pop(name, None) is not None
        if was_active and not self.weights and self.loaded:  # as PEFT does
            self.weights = {next(iter(self.loaded)): 1.0}


class AdapterMixin:
    """What a pipeline can do with adapters. They act from the next call on; taking one off gives
    back the very same pictures."""

    _library: _flux2.Pipeline
    _adapters: AdapterSet

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | os.PathLike[str] | Mapping[str, Any],
        adapter_name: str | None = None,
        hotswap: bool = False,
        *,
        weight_name: str | None = None,
        subfolder: str | None = None,
        lenient: bool = False,
        adaln_order: str = "correct",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> None:
        """Loads an adapter, and makes it the one that is active, with weight 1.

        :param pretrained_model_name_or_path_or_dict: a file, a folder, "org/name" on the Hugging
            Face Hub, or tensors by name
        :param adapter_name: for set_adapters and the others; "default_0", ... where it is left out
        :param hotswap: put it in the place of the adapter of that name, which keeps its weight
        :param weight_name: the file in that folder or repository
        :param lenient: go on without keys that are not understood
        :param adaln_order: "correct", or "reference": the last modulation of BFL's names as
            Diffusers takes it
        :param revision: on the hub, as of from_pretrained, and so the next three
        :raises OSError: no adapter, or none for this model; says what it is instead
        :raises ValueError: the name is taken
        """
        reject_unknown(kwargs, "load_lora_weights")
        mine = self._adapters
        name = adapter_name or _free_name(mine.loaded)
        if hotswap:
            self._check_names([name])
        elif name in mine.loaded:
            raise ValueError(f"there is an adapter {name!r} already: give adapter_name another name")
        if adaln_order not in _ORDERS:
            raise ValueError(f"adaln_order is one of {sorted(_ORDERS)}, not {adaln_order!r}")
        source = pretrained_model_name_or_path_or_dict
        own = _OwnFile(source) if isinstance(source, Mapping) else None
        if own:
            path = own.path
        else:
            hub = {"revision": revision, "cache_dir": cache_dir, "token": token,
                   "local_files_only": local_files_only}  # fmt: skip
            path = _locate(source, weight_name, subfolder, hub)
        found = Loaded(path, "", bool(lenient), _ORDERS[adaln_order], own)
        report = self._library.inspect_adapter(found.adapter(1.0))
        mine.loaded[name] = replace(found, sha256=report.sha256)
        if not hotswap:
            mine.weights = {name: 1.0}
        _log.info("adapter %s: %s, %d of %d modules", name, report.kind, report.matched, report.modules)
        for key in report.left_out:
            _log.warning("adapter %s: %s is left out", name, key)

    def set_adapters(
        self,
        adapter_names: str | Sequence[str],
        adapter_weights: float | Sequence[float | None] | None = None,
    ) -> None:
        """Makes these adapters the active ones, with a weight each or one for all (1)."""
        names = _names(adapter_names)
        if adapter_weights is None or isinstance(adapter_weights, (int, float)):
            weights: list[Any] = [adapter_weights] * len(names)
        elif isinstance(adapter_weights, (list, tuple)):
            weights = list(adapter_weights)
        else:
            raise TypeError(
                "adapter_weights is a number or a list of them: an adapter acts on all blocks alike,"
                f" not {type(adapter_weights).__name__}"
            )
        if len(weights) != len(names):
            raise ValueError(f"{len(weights)} adapter_weights for {len(names)} adapters")
        self._check_names(names)
        self._adapters.weights = {
            name: 1.0 if weight is None else number(weight, "adapter_weights")
            for name, weight in zip(names, weights)
        }

    def get_active_adapters(self) -> list[str]:
        return list(self._adapters.weights)

    def get_list_adapters(self) -> dict[str, list[str]]:
        """All that are loaded. An adapter for text encoder and transformer is one adapter here."""
        return {"transformer": list(self._adapters.loaded)} if self._adapters.loaded else {}

    def delete_adapters(self, adapter_names: str | Sequence[str]) -> None:
        names = _names(adapter_names)
        self._check_names(names)
        for name in names:
            self._adapters.remove(name)

    def disable_lora(self) -> None:
        """No adapter acts until enable_lora."""
        self._adapters.enabled = False

    def enable_lora(self) -> None:
        self._adapters.enabled = True

    def fuse_lora(
        self,
        components: Sequence[str] = ("transformer",),
        lora_scale: float = 1.0,
        safe_fusing: bool = False,
        adapter_names: Sequence[str] | None = None,
    ) -> None:
        """Makes adapters part of the model, with their weights times `lora_scale`: they stay when
        they are unloaded, until unfuse_lora.

        :param components: "transformer"
        :param safe_fusing: has no effect: an adapter with NaN is refused when it is loaded
        :param adapter_names: None: those that are active
        """
        _check_components(components)
        names = list(self._adapters.weights) if adapter_names is None else _names(adapter_names)
        self._check_names(names)
        scale = number(lora_scale, "lora_scale")
        for name in names:
            if name not in self._adapters.fused:
                weight = self._adapters.weights.get(name, 1.0) * scale
                self._adapters.fused[name] = self._adapters.loaded[name], weight

    def unfuse_lora(self, components: Sequence[str] = ("transformer",)) -> None:
        """The model is what it was, exactly."""
        _check_components(components)
        self._adapters.fused.clear()

    def unload_lora_weights(self) -> None:
        """Takes all adapters off but those that are fused."""
        self._adapters.loaded.clear()
        self._adapters.weights.clear()
        self._adapters.enabled = True

    @property
    def num_fused_loras(self) -> int:
        return len(self._adapters.fused)

    @property
    def fused_loras(self) -> set[str]:
        return set(self._adapters.fused)

    def _check_names(self, names: list[str]) -> None:
        unknown = [name for name in names if name not in self._adapters.loaded]
        if unknown:
            there = list(self._adapters.loaded)
            raise ValueError(f"there is no adapter {', '.join(map(repr, unknown))}; there are {there}")


def _locate(
    source: str | os.PathLike[str],
    weight_name: str | None,
    subfolder: str | None,
    hub: dict[str, Any],
) -> str:
    inside = "/".join(part for part in (subfolder, weight_name) if part)
    name = os.fspath(source)
    if _flux2.names_repository(name):
        inside = inside if weight_name else "/".join(filter(None, (subfolder, _DEFAULT_FILE)))
        return str(Path(find(name, include=[inside], **hub)) / inside)
    return str(Path(name) / inside) if inside else name


def _free_name(taken: Mapping[str, Any]) -> str:
    numbers = range(len(taken) + 1)
    return next(f"default_{i}" for i in numbers if f"default_{i}" not in taken)


def _names(value: str | Sequence[str]) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) for name in names):
        raise TypeError("adapter_names is a name or a list of names")
    return names


def _check_components(components: Sequence[str]) -> None:
    if list(components) != ["transformer"]:
        raise ValueError(f'components is ["transformer"], not {components!r}')
