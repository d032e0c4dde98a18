"""The global random number generators of Python, NumPy and torch: seeded, captured, restored.

A library that is not loaded is left alone: it has no generator yet. None is imported here.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

_WORDS = struct.Struct("<625I")


@dataclass(frozen=True, slots=True)
class _Library:
    module: str
    """Once this is loaded, the library has generators."""
    seed: Callable[[int], None]
    capture: Callable[[], Any]
    restore: Callable[[Any], None]
    seeded: Callable[[int], Any]
    """What `capture` would give after `seed`."""


def seed(value: int, *libraries: str) -> None:
    """Seed ``libraries`` (all that are loaded, by default) with ``value``, of 32 bits."""
    for library in _loaded(libraries):
        library.seed(value)


def capture() -> dict[str, Any]:
    """The state of every generator, a tree for `sweep.checkpoint.codec`. Takes microseconds."""
    return {name: _LIBRARIES[name].capture() for name in _LIBRARIES if _is_loaded(name)}


def seeded(value: int, **others: Any) -> dict[str, Any]:
    """What `capture` would give after ``seed(value)``; no generator is touched.

    ``others`` are the values for libraries that are to have another one.
    """
    return {
        name: _LIBRARIES[name].seeded(others.get(name, value))
        for name in _LIBRARIES
        if _is_loaded(name)
    }


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


def capture_python(generator: Any = random) -> dict[str, Any]:
    """The state of Python's ``generator``, by default the global one."""
    version, words, gauss = generator.getstate()
    return {"version": version, "words": _WORDS.pack(*words), "gauss": gauss}


def restore_python(generator: Any, state: Mapping[str, Any]) -> None:
    """Put Python's ``generator`` (or the module `random`) back to a captured ``state``."""
    generator.setstate((state["version"], _WORDS.unpack(state["words"]), state["gauss"]))


def _seed_numpy(value: int) -> None:
    # Not through `numpy`, which has no attribute for it yet while it is being imported.
    sys.modules["numpy.random"].seed(value)


def capture_numpy(generator: Any = None) -> Any:
    """The state of a ``RandomState`` of NumPy's, by default the global one."""
    generator = generator or sys.modules["numpy.random"]
    state: dict[str, Any] = dict(generator.get_state(legacy=False))
    inner = dict(state["state"])
    if "key" in inner:  # as bytes it stays in the manifest, and needs no file of its own
        inner["key"] = inner["key"].tobytes()
    return state | {"state": inner}


def restore_numpy(generator: Any, state: Mapping[str, Any]) -> None:
    """Put a ``RandomState`` (or the module ``numpy.random``) back to a captured ``state``."""
    import numpy

    inner = dict(state["state"])
    if "key" in inner:
        inner["key"] = numpy.frombuffer(inner["key"], dtype=numpy.uint32).copy()
    generator.set_state({**state, "state": inner})


def _seeded_numpy(value: Any) -> Any:
    return capture_numpy(sys.modules["numpy.random"].RandomState(value))


def _seeded_torch(value: int) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = {"cpu": _seeded_device("cpu", value)}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        devices = range(torch.cuda.device_count())
        state["cuda"] = [_seeded_device(f"cuda:{device}", value) for device in devices]
    return state


def _seeded_device(device: str, value: int) -> bytes:
    import torch

    return _to_bytes(torch.Generator(device).manual_seed(value).get_state())


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

    torch.set_rng_state(to_tensor(state["cpu"]))
    devices = state.get("cuda", [])
    if devices and torch.cuda.is_available():
        # As many as there are: a worker with fewer devices restores those that it has.
        for index, device in enumerate(devices[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(to_tensor(device), index)


def _to_bytes(tensor: Any) -> bytes:
    return bytes(tensor.numpy())


def to_tensor(data: bytes) -> Any:
    """The state of a generator of torch's, of the bytes that a checkpoint holds."""
    import torch

    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


_LIBRARIES = {
    "python": _Library(
        "random",
        random.seed,
        capture_python,
        partial(restore_python, random),
        lambda value: capture_python(random.Random(value)),
    ),
    "numpy": _Library(
        "numpy.random",
        _seed_numpy,
        capture_numpy,
        lambda state: restore_numpy(sys.modules["numpy.random"], state),
        _seeded_numpy,
    ),
    "torch": _Library("torch", _seed_torch, _capture_torch, _restore_torch, _seeded_torch),
}
