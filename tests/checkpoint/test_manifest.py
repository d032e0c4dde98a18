"""A manifest vouches for every byte of itself."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.checkpoint.blob import Written
from sweep.checkpoint.manifest import Blob, Manifest, dump, load
from sweep.checkpoint.record import CheckpointRecord, Content, Kind, identifier, manifest_name
from sweep.errors import CheckpointDamagedError, CheckpointError, CheckpointMismatchError

MANIFEST = Manifest(
    id="3@7.420",
    trial=3,
    attempt=1,
    session=2,
    kind=Kind.PERIODIC,
    epoch=7,
    global_step=420,
    step=6,
    saved=1.5,
    parent=None,
    metrics={"loss": math.inf},
    meta={"params": {"lr": 0.1, "name": "ä"}},
    blobs=(
        Blob(path="x/state.safetensors", written=Written(10, "00" * 32 + "-b3")),
        Blob(path="x/11.safetensors", written=Written(20, "11" * 32), arrays=("a", "b")),
        Blob(path="x/22.safetensors.zst", written=Written(40, "22" * 32, 7), arrays=("c",)),
    ),
    new_bytes=20,
    content=Content.PARTIAL,
    skeleton={"tracked": {"$": "dict", "items": [[1, 2]]}},
)


def test_round_trip() -> None:
    """What is dumped is loaded again, and is one JSON document for any other reader."""
    data = dump(MANIFEST)
    assert load(data, "m.json") == MANIFEST
    assert json.loads(data)["format"] == "sweep-checkpoint"


def test_every_flipped_bit_is_found() -> None:
    """No bit of the file can change, its own digest included, without being found."""
    data = dump(MANIFEST)
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            with pytest.raises(CheckpointDamagedError, match=r"m\.json"):
                load(bytes(damaged), "m.json")


@given(keep=st.integers(0, 400), tail=st.binary(max_size=3))
def test_truncated_or_extended_is_found(keep: int, tail: bytes) -> None:
    """A file that is shorter or longer than it was is found."""
    data = dump(MANIFEST)
    changed = data[:keep] + tail
    if changed != data:
        with pytest.raises(CheckpointDamagedError):
            load(changed, "m.json")
    with pytest.raises(CheckpointDamagedError):
        load(data + b"\n", "m.json")


def sealed(body: str) -> bytes:
    text = body[:-1].encode()
    return text + f',"sha256":"{hashlib.sha256(text).hexdigest()}"}}\n'.encode()


def test_newer_version_names_both_sides() -> None:
    """A manifest of a later format says so, and what to do; it is not called damaged."""
    with pytest.raises(CheckpointMismatchError, match=r"format 4.*up to 3: update sweep"):
        load(sealed('{"format":"sweep-checkpoint","version":4}'), "m.json")


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"format":"other","version":1}',
        '{"format":"sweep-checkpoint","version":1}',
        "[]",
        "[" * 100_000,
    ],
)
def test_sealed_nonsense_is_refused(body: str) -> None:
    """A file with the right digest and the wrong content is refused all the same."""
    with pytest.raises(CheckpointDamagedError):
        load(sealed(body), "m.json")


@pytest.mark.parametrize("field", ["trial", "attempt", "session", "epoch", "new_bytes", "metrics"])
def test_a_field_of_another_type_is_refused(field: str) -> None:
    """Who seals a manifest may be anybody: what is not of its type goes no further."""
    for wrong in (None, "x", -1, [], {"$": "tuple", "items": []}):
        body = {**json.loads(dump(MANIFEST)), field: wrong}
        del body["sha256"]
        with pytest.raises(CheckpointDamagedError, match=r"m\.json"):
            load(sealed(json.dumps(body)), "m.json")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("path", 7),
        ("path", "a\0b"),
        ("bytes", "x"),
        ("bytes", -1),
        ("arrays", "abc"),
        ("arrays", [["a"]]),
        ("packed", {"codec": "zstd", "bytes": "7"}),
    ],
)
def test_a_file_that_is_not_described_as_one_is_refused(field: str, wrong: object) -> None:
    body = json.loads(dump(MANIFEST))
    del body["sha256"]
    body["blobs"][1][field] = wrong
    with pytest.raises(CheckpointDamagedError, match=r"m\.json"):
        load(sealed(json.dumps(body)), "m.json")


def test_another_codec_is_refused() -> None:
    """A file that is packed with something else is not read as if it were zstd."""
    body = json.loads(dump(MANIFEST))
    del body["sha256"]
    body["blobs"][2]["packed"]["codec"] = "lz4"
    with pytest.raises(CheckpointDamagedError, match="packed with 'lz4'"):
        load(sealed(json.dumps(body)), "m.json")


def test_meta_of_unknown_type_is_refused() -> None:
    """What cannot be written is refused with its path."""
    import dataclasses

    with pytest.raises(CheckpointError, match=r"meta\.params: set"):
        dump(dataclasses.replace(MANIFEST, meta={"params": {1}}))


def test_record_round_trip() -> None:
    """A record survives the journal's JSON, infinite and missing metrics included."""
    record = MANIFEST.record("00003/x.json", Written(100, "ab"))
    assert (record.bytes, record.new_bytes) == (137, 120)
    assert record.shared == (("11" * 8, 20), ("22" * 8 + ".7", 7))
    assert CheckpointRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_names() -> None:
    """Ids name positions; manifests name positions and who wrote them, and sort by position."""
    assert identifier(3, 7, 420, Kind.STOP) == "3@7.420"
    assert identifier(3, 10, 600, Kind.FINAL) == "3@10.600.final"
    name = manifest_name(3, 7, 420, Kind.FINAL, session=1, attempt=2)
    assert name == "00003/000007.000000420.final-s001a02.json"
    assert MANIFEST.name == "00003/000007.000000420.partial-s002a01.json"
