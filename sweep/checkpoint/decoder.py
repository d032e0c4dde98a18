"""From a skeleton and arrays to the tree; see `sweep.checkpoint.codec`."""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sweep.checkpoint.blob import Array
from sweep.checkpoint.encoder import TAG

if TYPE_CHECKING:
    import numpy as np
    import torch


class Decoder:
    """Decodes skeletons that name ``arrays``.

    Raises all sorts of errors on nonsense; `sweep.checkpoint.codec.decode` makes them one.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self._memory: dict[tuple[str, str], torch.Tensor] = {}
        self._tensors: dict[tuple[str, str], torch.Tensor] = {}
        self._handed_out: set[int] = set()

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if not isinstance(value, dict):
            return value
        if TAG not in value:
            return {key: self.decode(item) for key, item in value.items()}
        return self._TAGGED[value[TAG]](self, value)

    def _items(self, value: dict[str, Any]) -> list[tuple[Any, Any]]:
        return [(self.decode(key), self.decode(item)) for key, item in value["items"]]

    def _tuple(self, value: dict[str, Any]) -> Any:
        return tuple(self.decode(value["items"]))

    def _dict(self, value: dict[str, Any]) -> Any:
        return dict(self._items(value))

    def _ordered(self, value: dict[str, Any]) -> Any:
        ordered = OrderedDict(self._items(value))
        if "metadata" in value:
            ordered._metadata = self.decode(value["metadata"])  # type: ignore[attr-defined]
        return ordered

    def _counter(self, value: dict[str, Any]) -> Any:
        return Counter(dict(self._items(value)))

    def _float(self, value: dict[str, Any]) -> Any:
        return float(value["value"])

    def _bytes(self, value: dict[str, Any]) -> Any:
        return base64.b64decode(value["value"], validate=True)

    def _bytearray(self, value: dict[str, Any]) -> Any:
        return bytearray(self._bytes(value))

    def _generic(self, value: dict[str, Any]) -> Any:
        import numpy

        dtype = _numpy_dtype(value["dtype"])
        if not dtype.itemsize:  # the empty string
            return numpy.zeros((), dtype)[()]
        return numpy.frombuffer(self._bytes(value), dtype=dtype, count=1)[0]

    def _ndarray(self, value: dict[str, Any]) -> Any:
        import numpy

        dtype, data = _numpy_dtype(value["dtype"]), self._arrays[value["array"]].view()
        if not dtype.itemsize or not len(data):
            return numpy.empty(0, dtype).reshape(value["shape"])
        return numpy.frombuffer(data, dtype=dtype).reshape(value["shape"]).copy()

    def _tensor(self, value: dict[str, Any]) -> Any:
        import torch

        array = self._arrays[value["array"]]
        key = (value["array"], repr(sorted(value.items())))
        if key not in self._tensors:
            shape = tuple(value.get("shape", array.shape))
            tensor = self._flat(value["array"], getattr(torch, value["dtype"])).view(shape)
            if "order" in value:
                tensor = tensor.permute([value["order"].index(axis) for axis in range(len(shape))])
            self._tensors[key] = tensor
        return self._tensors[key]

    def _flat(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """The elements of an array in the memory that all tensors made of it share."""
        import torch

        key = (name, str(dtype))
        if key not in self._memory:
            array = self._arrays[name]
            if array.owned and isinstance(array.data, torch.Tensor) and self._first(array):
                self._memory[key] = array.data.view(dtype)
            else:
                self._memory[key] = _to_tensor(array.view(), dtype)
        return self._memory[key]

    def _first(self, array: Array) -> bool:
        """Equal arrays come from one file: the memory it was read into is given to one of them."""
        place = array.data.data_ptr()
        first = place not in self._handed_out
        self._handed_out.add(place)
        return first

    def _size(self, value: dict[str, Any]) -> Any:
        import torch

        return torch.Size(value["items"])

    def _device(self, value: dict[str, Any]) -> Any:
        import torch

        return torch.device(value["value"])

    def _dtype(self, value: dict[str, Any]) -> Any:
        import torch

        dtype = getattr(torch, value["value"].removeprefix("torch."))
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"{value['value']} is no dtype")
        return dtype

    _TAGGED: Mapping[str, Callable[[Decoder, dict[str, Any]], Any]] = {
        "tuple": _tuple,
        "dict": _dict,
        "OrderedDict": _ordered,
        "Counter": _counter,
        "float": _float,
        "bytes": _bytes,
        "bytearray": _bytearray,
        "numpy.generic": _generic,
        "numpy.ndarray": _ndarray,
        "torch.Tensor": _tensor,
        "torch.Size": _size,
        "torch.device": _device,
        "torch.dtype": _dtype,
    }


def _to_tensor(data: memoryview, dtype: torch.dtype) -> torch.Tensor:
    """A flat copy of ``data``, which may lie at an address that torch could not use."""
    import torch

    if len(data) % dtype.itemsize:
        raise ValueError(f"{len(data)} bytes are no {dtype}")
    tensor = torch.empty(len(data) // dtype.itemsize, dtype=dtype, device="cpu")
    if data:
        tensor.view(torch.uint8).numpy()[:] = data
    return tensor


def _numpy_dtype(name: Any) -> np.dtype[Any]:
    import numpy

    dtype: np.dtype[Any] = numpy.dtype(name)
    if dtype.hasobject:
        raise TypeError(f"an array of {name} cannot come from a file")
    return dtype
