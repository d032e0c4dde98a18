"""A digest of values and of functions that is the same in every process.

Each value is hashed as its type, its length and its content, so that no two trees give the same
bytes. Arrays and tensors are hashed where they lie, without a copy, if they are contiguous and on
the CPU.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import struct
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from sweep.errors import UsageError
from sweep.trial.params import Params

_SCALARS = (type(None), bool, int, complex, str, type(...))


class Fingerprint:
    """Takes values up, one after another; `digest` is that of all of them, in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._open: list[int] = []

    def digest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()

    def add(self, value: Any, path: str) -> None:
        """Take up ``value``; ``path`` begins the paths in errors.

        Raises:
            UsageError: a leaf of a type that has no content to go by, with its path.
        """
        kind = type(value)
        if kind in _SCALARS:
            self._put(kind.__name__, repr(value).encode())
        elif kind is float:
            self._put("float", struct.pack("<d", value))
        elif kind in (bytes, bytearray):
            self._put(kind.__name__, value)
        elif isinstance(value, FunctionType | MethodType | BuiltinFunctionType | partial):
            self.function(value, path)
        else:
            self._compound(value, path)

    def function(self, value: Callable[..., Any], path: str) -> None:
        """Take up a function: its compiled code, its defaults and what it closes over.

        The code that was compiled, not the text of the file: that may have been edited since.
        """
        if id(value) in self._open:
            self._put("recursion", str(self._open.index(id(value))).encode())
            return
        self._open.append(id(value))
        try:
            self._function(value, path)
        finally:
            self._open.pop()

    def _function(self, value: Callable[..., Any], path: str) -> None:
        if isinstance(value, partial):
            self._put("partial", b"")
            self.function(value.func, path)
            self._items("arguments", value.args, f"{path}.args")
            self._mapping("keywords", value.keywords, f"{path}.keywords")
        elif isinstance(value, MethodType):
            self._put("method", b"")
            self.function(value.__func__, path)
            self.add(value.__self__, f"{path}.__self__")
        elif isinstance(value, FunctionType):
            self._put("function", b"")
            self._code(value.__code__, path)
            self.add(value.__defaults__, f"{path} (defaults)")
            self._mapping("keywords", value.__kwdefaults__ or {}, f"{path} (defaults)")
            for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
                self._cell(cell, f"{path} (closes over) {name}")
        elif isinstance(value, BuiltinFunctionType) and isinstance(
            value.__self__, ModuleType | type(None)
        ):
            self._put("builtin", f"{value.__module__}.{value.__qualname__}".encode())
        else:
            raise UsageError(
                f"{path}: {_name(value)} has no code to go by: call it in a function of your own"
            )

    def _cell(self, cell: Any, path: str) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            self._put("empty", b"")
            return
        if isinstance(value, ModuleType):
            self._put("module", value.__name__.encode())
        else:
            self.add(value, path)

    def _code(self, code: CodeType, path: str) -> None:
        self._put("code", code.co_code)
        flags = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
        self.add((*flags, code.co_exceptiontable), path)
        self.add((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars), path)
        self._items("constants", code.co_consts, path)

    def _compound(self, value: Any, path: str) -> None:
        if id(value) in self._open:
            raise UsageError(f"{path}: contains itself")
        self._open.append(id(value))
        try:
            self._content(value, path)
        finally:
            self._open.pop()

    def _content(self, value: Any, path: str) -> None:
        kind = type(value)
        if kind in (list, tuple):
            self._items(kind.__name__, value, path)
        elif kind in (dict, OrderedDict, Counter, Params):
            self._mapping(kind.__name__, value, path)
        elif kind in (set, frozenset):
            self._set(value, path)
        elif isinstance(value, CodeType):
            self._code(value, path)
        elif isinstance(value, PurePath):
            self._put("path", str(value).encode())
        elif isinstance(value, enum.Enum):
            self._put("enum", f"{_name(value)}.{value.name}".encode())
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            self._put("dataclass", _name(value).encode())
            for item in dataclasses.fields(value):
                self._put("field", item.name.encode())
                self.add(getattr(value, item.name), f"{path}.{item.name}")
        else:
            self._array(value, path)

    def _items(self, kind: str, values: Any, path: str) -> None:
        self._put(kind, str(len(values)).encode())
        for index, item in enumerate(values):
            self.add(item, f"{path}[{index}]")

    def _mapping(self, kind: str, value: Mapping[Any, Any], path: str) -> None:
        self._put(kind, str(len(value)).encode())
        for key, item in value.items():
            self.add(key, f"{path} (key)")
            self.add(item, f"{path}.{key}" if type(key) is str else f"{path}[{key!r}]")

    def _set(self, value: Any, path: str) -> None:
        digests = []
        for item in value:  # its order differs from process to process
            one = Fingerprint()
            one.add(item, f"{path} (member)")
            digests.append(one.digest())
        self._put(type(value).__name__, "".join(sorted(digests)).encode())

    def _array(self, value: Any, path: str) -> None:
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None and (
            type(value) in (numpy.ndarray, numpy.memmap) or isinstance(value, numpy.generic)
        ):
            if not value.dtype.hasobject:
                self._put(type(value).__name__, f"{value.dtype!r}{value.shape}".encode())
                flat = numpy.ascontiguousarray(value).reshape(-1)
                self._put("data", flat.view(numpy.uint8) if flat.nbytes else b"")
                return
        elif torch is not None:
            plain = type(value) in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
            if plain and value.layout is torch.strided and not value.is_quantized:
                flat = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
                self._put("tensor", f"{value.dtype}{tuple(value.shape)}".encode())
                self._put("data", flat.view(torch.uint8).numpy() if flat.numel() else b"")
                return
            if isinstance(value, torch.Size | torch.device | torch.dtype):
                self._put("torch", repr(value).encode())
                return
        hint = "; pass its state_dict() instead" if hasattr(value, "state_dict") else ""
        raise UsageError(
            f"{path}: {_name(value)} has no content that could be compared{hint}: numbers, "
            "strings, bytes, paths, dataclasses, arrays, tensors and containers of these have"
        )

    def _put(self, kind: str, data: Any) -> None:
        view = memoryview(data)
        self._hash.update(f"{kind}:{view.nbytes}:".encode())
        self._hash.update(view)


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
