"""From a tree to its skeleton and arrays; see `sweep.checkpoint.codec`."""

from __future__ import annotations

import base64
import math
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sweep.checkpoint.blob import CODES, Array
from sweep.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    import torch

TAG = "$"
"""Key of an object of the skeleton that names a type which JSON does not know."""
_PLAIN = (bool, int, str, type(None))


class Encoder:
    """Copies one tree or several into ``arrays`` and skeletons.

    Tensors that share their memory are copied once, and are shared again when decoded.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}
        self._open: set[int] = set()
        # Sources are kept alive, so that no later temporary takes an address for another tensor.
        self._shared: dict[tuple[Any, ...], tuple[torch.Tensor, dict[str, Any]]] = {}

    def encode(self, value: Any, path: str) -> Any:
        """The skeleton of ``value``; ``path`` begins the paths in errors and the arrays' names.

        Raises:
            CheckpointError: a leaf of an unknown type, with its path (``optimizer.foo[3]: set``),
                or a tree that contains itself.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", "value": str(value)}
        if kind in _CONTAINERS:
            return self._container(value, path)
        if kind is bytes or kind is bytearray:
            return {TAG: kind.__name__, "value": base64.b64encode(value).decode()}
        return self._foreign(value, path)

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self._open:
            raise CheckpointError(f"{path}: contains itself, which cannot be saved")
        self._open.add(id(value))
        try:
            return _CONTAINERS[type(value)](self, value, path)
        finally:
            self._open.remove(id(value))

    def list(self, value: list[Any], path: str) -> Any:
        return [self.encode(item, f"{path}[{index}]") for index, item in enumerate(value)]

    def tuple(self, value: tuple[Any, ...], path: str) -> Any:
        return {TAG: "tuple", "items": self.list(list(value), path)}

    def dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(type(key) is str for key in value) and TAG not in value:
            return {key: self.encode(item, _child(path, key)) for key, item in value.items()}
        return {TAG: "dict", "items": self._items(value, path)}

    def ordered(self, value: OrderedDict[Any, Any], path: str) -> Any:
        encoded: dict[str, Any] = {TAG: "OrderedDict", "items": self._items(value, path)}
        metadata = getattr(value, "_metadata", None)  # versions of modules in a state_dict
        if metadata is not None:
            encoded["metadata"] = self.encode(metadata, _child(path, "_metadata"))
        return encoded

    def counter(self, value: Counter[Any], path: str) -> Any:
        return {TAG: "Counter", "items": self._items(value, path)}

    def _items(self, value: Mapping[Any, Any], path: str) -> Any:
        return [
            [self._key(key, path), self.encode(item, _child(path, key))]
            for key, item in value.items()
        ]

    def _key(self, key: Any, path: str) -> Any:
        leaves = key if type(key) is tuple else (key,)
        if all(type(leaf) in (*_PLAIN, float, bytes) for leaf in leaves):
            return self.encode(key, f"{path} (key)")
        raise CheckpointError(f"{path}: a key of type {_name(key)} cannot be saved")

    def _foreign(self, value: Any, path: str) -> Any:
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None and isinstance(value, numpy.generic) and not value.dtype.hasobject:
            return {
                TAG: "numpy.generic",
                "dtype": value.dtype.str,
                "value": base64.b64encode(value.tobytes()).decode(),
            }
        if numpy is not None and type(value) is numpy.ndarray:
            return self._ndarray(value, path)
        if torch is not None:
            if isinstance(value, torch.Tensor):
                return self._tensor(value, path)
            if type(value) is torch.Size:
                return {TAG: "torch.Size", "items": list(value)}
            if isinstance(value, torch.device | torch.dtype):
                return {TAG: f"torch.{type(value).__name__}", "value": str(value)}
        raise CheckpointError(
            f"{path}: {_name(value)} cannot be saved; save what it holds as numbers, strings, "
            "lists, dicts, arrays or tensors"
        )

    def _ndarray(self, value: np.ndarray[Any, Any], path: str) -> Any:
        import numpy

        if value.dtype.hasobject or value.dtype.names is not None:
            raise CheckpointError(f"{path}: a NumPy array of {value.dtype} cannot be saved")
        copy = numpy.array(value, order="C", copy=True, subok=False)
        code = CODES.get(value.dtype.name) if value.dtype.isnative else None
        data = copy.reshape(-1).view(numpy.uint8)
        array = Array(code or "U8", copy.shape if code else data.shape, data)
        return {
            TAG: "numpy.ndarray",
            "array": self._add(array, path),
            "dtype": value.dtype.str,
            "shape": list(value.shape),
        }

    def _tensor(self, value: torch.Tensor, path: str) -> Any:
        _check_tensor(value, path)
        source = value.detach()
        place = (
            (source.device, source.data_ptr(), source.dtype, source.shape, source.stride()),
            (source.is_conj(), source.is_neg()),
        )
        if source.numel() and place in self._shared:
            return self._shared[place][1]
        copy, order = _copy(source)
        dtype = str(copy.dtype).removeprefix("torch.")
        array = Array(CODES.get(dtype, "U8"), tuple(copy.shape), copy)
        encoded: dict[str, Any] = {
            TAG: "torch.Tensor",
            "array": self._add(array, path),
            "dtype": dtype,
        }
        if array.code == "U8" and dtype != "uint8":
            encoded["shape"] = list(copy.shape)
        if order is not None:
            encoded["order"] = order
        self._shared[place] = (source, encoded)
        return encoded

    def _add(self, array: Array, path: str) -> str:
        name, number = path, 1
        while name in self.arrays:
            number += 1
            name = f"{path}#{number}"
        self.arrays[name] = array
        return name


_CONTAINERS: dict[type, Callable[[Encoder, Any, str], Any]] = {
    list: Encoder.list,
    tuple: Encoder.tuple,
    dict: Encoder.dict,
    OrderedDict: Encoder.ordered,
    Counter: Encoder.counter,
}


def _check_tensor(value: torch.Tensor, path: str) -> None:
    import torch

    plain = type(value) in (torch.Tensor, torch.nn.Parameter) or isinstance(value, torch.nn.Buffer)
    strided = value.layout is torch.strided and not value.is_nested
    if not plain or not strided or value.is_quantized or value.is_meta:
        raise CheckpointError(
            f"{path}: a {_name(value)} ({value.layout}, {value.dtype}, {value.device}) cannot be "
            "saved; only ordinary dense tensors can"
        )


def _copy(source: torch.Tensor) -> tuple[torch.Tensor, list[int] | None]:
    """A contiguous copy on the CPU, and the order of dimensions it was laid out in if not C's."""
    import torch

    source = source.resolve_conj().resolve_neg()
    if source.is_contiguous():
        return source.to("cpu", copy=True), None
    order = sorted(range(source.dim()), key=lambda axis: source.stride(axis), reverse=True)
    if source.permute(order).is_contiguous():  # dense all the same: channels last, transposed
        return source.permute(order).to("cpu", copy=True), order
    return source.to("cpu", copy=True, memory_format=torch.contiguous_format), None


def _child(path: str, key: Any) -> str:
    if type(key) is not str:
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key


def _name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
