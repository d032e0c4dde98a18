"""A damaged journal comes back from the study's mirror, and nothing that was here is lost."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from conftest import Project

from sweep.driver.recovery import mirror_of, recover
from sweep.journal.journal import read_state
from sweep.journal.listing import list_segments
from sweep.journal.segment import read_entries, write_segment
from sweep.paths import StudyPaths


@pytest.fixture
def mirrored(project: Project) -> StudyPaths:
    """A complete study of one segment, with all of it in a mirror."""
    spec = project.spec(
        "s",
        program="shapes:epochs",
        trials=3,
        checkpoint={"mirror": str(project.root / "mirror")},
    )
    done = project.run("run", spec, "--inline")
    assert done.returncode == 0, done.stderr
    paths = StudyPaths.of(project.store, "s")
    assert mirror_of(paths) == str(project.root / "mirror" / "s")
    return paths


def cut(paths: StudyPaths, *lengths: int) -> list[Path]:
    """The journal in segments of these lengths, and one of the rest."""
    entries = list(read_entries(paths.journal))
    for path in paths.journal.glob("*.parquet"):
        path.unlink()
    digest, start = 0, 0
    for length in (*lengths, len(entries) - sum(lengths)):
        _, digest = write_segment(paths.journal, entries[start : start + length], digest)
        start += length
    return [segment.path for segment in list_segments(paths.journal)[0]]


def flip(path: Path, chooser: random.Random) -> bytes:
    """Flip one bit that a reader notices; what is there now."""
    data = bytearray(path.read_bytes())
    data[chooser.randrange(4, len(data) // 2)] ^= 1 << chooser.randrange(8)
    path.write_bytes(data)
    return bytes(data)


def entries(paths: StudyPaths) -> list[object]:
    return list(read_entries(paths.journal))


@pytest.mark.parametrize("by", ["verify", "resume", "run"])
def test_one_segment_that_is_torn(project: Project, mirrored: StudyPaths, by: str) -> None:
    """`verify` names the way; a repair, a resume and a run bring the segment back, bit for bit in
    what it says, and the damaged file is kept."""
    before = entries(mirrored)
    (path,) = [segment.path for segment in list_segments(mirrored.journal)[0]]
    torn = path.read_bytes()[:-100]
    path.write_bytes(torn)
    found = project.call("verify", "s")
    assert found.returncode == 1
    assert "`sweep verify s --repair` mends it from the mirror" in found.stdout
    assert "sweep verify s --repair" in project.call("show", "s").stderr
    command = {"verify": ["verify", "s", "--repair"], "resume": ["resume", "s"]}
    done = project.call(*command.get(by, ["run", str(project.root / "s.yaml"), "--inline"]))
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert entries(mirrored) == before
    assert project.call("verify", "s").returncode == 0
    assert project.call("replay", "s").returncode == 0
    (kept,) = (mirrored.quarantine / "journal").iterdir()
    assert kept.read_bytes() == torn


@pytest.mark.parametrize("seed", range(6))
def test_any_damage_to_any_segments(mirrored: StudyPaths, seed: int) -> None:
    """Flipped, torn, emptied or removed, one or several: what the mirror has takes their place."""
    chooser = random.Random(seed)
    before = entries(mirrored)
    paths = cut(mirrored, 5, 7, 1, 4)
    for path in chooser.sample(paths[:-1], chooser.randint(1, 3)):
        match chooser.choice(["torn", "empty", "removed"]):
            case "torn":
                path.write_bytes(path.read_bytes()[: chooser.randrange(1, 900)])
            case "empty":
                path.write_bytes(b"")
            case _:
                path.unlink()
    found = recover(mirrored, wholly=True)
    assert found is not None
    assert found.whole
    assert entries(mirrored) == before
    assert recover(mirrored) is None


def test_a_changed_value_is_not_taken_for_whole(mirrored: StudyPaths) -> None:
    """A segment that was written anew with another value reads well, but does not chain."""
    before = entries(mirrored)
    _, changed, *_ = cut(mirrored, 5, 7)
    segment = list_segments(mirrored.journal)[0][1]
    changed.unlink()
    write_segment(mirrored.journal, before[segment.first : segment.last + 1], 12345)
    found = recover(mirrored, wholly=True)
    assert found is not None
    assert entries(mirrored) == before


def test_a_mirror_that_is_behind_gives_what_it_has(project: Project, mirrored: StudyPaths) -> None:
    """A repair takes the part that the mirror has and sets the rest aside; a resume refuses."""
    before = entries(mirrored)
    mirror = project.root / "mirror" / "s" / "journal"
    for path in mirror.iterdir():
        path.unlink()
    write_segment(mirror, before[:9], 0)
    paths = cut(mirrored, 5, 7)
    paths[1].write_bytes(b"nothing")
    content = {path.name: path.read_bytes() for path in paths}
    refused = project.call("resume", "s")
    assert refused.returncode == 3
    assert {path.name: path.read_bytes() for path in mirrored.journal.iterdir()} == content
    done = project.call("verify", "s", "--repair", "--json")
    assert done.returncode == 1
    mended = json.loads(done.stdout)["repair"]
    assert mended["recovered"] == ["00000005-00000008.parquet"]
    assert entries(mirrored)[:9] == before[:9]
    aside = {path.name: path.read_bytes() for path in (mirrored.quarantine / "journal").iterdir()}
    assert aside == {name: content[name] for name in sorted(content)[1:]}


def test_a_mirror_that_is_damaged_or_anothers_is_not_believed(
    project: Project, mirrored: StudyPaths
) -> None:
    """What does not chain, or belongs to another study, changes nothing; the message says why."""
    mirror = project.root / "mirror" / "s" / "journal"
    (path,) = mirrored.journal.glob("*.parquet")
    path.write_bytes(b"nothing")
    (theirs,) = sorted(mirror.iterdir())[:1]
    theirs.write_bytes(theirs.read_bytes()[:-50])
    done = project.call("resume", "s")
    assert done.returncode == 3
    assert "the mirror's journal is damaged" in done.stderr
    assert path.read_bytes() == b"nothing"


def test_pull_beside_what_is_damaged(project: Project, mirrored: StudyPaths) -> None:
    """`sweep pull` onto a study refuses with the ways; with `--aside` both are there afterwards."""
    before = entries(mirrored)
    (path,) = mirrored.journal.glob("*.parquet")
    path.write_bytes(b"nothing")
    (mirrored.root / "mine.txt").write_text("kept")
    uri = str(project.root / "mirror" / "s")
    refused = project.call("pull", uri)
    assert refused.returncode == 2
    assert "sweep verify s --repair" in refused.stderr
    assert "--aside" in refused.stderr
    done = project.call("pull", uri, "--aside")
    assert done.returncode == 0, done.stderr
    assert entries(mirrored) == before
    aside = project.store / ".s.aside-1"
    assert (aside / "mine.txt").read_text() == "kept"
    assert (aside / "journal" / path.name).read_bytes() == b"nothing"
    assert str(aside) in done.stdout
    assert read_state(mirrored.journal).finished == 3
    assert [study["study"] for study in json.loads(project.call("ls", "--json").stdout)] == ["s"]
