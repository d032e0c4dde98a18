"""Whatever a state may hold comes back equal, and nothing else is accepted."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sweep.checkpoint.blob import read_blob
from sweep.checkpoint.codec import Captured, decode, encode
from sweep.checkpoint.fresh import write_blob
from sweep.errors import CheckpointDamagedError, CheckpointError


def round_trip(tree: Any, path: Path) -> Any:
    """Through a real file, and through strict JSON."""
    import json

    captured = encode(tree)
    skeleton = json.loads(json.dumps(captured.skeleton, allow_nan=False))
    written = write_blob(path, captured.arrays)
    return decode(Captured(skeleton, read_blob(path, written)))


def equal(left: Any, right: Any) -> bool:
    """Equal in type and to the bit."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        return left.contiguous().numpy().tobytes() == right.contiguous().numpy().tobytes()
    if isinstance(left, np.ndarray | np.generic):
        return (
            left.dtype == right.dtype
            and left.shape == right.shape
            and (left.tobytes() == right.tobytes())
        )
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            equal(ours, theirs) and equal(left[ours], right[theirs])
            for ours, theirs in zip(left, right, strict=True)
        )
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return bool(left == right)


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from([torch.float16, torch.device("cpu"), torch.Size([2, 3]), Counter("abca")])
    | st.sampled_from([np.float64(0.1), np.int8(3), np.bool_(True), np.str_("x")])
    | st.lists(st.integers(0, 3), max_size=3).map(lambda shape: torch.randn(shape))
    | st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.random.rand(*shape))
)
keys = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.integers(), st.text())
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(tree=trees)
@settings(max_examples=150, deadline=None)
def test_round_trip(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every tree of known types comes back with equal types, order and bits."""
    assert equal(round_trip(tree, tmp_path_factory.mktemp("codec") / "blob"), tree)


@pytest.mark.parametrize(
    "dtype",
    [
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
        "complex64",
        "complex128",
        "float8_e4m3fn",
        "float8_e5m2",
    ],
)
def test_tensor_dtypes(dtype: str, tmp_path: Path) -> None:
    """Tensors of every dtype come back to the bit, those that safetensors does not know too."""
    raw = torch.randint(0, 2, (3, 16), dtype=torch.uint8)
    tensor = raw.view(getattr(torch, dtype))
    back = round_trip({"x": tensor, "one": tensor[0, 0]}, tmp_path / "blob")
    assert back["x"].dtype == tensor.dtype
    assert torch.equal(back["x"].contiguous().view(torch.uint8), raw)
    assert back["one"].shape == ()


@pytest.mark.parametrize("dtype", [">i4", "<U3", "S2", "M8[ns]", "m8[s]", "c16", "g", "?", "f2"])
def test_array_dtypes(dtype: str, tmp_path: Path) -> None:
    """NumPy arrays of every plain dtype and byte order come back, also views and empty ones."""
    array = np.zeros((4, 6), dtype=dtype)
    array[1, 2] = 1
    for value in (array, array.T, array[::2, 1::2], array[:0], array[0, 0]):
        assert equal(round_trip([value], tmp_path / "blob"), [value])
        (tmp_path / "blob").unlink()


def test_memory_format_is_kept(tmp_path: Path) -> None:
    """A tensor that is dense in another order (channels last, transposed) keeps that order."""
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    back = round_trip(
        [image, torch.randn(4, 5).T, torch.arange(24.0).reshape(4, 6)[::2, 1::2]], tmp_path / "blob"
    )
    assert back[0].stride() == image.stride()
    assert torch.equal(back[0], image)
    assert back[1].stride() == (1, 5)
    assert torch.equal(back[2], torch.arange(24.0).reshape(4, 6)[::2, 1::2])


def test_tied_tensors_stay_tied(tmp_path: Path) -> None:
    """Tensors that share their memory are stored once and shared again."""
    weight = torch.nn.Parameter(torch.randn(100))
    captured = encode({"encoder": weight, "decoder": weight.detach(), "other": weight.clone()})
    assert len(captured.arrays) == 2
    back = round_trip({"encoder": weight, "decoder": weight.data}, tmp_path / "blob")
    assert back["encoder"] is back["decoder"]


def test_conjugate_is_not_its_base(tmp_path: Path) -> None:
    """A lazy conjugate shares the memory of its base, and is another value."""
    base = torch.tensor([1 + 2j, 3 - 1j])
    back = round_trip([base, base.conj()], tmp_path / "blob")
    assert torch.equal(back[1], base.conj().resolve_conj())


def test_capture_is_a_copy(tmp_path: Path) -> None:
    """What changes after the capture, tensors, arrays and containers, is written as it was."""
    tree = {"t": torch.zeros(3), "a": np.zeros(3), "l": [1, {"x": 2}], "b": bytearray(b"abc")}
    captured = encode(tree)
    tree["t"] += 1
    tree["a"] += 1
    tree["l"][1]["x"] = 3
    tree["b"][0] = 0
    path = tmp_path / "blob"
    back = decode(Captured(captured.skeleton, read_blob(path, write_blob(path, captured.arrays))))
    assert torch.equal(back["t"], torch.zeros(3))
    assert np.array_equal(back["a"], np.zeros(3))
    assert back["l"] == [1, {"x": 2}]
    assert back["b"] == b"abc"


def test_restored_values_can_be_changed(tmp_path: Path) -> None:
    """Tensors and arrays that come back are writable and own their memory."""
    back = round_trip([torch.zeros(3), np.zeros(3), torch.zeros(2)], tmp_path / "blob")
    back[0] += 1
    back[1] += 1
    assert torch.equal(back[2], torch.zeros(2))
    assert back[0].untyped_storage().nbytes() == 12


def test_state_dict_metadata(tmp_path: Path) -> None:
    """The versions of modules that a state_dict carries beside its items survive."""
    state = torch.nn.BatchNorm1d(3).state_dict()
    back = round_trip(state, tmp_path / "blob")
    assert back._metadata == state._metadata
    torch.nn.BatchNorm1d(3).load_state_dict(back)


def test_blob_is_plain_safetensors(tmp_path: Path) -> None:
    """Any safetensors reader opens a blob and finds the tensors under their paths."""
    state = torch.nn.Linear(3, 2).state_dict()
    write_blob(tmp_path / "blob", encode(state, "model").arrays)
    found = load_file(tmp_path / "blob")
    assert found.keys() == {"model.weight", "model.bias"}
    assert torch.equal(found["model.weight"], state["weight"])


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("leaf", "named"),
    [
        ({1}, "set"),
        (object(), "object"),
        (Point(1, 2), "Point"),
        (defaultdict(int), "defaultdict"),
        (lambda: 0, "function"),
        (np.array([object()]), "object"),
        (np.zeros(2, dtype=[("x", "i4")]), "x"),
        (torch.zeros(2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "meta"),
        (Path("x"), "Path"),
    ],
)
def test_unknown_leaf_is_refused_with_its_path(leaf: Any, named: str) -> None:
    """What cannot be saved is refused when it is saved, by path and type."""
    with pytest.raises(CheckpointError) as caught:
        encode({"foo": [1, 2, 3, leaf]}, "optimizer")
    assert str(caught.value).startswith("optimizer.foo[3]: ")
    assert named in str(caught.value)


def test_unknown_key_is_refused() -> None:
    """A key that cannot be written as it is, is refused too."""
    with pytest.raises(CheckpointError, match=r"model\.x: a key of type"):
        encode({"x": {frozenset(): 1}}, "model")


def test_cycle_is_refused() -> None:
    """A tree that contains itself is refused, not followed without end."""
    tree: dict[str, Any] = {"a": [1]}
    tree["a"].append(tree)
    with pytest.raises(CheckpointError, match=r"state\.a\[1\]: contains itself"):
        encode(tree, "state")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("$"), inner),
    max_leaves=8,
)
tags = st.sampled_from(
    [
        "tuple",
        "dict",
        "OrderedDict",
        "Counter",
        "float",
        "bytes",
        "bytearray",
        "numpy.generic",
        "numpy.ndarray",
        "torch.Tensor",
        "torch.Size",
        "torch.device",
        "torch.dtype",
        "os.system",
    ]
)


@given(
    tag=tags,
    fields=st.dictionaries(
        st.sampled_from(["items", "value", "array", "dtype", "shape", "order", "metadata"]),
        json_values | st.sampled_from(["O", "load", "torch.load", "float32", "<f4", "x", [2]]),
    ),
)
@settings(max_examples=400, deadline=None)
def test_hostile_skeleton_only_raises(tag: str, fields: dict[str, Any]) -> None:
    """Whatever a skeleton says, decoding it returns a value or raises the one error."""
    import contextlib
    import warnings

    arrays = encode({"x": torch.zeros(2)}).arrays
    with warnings.catch_warnings(), contextlib.suppress(CheckpointDamagedError):
        warnings.simplefilter("ignore")
        decode(Captured({"$": tag, **fields}, arrays))
