"""`sweep verify --repair` where there is more to go on than the files: a mirror, or a format."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import pytest
from conftest import Project

from sweep.analysis.fork import fork_trial
from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.manifest import dump, load
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.repair import repair
from sweep.driver.verification import verify
from sweep.journal.journal import read_state
from sweep.journal.state import Checkpoint
from sweep.paths import StudyPaths

PROGRAM = """
import numpy as np


class Values:
    def __init__(self, count):
        self.values = np.random.default_rng(1).random(count)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"]


def train(trial):
    backbone, head = Values(50_000), Values(1000)
    trial.track(backbone=backbone, head=head)
    for epoch in trial.epochs(4):
        head.values += trial.params.x
        trial.report(loss=trial.params.x - epoch)
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A mirrored study of two trials that share a file; nobody changes it."""
    project = Project(tmp_path_factory.mktemp("whole"))
    (project.root / "frozen.py").write_text(PROGRAM)
    spec = project.spec(
        "s",
        program="frozen:train",
        trials=2,
        checkpoint={
            "every": {"epochs": 2},
            "keep": {"last": 3, "best": 1},
            "mirror": {"to": str(project.root / "mirror"), "wait": 20},
        },
    )
    done = project.run("run", "--inline", spec)
    assert (done.returncode, done.stderr) == (0, "")
    return project


@pytest.fixture
def study(project: Project, whole: Project) -> StudyPaths:
    """A copy of it, in which what is shared is shared."""
    project.store.mkdir()
    subprocess.run(["cp", "-a", f"{whole.store}/s", str(project.store)], check=True)
    return StudyPaths.of(project.store, "s")


def kept(paths: StudyPaths) -> list[Checkpoint]:
    """The full checkpoints that the study keeps."""
    return [
        known
        for trial in read_state(paths.journal).trials.values()
        for known in trial.kept
        if known.record["content"] == "full"
    ]


def files(paths: StudyPaths) -> dict[str, bytes]:
    root = paths.checkpoints
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_everything_comes_back_from_the_mirror(project: Project, study: StudyPaths) -> None:
    """A bad shared file, a lost manifest and lost blobs are mended for all that need them."""
    before = files(study)
    shared = next((study.checkpoints / "pool").rglob("*.safetensors"))
    assert shared.stat().st_nlink > 4
    data = bytearray(shared.read_bytes())
    data[-1] ^= 1
    with shared.open("r+b") as file:  # all of its names have it
        file.write(data)
    first, second = kept(study)[0], kept(study)[-1]
    (study.checkpoints / "manifests" / first.record["manifest"]).unlink()
    shutil.rmtree(study.checkpoints / "blobs" / second.record["manifest"].removesuffix(".json"))
    assert project.run("verify", "s").returncode == 1
    mended = project.run("verify", "s", "--repair", "--json")
    assert mended.returncode == 0, mended.stdout
    assert set(json.loads(mended.stdout)["repair"]["repaired"]) == {each.id for each in kept(study)}
    assert files(study) == before
    assert verify(study).whole
    assert project.run("verify", "s").returncode == 0


def test_killed_migration_is_no_damage(study: StudyPaths) -> None:
    """A manifest that was rewritten, but not journaled, is journaled and not set aside."""
    known, before = kept(study)[0], [each.id for each in kept(study)]
    path = study.checkpoints / "manifests" / known.record["manifest"]
    loaded = load(path.read_bytes(), "")
    path.write_bytes(dump(replace(loaded, meta={**loaded.meta, "migrated": True})))
    assert not verify(study).whole
    done = repair(study)
    assert (done.repaired, done.quarantined) == ([known.id], [])
    assert verify(study).whole
    assert [again.id for again in kept(study)] == before


def test_fork_that_was_not_made_is_not_adopted(study: StudyPaths) -> None:
    """What a killed fork has left is never taken for a checkpoint of the fork made after it."""
    state = read_state(study.journal)
    left, used = (CheckpointRecord.from_json(known.record) for known in kept(study)[:2])
    store = CheckpointStore(study.checkpoints)
    orphan = write_fork(store, left, trial=2, session=state.sessions, params={"x": 0.5})
    made = fork_trial(study, used.trial, {"x": 0.25}, at=used.id, force=True)
    assert (made.trial, made.checkpoint != orphan.id) == (2, True)
    repair(study)
    assert [known.id for known in read_state(study.journal).trials[2].kept] == [made.checkpoint]
