"""Mirrors of whole studies: behind a run, through kills and failures, and back again."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, until
from s3_server import CREDENTIALS, S3Server

import sweep
from sweep.analysis.migration import migrate_study
from sweep.checkpoint.blob import Written
from sweep.checkpoint.digest import digest_of
from sweep.checkpoint.manifest import dump, load
from sweep.checkpoint.mirror import Mirror, MirrorSource
from sweep.checkpoint.place import DirectoryPlace
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.copying import Copier
from sweep.driver.mirroring import read_lag
from sweep.driver.pulling import pull
from sweep.driver.repair import repair
from sweep.driver.verification import verify
from sweep.errors import UsageError
from sweep.journal.journal import read_state
from sweep.paths import StudyPaths


@pytest.fixture
def server() -> Iterator[S3Server]:
    running = S3Server()
    yield running
    running.kill()


def spec_with(project: Project, to: str, /, **content: object) -> Path:
    checkpoint = {
        "every": {"epochs": 1},
        "keep": {"last": 1, "best": 1},
        "mirror": {"to": to, "wait": 20},
    }
    checkpoint.update(content.pop("checkpoint", {}))  # type: ignore[call-overload]
    base: dict[str, object] = {
        "name": "study",
        "program": "exact:train",
        "parameters": {
            "width": {"values": [4, 8]},
            "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
            "epochs": {"value": 4},
        },
        "trials": 5,
        "checkpoint": checkpoint,
    }
    return project.spec("study", **(base | content))


def tables(store: Path) -> dict[str, pd.DataFrame]:
    study = sweep.open_study(store / "study")
    return {
        "trials": study.trials.drop(columns=["started", "finished", "duration_s", "attempts"]),
        "reports": study.reports.drop(columns=["attempt", "time"]),
        "iterations": study.iterations.drop(columns=["time"]),
    }


def assert_whole(store: Path) -> int:
    """Each checkpoint that the journal keeps loads; how many there are."""
    paths = StudyPaths.of(store, "study")
    checkpoints = CheckpointStore(paths.checkpoints)
    kept = [each for trial in read_state(paths.journal).trials.values() for each in trial.kept]
    for each in kept:
        checkpoints.verify(each.record["manifest"])
    return len(kept)


def assert_same(one: Path, other: Path) -> None:
    for name, frame in tables(one).items():
        pd.testing.assert_frame_equal(frame, tables(other)[name], obj=name, check_exact=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run that nothing interrupted, with no mirror."""
    made = Project(tmp_path_factory.mktemp("whole"))
    shutil.copy(Path(__file__).parents[1] / "program" / "exact.py", made.root)
    spec = spec_with(made, "/x", checkpoint={"mirror": None})
    done = made.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize(
    "compression",
    [
        pytest.param("none", marks=pytest.mark.long),
        pytest.param("zstd", marks=pytest.mark.long),
        {"codec": "zstd", "where": "both"},
    ],
    ids=["none", "mirror", "both"],
)
def test_study_goes_through_a_bucket_and_back(
    project: Project, whole: Project, server: S3Server, compression: object
) -> None:
    """A mirrored study whose store is lost is pulled, whole, and goes on like one never broken."""
    uri = server.uri("deep/prefix")
    spec = spec_with(project, uri, checkpoint={"compression": compression})
    assert project.run("run", "--inline", spec, "--set", "trials=2", **CREDENTIALS).returncode == 0
    shown = project.run("show", "study", **CREDENTIALS).stdout
    assert "all is there" in shown
    shutil.rmtree(project.store)
    refused = project.run("run", "--inline", spec, **CREDENTIALS)
    assert refused.returncode == 2
    command = refused.stderr.split("sweep pull '")[1].split("'")[0]
    pulled = project.run("pull", command, **CREDENTIALS)
    assert pulled.returncode == 0, pulled.stderr
    assert assert_whole(project.store) >= 2
    done = project.run("run", "--inline", spec, **CREDENTIALS)
    assert done.returncode == 0, done.stderr
    assert_same(whole.store, project.store)
    packed = list(project.store.rglob("*.safetensors.zst"))
    assert bool(packed) == isinstance(compression, dict)


@pytest.mark.long
def test_server_that_dies_is_caught_up_with(project: Project, server: S3Server) -> None:
    """A server killed in the middle costs the run nothing; started again, it gets everything."""
    spec = spec_with(project, server.uri("p"), trials=4)
    process = project.start("run", "--inline", spec, STEP_S="0.05", **CREDENTIALS)
    paths = StudyPaths.of(project.store, "study")
    until(lambda: (lag := read_lag(paths)) is not None and lag.seq > 5)
    server.kill()
    until(lambda: (lag := read_lag(paths)) is not None and lag.reason is not None)
    assert "is behind by" in project.run("show", "study").stdout
    server.start()
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "warning" not in err
    assert "complete" in out
    shutil.move(project.store, project.root / "lost")
    assert project.run("pull", server.uri("p/study"), **CREDENTIALS).returncode == 0
    assert_whole(project.store)
    assert_same(project.root / "lost", project.store)


def test_mirror_that_cannot_be_written_is_a_warning(project: Project) -> None:
    """A mirror that cannot be had ends in a warning that says so, and not in a failure."""
    denied = project.root / "denied"
    denied.write_text("a file where the mirror's directory should be")
    spec = spec_with(project, str(denied), checkpoint={"mirror": {"to": str(denied), "wait": 0.5}})
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert f"warning: study: mirror {denied}/study is behind by" in done.stderr
    (line,) = [
        each for each in project.run("show", "study").stdout.splitlines() if "behind" in each
    ]
    assert line.split()[:4] == ["mirror", f"{denied}/study", "is", "behind"]


def test_resume_of_all_catches_mirrors_up_and_pull_lists_them(project: Project) -> None:
    """`sweep resume` copies what the mirrors of complete studies lack, and says so, once; `sweep
    pull` of the mirror names the studies in it, each with the command that pulls it."""
    mirror = project.root / "mirror"
    for name in ("one", "two"):
        spec = project.spec(name, checkpoint={"mirror": str(mirror)})
        assert project.run("run", "--inline", spec).returncode == 0
        (project.store / name / "mirror.json").unlink()  # as if it was killed before it copied
    shutil.rmtree(mirror)
    resumed = project.call("resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    for name in ("one", "two"):
        assert f"{name}: mirror {mirror}/{name} was behind: all is there now" in resumed.stdout
        assert "all is there" in project.call("show", name).stdout
    assert project.call("resume").stdout == "runs: no interrupted study\n"

    (mirror / "no study").mkdir()
    listed = project.call("pull", mirror, "--store", "else where")
    assert listed.returncode == 0
    commands = [line for line in listed.stdout.splitlines() if line.startswith("sweep pull ")]
    assert commands == [
        f"sweep pull {mirror}/{name} --store 'else where'" for name in ("one", "two")
    ]
    record = json.loads(project.call("pull", mirror, "--json").stdout)
    assert [each["study"] for each in record["studies"]] == ["one", "two"]
    assert not (project.root / "else where").exists()
    pulled = project.call(*shlex.split(commands[0])[1:])
    assert pulled.returncode == 0, pulled.stderr
    again = project.call("resume", "--store", "else where")
    assert again.stdout == "else where: no interrupted study\n"  # what was pulled is in the mirror

    for empty in (mirror / "no study", project.root / "nowhere"):
        refused = project.call("pull", empty)
        assert refused.returncode == 3
        assert "there is no study in it; give what `checkpoint.mirror`" in refused.stderr


@pytest.mark.long
def test_mirror_of_a_complete_study_catches_up(project: Project) -> None:
    """Where the mirror had not got all when the study was complete, the same command copies it."""
    mirror = project.root / "mirror"
    mirror.write_text("a file where the mirror's directory should be")
    to = {"mirror": {"to": str(mirror), "wait": 0.1}}
    spec = spec_with(project, "/x", trials=2, checkpoint=to)
    assert "to copy the rest" in project.run("run", "--inline", spec).stderr
    mirror.unlink()
    spec = spec_with(project, str(mirror), trials=2)
    for command in (("run", "--inline", spec), ("resume", "study")):
        again = project.run(*command)
        assert (again.returncode, again.stderr) == (0, "")
    shutil.move(project.store, project.root / "lost")
    assert not pull(str(mirror / "study"), project.store).missing
    assert_same(project.root / "lost", project.store)


def test_forks_and_migrated_checkpoints_are_mirrored(project: Project) -> None:
    """What a fork begins with, and what a migration rewrote, is in the mirror before its row is."""
    mirror = project.root / "mirror"
    spec = spec_with(project, "/x", trials=2, checkpoint={"mirror": None})
    assert project.run("run", "--inline", spec).returncode == 0
    paths = StudyPaths.of(project.store, "study")
    old = paths.root / "checkpoints" / "manifests"
    copier = Copier(paths, Mirror(DirectoryPlace(mirror / "study")))
    copier.copy()
    for again in (copier, Copier(paths, Mirror(DirectoryPlace(mirror / "study")))):
        sweep.open_study(paths.root).fork(0, force=True, lr=0.02 if again is copier else 0.03)
        kept = read_state(paths.journal).trials[0].kept[0].record
        manifest = old / kept["manifest"]
        loaded = load(manifest.read_bytes(), "")
        manifest.write_bytes(dump(replace(loaded, meta={**loaded.meta, "now": str(id(again))})))
        assert any(each.changed for each in migrate_study(paths))
        again.copy()
        assert not again.lost
        pulled = pull(str(mirror / "study"), project.root / "check")
        assert not pulled.missing
        assert assert_whole(project.root / "check") == assert_whole(project.store)
        assert verify(pulled.paths).whole
        shutil.rmtree(project.root / "check")


@pytest.mark.long
def test_damaged_checkpoint_holds_up_no_mirror(project: Project) -> None:
    """A checkpoint that the journal gave up as damaged is neither waited for nor taken away."""
    mirror = project.root / "mirror"
    spec = spec_with(project, "/x", trials=2, checkpoint={"mirror": None})
    assert project.run("run", "--inline", spec).returncode == 0
    paths = StudyPaths.of(project.store, "study")
    copier = Copier(paths, Mirror(DirectoryPlace(mirror / "study")))
    first, second = (read_state(paths.journal).trials[number].kept[0] for number in (0, 1))
    damaged = paths.checkpoints / "manifests" / first.record["manifest"]
    damaged.write_bytes(b"")
    copier.copy()
    assert list(copier.lost) == [first.record["manifest"]]
    (paths.checkpoints / "manifests" / second.record["manifest"]).write_bytes(b"")
    assert [name for name, _ in repair(paths).quarantined] == [first.id, second.id]
    copier.copy()
    assert not copier.lost
    assert not copier.pending
    assert (mirror / "study" / "manifests" / second.record["manifest"]).exists()
    assert not (mirror / "study" / "manifests" / first.record["manifest"]).exists()
    assert not pull(str(mirror / "study"), project.root / "check").missing


@pytest.mark.long
def test_hanging_server_holds_up_nothing(project: Project, server: S3Server) -> None:
    """A server that takes connections and never answers delays the end by the wait at most."""
    to = {"mirror": {"to": server.uri("p"), "wait": 1}}
    spec = spec_with(project, server.uri("p"), checkpoint=to)
    server.process.send_signal(signal.SIGSTOP)
    try:
        process = project.start("run", "--inline", spec, **CREDENTIALS)
        out, err = process.communicate(timeout=60)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert process.returncode == 0, err
    assert "complete" in out
    assert "warning: study: mirror" in err


@pytest.mark.long
def test_another_study_of_the_name_is_refused(project: Project, tmp_path: Path) -> None:
    """A mirror that holds one study is not overwritten by another with the same name."""
    mirror = tmp_path / "mirror"
    spec = spec_with(project, str(mirror), trials=1)
    assert project.run("run", "--inline", spec).returncode == 0
    shutil.move(project.store, project.root / "first")
    before = {path: path.read_bytes() for path in mirror.rglob("*.*")}
    plain = spec_with(project, "/x", trials=1, checkpoint={"mirror": None})
    assert project.run("run", "--inline", plain).returncode == 0
    refused = project.run("run", "--inline", spec_with(project, str(mirror), trials=2))
    assert refused.returncode == 2
    assert "belongs to another study" in refused.stderr
    assert {path: path.read_bytes() for path in mirror.rglob("*.*")} == before


@pytest.mark.long
def test_study_that_went_on_elsewhere_is_not_overwritten(project: Project) -> None:
    """Once a pulled copy has gone on, the store it came from no longer writes the mirror."""
    mirror = project.root / "mirror"
    spec = spec_with(project, str(mirror), trials=1)
    assert project.run("run", "--inline", spec).returncode == 0
    elsewhere = project.root / "elsewhere"
    pull(str(mirror / "study"), elsewhere)
    more = project.run("run", "--inline", spec, "--set", "trials=2", "--store", elsewhere)
    assert more.returncode == 0, more.stderr
    assert "warning" not in more.stderr
    old = project.run("run", "--inline", spec, "--set", "trials=3")
    assert old.returncode == 0
    assert "has gone on from the mirror elsewhere" in old.stderr
    with pytest.raises(UsageError, match="is there already"):
        pull(str(mirror / "study"), elsewhere)


def test_damaged_files_come_back_from_the_mirror(project: Project) -> None:
    """Each file of a checkpoint can be had from the mirror as it was."""
    mirror = project.root / "mirror"
    spec = spec_with(project, str(mirror), trials=1, checkpoint={"compression": "zstd"})
    assert project.run("run", "--inline", spec).returncode == 0
    paths = StudyPaths.of(project.store, "study")
    source = MirrorSource(lambda: Mirror(DirectoryPlace(mirror / "study")))
    (manifest,) = (paths.checkpoints / "manifests").glob("*/*.json")
    whole = manifest.read_bytes()
    manifest.write_bytes(b"")
    assert source.fetch(f"manifests/{manifest.parent.name}/{manifest.name}", None, manifest)
    assert manifest.read_bytes() == whole
    for blob in (paths.checkpoints / "blobs").rglob("*.safetensors"):
        data = blob.read_bytes()
        blob.unlink()
        name = blob.relative_to(paths.checkpoints).as_posix()
        written = Written(len(data), digest_of(data))
        assert source.fetch(name, written, blob)
        assert blob.read_bytes() == data


SHIM = """
import os, signal, sys, threading
calls, wanted = 0, int(os.environ["KILL_AT"])
def counted(real):
    def call(*arguments, **options):
        global calls
        if threading.current_thread().name == os.environ["KILL_IN"]:
            calls += 1
            if calls == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("fsync", "replace", "unlink", "mkdir", "rename", "link"):
    setattr(os, name, counted(getattr(os, name)))
sys.argv = ["sweep", *sys.argv[1:]]
from sweep.cli.main import main
main()
"""
"""Runs the command and kills it before the n-th change of a file system that a thread makes."""


def run_until(project: Project, thread: str, at: int, *arguments: object) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SHIM, *map(str, arguments)],
        cwd=project.root,
        env=os.environ | {"KILL_AT": str(at), "KILL_IN": thread},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode


def assert_readable(mirror: Path, to: Path) -> None:
    """What lies in the mirror now is a study whose checkpoints are all there, or none yet."""
    if not list((mirror / "study" / "journal").glob("[!.]*")):
        return
    pulled = pull(str(mirror / "study"), to)
    assert not pulled.missing
    assert_whole(to)
    shutil.rmtree(to)


def kills(project: Project, whole: Project, points: Iterator[int] | range | list[int]) -> int:
    """Kill a mirrored run at each of the points, one after the other; how many kills hit."""
    mirror = project.root / "mirror"
    spec = spec_with(project, str(mirror))
    hits = 0
    for at in points:
        hits += run_until(project, "mirror", at, "run", "--inline", spec) == -signal.SIGKILL
        assert_readable(mirror, project.root / "check")
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert_same(whole.store, project.store)
    shutil.rmtree(project.store)
    pull(str(mirror / "study"), project.store)
    assert_whole(project.store)
    assert_same(whole.store, project.store)
    return hits


def test_mirror_is_a_readable_prefix_after_kills(project: Project, whole: Project) -> None:
    """Killed between two steps of the mirror: what is there can be pulled; resumed, it is whole."""
    assert kills(project, whole, [9]) == 1


@pytest.mark.long
def test_mirror_is_a_readable_prefix_after_every_step(project: Project, whole: Project) -> None:
    """The same for each of the first hundred steps of one mirror, from an empty one each time."""
    mirror = project.root / "mirror"
    spec = spec_with(project, str(mirror), trials=2)
    for at in range(1, 100):
        if run_until(project, "mirror", at, "run", "--inline", spec) != -signal.SIGKILL:
            break
        assert_readable(mirror, project.root / "check")
        shutil.rmtree(mirror, ignore_errors=True)
        shutil.rmtree(project.store)
    assert at > 20
    chooser = random.Random(1)
    shutil.rmtree(mirror, ignore_errors=True)
    shutil.rmtree(project.store, ignore_errors=True)
    kills(project, whole, [chooser.randint(2, 20) for _ in range(8)])


@pytest.mark.long
def test_killed_pull_is_no_study_and_goes_on(project: Project) -> None:
    """A pull killed at a step leaves nothing that looks like a study; the next one completes it."""
    mirror = project.root / "mirror"
    spec = spec_with(project, str(mirror), trials=2)
    assert project.run("run", "--inline", spec).returncode == 0
    shutil.move(project.store, project.root / "lost")
    for at in (3, 12, 25):
        assert run_until(project, "MainThread", at, "pull", mirror / "study") == -signal.SIGKILL
        assert "no studies" in project.run("ls").stdout
    assert project.run("pull", mirror / "study").returncode == 0
    assert_whole(project.store)
    assert_same(project.root / "lost", project.store)
    assert not list(project.store.rglob(".*.tmp"))
