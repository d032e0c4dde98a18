"""The global random number generators of Python, NumPy and torch: seeded, captured, restored.

A library that is not loaded is left alone: it has no generator yet. None is imported here.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_WORDS = struct.Struct("<625I")


@dataclass(frozen=True, slots=True)
class _Library:
    module: str
    """Once this is loaded, the library has generators."""
    seed: Callable[[int], None]
    capture: Callable[[], Any]
    restore: Callable[[Any], None]


def seed(value: int, *libraries: str) -> None:
    """Seed ``libraries`` (all that are loaded, by default) with ``value``, of 32 bits."""
    for library in _loaded(libraries):
        library.seed(value)


def capture() -> dict[str, Any]:
    """The state of every generator, a tree for `sweep.checkpoint.codec`. Takes microseconds."""
    return {name: _LIBRARIES[name].capture() for name in _LIBRARIES if _is_loaded(name)}


def restore(state: Mapping[str, Any], value: int, *libraries: str) -> None:
    """Put ``libraries`` (all that are loaded, by default) back to a captured ``state``.

    One that is loaded now and was not then is seeded with ``value``, as it was when it was loaded.
    """
    for name in libraries or _LIBRARIES:
        if _is_loaded(name):
            library = _LIBRARIES[name]
            if name in state:
                library.restore(state[name])
            else:
                library.seed(value)


def modules() -> dict[str, str]:
    """The module that brings each library's generators, and the library's name."""
    return {library.module: name for name, library in _LIBRARIES.items()}


def _loaded(names: tuple[str, ...]) -> list[_Library]:
    return [_LIBRARIES[name] for name in names or _LIBRARIES if _is_loaded(name)]


def _is_loaded(name: str) -> bool:
    return _LIBRARIES[name].module in sys.modules


def _capture_python() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    return {"version": version, "words": _WORDS.pack(*words), "gauss": gauss}


def _restore_python(state: Mapping[str, Any]) -> None:
    random.setstate((state["version"], _WORDS.unpack(state["words"]), state["gauss"]))


def _seed_numpy(value: int) -> None:
    # Not through `numpy`, which has no attribute for it yet while it is being imported.
    sys.modules["numpy.random"].seed(value)


def _capture_numpy() -> Any:
    state: dict[str, Any] = dict(sys.modules["numpy.random"].get_state(legacy=False))
    inner = dict(state["state"])
    if "key" in inner:  # as bytes it stays in the manifest, and needs no file of its own
        inner["key"] = inner["key"].tobytes()
    return state | {"state": inner}


def _restore_numpy(state: Mapping[str, Any]) -> None:
    import numpy

    inner = dict(state["state"])
    if "key" in inner:
        inner["key"] = numpy.frombuffer(inner["key"], dtype=numpy.uint32).copy()
    sys.modules["numpy.random"].set_state({**state, "state": inner})


def _seed_torch(value: int) -> None:
    import torch

    torch.manual_seed(value)


def _capture_torch() -> dict[str, Any]:
    import torch

    state: dict[str, Any] = {"cpu": _to_bytes(torch.get_rng_state())}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = [_to_bytes(device) for device in torch.cuda.get_rng_state_all()]
    return state


def _restore_torch(state: Mapping[str, Any]) -> None:
    import torch

    torch.set_rng_state(_to_tensor(state["cpu"]))
    devices = state.get("cuda", [])
    if devices and torch.cuda.is_available():
        # As many as there are: a worker with fewer devices restores those that it has.
        for index, device in enumerate(devices[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(_to_tensor(device), index)


def _to_bytes(tensor: Any) -> bytes:
    return bytes(tensor.numpy())


def _to_tensor(data: bytes) -> Any:
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


_LIBRARIES = {
    "python": _Library("random", random.seed, _capture_python, _restore_python),
    "numpy": _Library("numpy.random", _seed_numpy, _capture_numpy, _restore_numpy),
    "torch": _Library("torch", _seed_torch, _capture_torch, _restore_torch),
}
