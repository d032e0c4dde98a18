"""Digests of content: what they are, and that both kinds are read for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from sweep.checkpoint.blob import OpenBlob, Written
from sweep.checkpoint.digest import begin, checked, digest_of
from sweep.checkpoint.mirror import Mirror
from sweep.checkpoint.place import DirectoryPlace
from sweep.errors import CheckpointDamagedError

ABC_BLAKE3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
"""Of ``abc``: computed with the reference implementation's ``b3sum``."""
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""Of ``abc``: FIPS 180-4's example."""


def test_digests_are_those_of_the_standards() -> None:
    """A digest of each kind, in one part and in several."""
    for like, expected in ((None, f"{ABC_BLAKE3}-b3"), ("0" * 64, ABC_SHA256)):
        made = begin(like)
        made.update(b"a")
        made.update(bytearray(b"bc"))
        assert made.digest() == digest_of(b"abc", like) == digest_of(b"abc", expected) == expected


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "-b2", "../" * 22])
def test_what_is_no_digest(text: object) -> None:
    """It would become a part of a path."""
    with pytest.raises(ValueError, match="no digest"):
        checked(text)


@pytest.mark.parametrize("like", [None, "0" * 64])
def test_files_of_both_kinds(tmp_path: Path, like: str | None) -> None:
    """Files named by older versions are read, mirrored and fetched, verified each time."""
    data = save({"x": np.arange(8.0)})
    path, written = tmp_path / "blob", Written(len(data), digest_of(data, like))
    path.write_bytes(data)
    mirror = Mirror(DirectoryPlace(tmp_path / "mirror"), level=3)
    mirror.write_object(path, written)
    assert mirror.fetch_object(written, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    with OpenBlob(path) as file:
        assert bytes(file.read(written)["x"].data) == np.arange(8.0).tobytes()
    path.write_bytes(data[:-1] + b"?")
    with OpenBlob(path) as file, pytest.raises(CheckpointDamagedError, match=str(path)):
        file.read(written)
    with pytest.raises(CheckpointDamagedError):
        mirror.write_object(path, written)
