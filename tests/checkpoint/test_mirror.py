"""The mirror's files, in a directory and in a bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from s3_server import CREDENTIALS, S3Server

from sweep.checkpoint.blob import OpenBlob, Written
from sweep.checkpoint.compression import SUFFIX, pack
from sweep.checkpoint.digest import digest_of
from sweep.checkpoint.mirror import Mirror, MirrorSource, Owner, object_name
from sweep.checkpoint.place import DirectoryPlace, Place, below, place_at
from sweep.errors import CheckpointDamagedError, UsageError


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    running = S3Server()
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    yield running
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    running.kill()


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of each kind."""
    if request.param == "directory":
        return place_at(str(tmp_path / "mirror"))
    server: S3Server = request.getfixturevalue("server")
    return place_at(server.uri(f"{tmp_path.name}/deep"))


def saved(tmp_path: Path, data: bytes, level: int | None = None) -> tuple[Path, Written]:
    """A file, packed with ``level`` or as it is."""
    path, written = tmp_path / "blob", Written(len(data), digest_of(data))
    if level is None:
        path.write_bytes(data)
        return path, written
    path.write_bytes(b"".join(pack([data], len(data), 1, level)))
    return path, replace(written, packed=path.stat().st_size)


def test_a_place_lists_its_folders(place: Place) -> None:
    """Those directly below it, by name; none where nothing was put."""
    assert place.folders() == []
    for name in ("b/owner.json", "a/journal/x", "file"):
        place.put(name, [b"x"])
    assert place.folders() == ["a", "b"]


def test_a_place_keeps_what_it_is_given(place: Place) -> None:
    """put, size, names, open, remove: each sees what the others did, and absence is no error."""
    assert place.names("journal") == {}
    assert place.size("journal/a") is None
    assert place.put("journal/a", [b"one", b"two"]) == 6
    assert place.put("journal/deep/b", [b""]) == 0
    assert place.names("journal") == {"journal/a": 6, "journal/deep/b": 0}
    assert place.put("journal/a", [b"other"]) == 5
    with place.open("journal/a") as stream:
        assert stream.read(100) == b"other"
    with pytest.raises(FileNotFoundError), place.open("journal/none") as stream:
        stream.read(1)
    place.remove("journal/a")
    place.remove("journal/a")
    assert place.size("journal/a") is None


@pytest.mark.parametrize(("local", "level"), [(None, None), (None, 3), (3, None), (3, 3)])
@pytest.mark.parametrize("size", [0, 10, 4_500_003])
def test_objects_come_back_verified(
    place: Place, tmp_path: Path, local: int | None, level: int | None, size: int
) -> None:
    """An object, compressed or not, of any size, is fetched as it was; a damaged one is refused."""
    path, written = saved(tmp_path, np.random.default_rng(0).bytes(size), local)
    mirror = Mirror(place, level=level)
    name = mirror.write_object(path, written)
    packed = level is not None or local is not None
    assert name == object_name(written.digest) + (SUFFIX if packed else "")
    target = tmp_path / "back"
    assert mirror.fetch_object(written, target)
    assert target.read_bytes() == path.read_bytes()
    for other in (replace(written, packed=None), replace(written, packed=0)):
        assert mirror.fetch_object(other, target), "in the other form"
        with OpenBlob(target) as file:
            file.check(other)
    target.unlink()
    place.put(name, [b"not what it was"])
    with pytest.raises(CheckpointDamagedError):
        mirror.fetch_object(written, target)
    assert not list(tmp_path.glob("*back*")), "something of the bad copy stayed"
    assert not MirrorSource(lambda: mirror).fetch("blobs/x", written, target)
    assert not mirror.fetch_object(Written(0, "0" * 64), target)


def test_an_object_never_grows_beyond_what_is_expected(tmp_path: Path) -> None:
    """A packed object that would unpack to more than the manifest says is refused at once."""
    path, written = saved(tmp_path, bytes(9_000_000))
    mirror = Mirror(DirectoryPlace(tmp_path / "mirror"), level=3)
    mirror.write_object(path, written)
    with pytest.raises(CheckpointDamagedError, match="9000000 bytes instead of 100"):
        mirror.fetch_object(replace(written, bytes=100), tmp_path / "back")


@pytest.mark.parametrize("level", [None, 3])
def test_damaged_files_are_not_copied(tmp_path: Path, level: int | None) -> None:
    """A file whose bytes are not those of its digest never becomes an object."""
    path, written = saved(tmp_path, b"bytes", level)
    mirror = Mirror(DirectoryPlace(tmp_path / "mirror"))
    with pytest.raises(CheckpointDamagedError):
        mirror.write_object(path, replace(written, digest="0" * 64))
    assert mirror.names("objects") == {}


def test_owner_is_read_back(place: Place) -> None:
    """A mirror says whose it is, and that nobody's it is."""
    mirror = Mirror(place)
    assert mirror.owner() is None
    owner = Owner(study="1", session="2", host="h", path="/p")
    mirror.own(owner)
    assert mirror.owner() == owner


def test_source_checks_the_seal_of_a_manifest(tmp_path: Path) -> None:
    """A manifest that is not whole is not given out, and the target stays as it was."""
    mirror = Mirror(DirectoryPlace(tmp_path / "mirror"))
    mirror.write("manifests/00000/x.json", b"{}")
    assert not MirrorSource(lambda: mirror).fetch(
        "manifests/00000/x.json", None, tmp_path / "t" / "x"
    )
    assert not (tmp_path / "t" / "x").exists()


@pytest.mark.parametrize("uri", ["here", "./here", "s3:///x", "ftp://x/y", "gs://bucket/x"])
def test_other_places_are_refused(uri: str) -> None:
    """A relative path or another service is named in the error."""
    with pytest.raises(UsageError, match="absolute path"):
        place_at(uri)


def test_below_keeps_the_options() -> None:
    """A name goes before the options of a URI."""
    assert below("s3://b/p/?region=x", "study") == "s3://b/p/study?region=x"
    assert below("/a?b", "study") == "/a?b/study"
