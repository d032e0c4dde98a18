"""`sweep verify`: any damage is found and named, and what can be mended is mended."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROGRAMS, Project, until

import sweep
from sweep.analysis.fork import fork_trial
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.repair import repair
from sweep.driver.verification import verify
from sweep.errors import JournalError
from sweep.journal.event import CheckpointSaved, Event, TrialAsked, TrialReported
from sweep.journal.journal import read_state
from sweep.journal.listing import list_segments
from sweep.journal.segment import read_entries
from sweep.paths import StudyPaths


def paths_of(project: Project) -> StudyPaths:
    return StudyPaths.of(project.store, "study")


def exact(project: Project) -> Path:
    return project.spec(
        "study",
        program="exact:train",
        parameters={
            "width": {"values": [4, 8]},
            "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
            "epochs": {"value": 3},
        },
        trials=3,
        seed=5,
        checkpoint={"every": {"epochs": 1}, "keep": {"last": 2, "best": 1}},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study that was never disturbed, made once; nobody changes it."""
    project = Project(tmp_path_factory.mktemp("whole"))
    shutil.copy(PROGRAMS / "exact.py", project.root)
    done = project.call("run", "--inline", exact(project))
    assert done.returncode == 0, done.stderr
    return project


def tree(paths: StudyPaths) -> dict[str, bytes]:
    """All files of a study but its lock."""
    return {
        str(path.relative_to(paths.root)): path.read_bytes()
        for path in paths.root.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
def finished(project: Project, whole: Project) -> StudyPaths:
    """A copy of it, in ``project``."""
    shutil.copytree(whole.store, project.store)
    return paths_of(project)


def flip(path: Path, place: float = 0.5) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def flip_and_restore(path: Path, paths: StudyPaths, place: float) -> list[str]:
    whole = path.read_bytes()
    flip(path, place)
    found = [bad.path for bad in verify(paths).bad]
    path.write_bytes(whole)
    return found


def test_every_file_is_read(finished: StudyPaths) -> None:
    """A flipped bit in any file of a study is found, and just that file is named."""
    paths = finished
    files = [path for path in paths.checkpoints.rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        for place in (0.0, 0.3, 0.7, 0.999):
            found = flip_and_restore(path, paths, place)
            assert found == [str(path)], f"{path} at {place}"
    assert verify(paths).whole


def test_no_event_can_be_changed(finished: StudyPaths) -> None:
    """A flipped bit in the journal is found and named, unless it changes no event at all."""
    paths = finished
    (segment,) = paths.journal.iterdir()
    events, whole = list(read_entries(paths.journal)), segment.read_bytes()
    named = 0
    for place in range(200):
        flip(segment, place / 200)
        found = verify(paths)
        assert [bad.path for bad in found.bad] == [str(segment)] * len(found.bad)
        named += len(found.bad)
        if found.whole:
            assert list(read_entries(paths.journal)) == events
        segment.write_bytes(whole)
    assert named > 100


def test_damage_is_named_set_aside_and_journaled(project: Project, finished: StudyPaths) -> None:
    """Without a mirror a bad checkpoint is set aside, the journal knows, all else is whole."""
    paths = finished
    known = read_state(paths.journal).trials[1].kept[-1]
    manifest = paths.checkpoints / "manifests" / known.record["manifest"]
    flip(manifest)
    found = project.run("verify", "study")
    assert found.returncode == 1
    assert f"{manifest}: its content is not what was saved" in found.stdout
    assert f"needed by {known.id}" in found.stdout
    assert manifest.exists()
    mended = json.loads(project.run("verify", "study", "--repair", "--json").stdout)
    assert mended["repair"]["quarantined"][0][0] == known.id
    trial = read_state(paths.journal).trials[1]
    assert trial.checkpoints[known.id].damaged
    assert known.id not in {checkpoint.id for checkpoint in trial.kept}
    assert not manifest.exists()
    assert list((paths.checkpoints / "quarantine").rglob(manifest.name))
    assert verify(paths).whole
    assert project.call("replay", "study").returncode == 0


def own_bytes(paths: StudyPaths) -> int:
    """What no two checkpoints can share."""
    roots = (paths.journal, paths.checkpoints / "manifests")
    return sum(path.stat().st_size for root in roots for path in root.rglob("*") if path.is_file())


def test_shared_file_is_read_once_and_named_with_all_that_need_it(finished: StudyPaths) -> None:
    """One bad file that two checkpoints hold is one line that names both."""
    paths = finished
    before = verify(paths).bytes - own_bytes(paths)
    made = fork_trial(paths, 0, {}, force=True)
    store = CheckpointStore(paths.checkpoints)
    manifest = read_state(paths.journal).trials[made.trial].kept[0].record["manifest"]
    (blob, *_) = store.read(manifest).manifest.blobs
    shared = paths.checkpoints / "blobs" / blob.path
    assert verify(paths).bytes - own_bytes(paths) <= before
    flip(shared)
    (bad,) = [each for each in verify(paths).bad if each.needed_by]
    assert set(bad.needed_by) == {made.source, made.checkpoint}


def killed_run(project: Project, rows: int) -> StudyPaths:
    """A study whose driver was killed when so many checkpoints were journaled."""
    process = project.start("run", "--inline", exact(project), STEP_S="0.02")
    paths = paths_of(project)
    until(lambda: paths.journal.is_dir() and saved(paths) >= rows)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return paths


def saved(paths: StudyPaths) -> int:
    entries = read_entries(paths.journal)
    return sum(isinstance(entry.event, CheckpointSaved) for entry in entries)


def cut_before(paths: StudyPaths, kind: type, trial: int, *, tear: bool) -> None:
    """Remove the end of the journal from the segment with an event on, or tear that segment."""
    segments, _ = list_segments(paths.journal)
    first = next(
        entry.seq
        for entry in read_entries(paths.journal)
        if isinstance(entry.event, kind) and entry.event.trial == trial
    )
    ends = [segment for segment in segments if segment.last >= first]
    assert len(ends) < len(segments)
    if tear:
        ends[0].path.write_bytes(ends[0].path.read_bytes()[:-9])
    else:
        for segment in ends:
            segment.path.unlink()


@pytest.mark.parametrize(
    ("kind", "tear"),
    [
        (TrialReported, False),
        pytest.param(CheckpointSaved, False, marks=pytest.mark.long),
        pytest.param(CheckpointSaved, True, marks=pytest.mark.long),
    ],
)
def test_lost_rows_are_taken_up_again(
    project: Project, whole: Project, kind: type[Event], tear: bool
) -> None:
    """A journal without its end: the checkpoints come back, the study ends with the same bits."""
    paths = killed_run(project, rows=5)
    state = read_state(paths.journal)
    trial = max(number for number, trial in state.trials.items() if trial.kept)
    before = [known.id for known in state.trials[trial].kept]
    cut_before(paths, kind, trial, tear=tear)
    if tear:
        assert project.run("resume", "study", "--inline").returncode == 3
    found = repair(paths)
    assert set(before) <= set(found.adopted)
    assert bool(found.segments) is tear
    now = read_state(paths.journal).trials[trial]
    # What was saved when the driver was killed, and had no row yet, is taken up after them.
    assert [known.id for known in now.kept if known.id in before] == before
    record = CheckpointRecord.from_json(now.kept[-1].record)
    assert record.step is not None
    assert now.reports[record.step].metrics == record.metrics
    assert verify(paths).whole
    done = project.run("resume", "study", "--inline")
    assert done.returncode == 0, done.stderr
    assert project.call("replay", "study").returncode == 0

    columns = ["number", "state", "value", "params.lr"]
    one, other = (sweep.open_study(p.store / "study").trials[columns] for p in (project, whole))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_checkpoint_of_a_trial_that_is_lost(project: Project) -> None:
    """Where the trial itself is not in the journal any more, its checkpoint is set aside."""
    paths = killed_run(project, rows=5)
    state = read_state(paths.journal)
    trial = max(number for number, trial in state.trials.items() if trial.kept)
    assert trial > 0
    kept = {known.id for known in state.trials[trial].kept}
    cut_before(paths, TrialAsked, trial, tear=False)
    done = repair(paths)
    assert {name for name, _ in done.quarantined} >= kept
    assert f"the journal has no trial {trial}" in dict(done.quarantined).values()
    assert not list((paths.checkpoints / "manifests" / f"{trial:05d}").glob("*.json"))
    assert verify(paths).whole


def test_lost_journal_is_no_whole_study(project: Project, finished: StudyPaths) -> None:
    """Checkpoints without a journal are no whole study, and `--repair` says what to do."""
    before = tree(finished)
    shutil.rmtree(finished.journal)
    finished.journal.mkdir()
    assert project.run("verify", "study").returncode == 1
    refused = project.run("verify", "study", "--repair")
    assert refused.returncode == 3
    assert "from a backup" in refused.stderr
    assert {p: d for p, d in before.items() if "journal" not in p} == {
        p: d for p, d in tree(finished).items() if "journal" not in p
    }


def test_nothing_is_touched_where_the_beginning_is_lost(
    project: Project, finished: StudyPaths
) -> None:
    """Without the first events nothing can go on: repair says so and leaves every file."""
    paths = finished
    for segment in paths.journal.iterdir():
        flip(segment)
    files = {path: path.stat().st_mtime_ns for path in paths.root.rglob("*") if path.is_file()}
    with pytest.raises(JournalError, match="nothing was changed"):
        repair(paths)
    for path in (paths.lock, *(paths.journal.iterdir())):
        files.pop(path, None)
    assert all(path.stat().st_mtime_ns == time for path, time in files.items())
    assert len(list(paths.journal.iterdir())) == 1
    failed = project.run("verify", "study", "--repair")
    assert failed.returncode == 3
    assert "Restore the journal from a backup" in failed.stderr
    assert "mends it" not in project.call("verify", "study").stdout


def test_beside_a_driver_that_retires(project: Project) -> None:
    """While a driver saves and retires as fast as it can, the study is whole at every look."""
    spec = project.spec("study", program="odd:sleeps", trials=1)
    process = project.start("run", "--inline", spec)
    paths = paths_of(project)
    until(lambda: paths.journal.is_dir() and saved(paths) > 3)
    first = saved(paths)
    for _ in range(25):
        found = verify(paths)
        assert found.whole, found.bad
    until(lambda: saved(paths) > first + 20)
    process.kill()


def test_damage_beside_a_driver(project: Project) -> None:
    """A running study can be verified, but is mended by nobody else than whoever holds it."""
    spec = project.spec(
        "study", program="odd:sleeps", trials=1, checkpoint={"keep": {"last": 10**6, "best": 0}}
    )
    process = project.start("run", "--inline", spec)
    paths = paths_of(project)
    until(lambda: paths.journal.is_dir() and saved(paths) > 3)
    manifest = paths.checkpoints / "manifests" / min(read_state(paths.journal).manifests)
    flip(manifest)
    found = project.run("verify", "study")
    assert found.returncode == 1
    assert str(manifest) in found.stdout
    refused = project.run("verify", "study", "--repair")
    assert refused.returncode == 3
    assert "is being run by" in refused.stderr
    assert manifest.exists()
    process.kill()


def test_killed_repair_can_be_repeated(project: Project) -> None:
    """A copy of a study that was half set aside by a killed repair is mended by the next."""
    paths = killed_run(project, rows=4)
    segments, _ = list_segments(paths.journal)
    torn = segments[-3].path
    torn.write_bytes(b"torn")
    aside = paths.quarantine / "journal"
    aside.mkdir(parents=True)
    shutil.move(segments[-1].path, aside)  # the last one goes first
    done = repair(paths)
    assert torn.name in done.segments
    assert verify(paths).whole
    assert {path.name for path in aside.iterdir()} == {s.path.name for s in segments[-3:]}
