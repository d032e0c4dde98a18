"""Studies whose checkpoints are packed: killed, gone on with, verified, mended and pulled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project, until

import sweep
from sweep.analysis.migration import migrate_study
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.collection import collect_idle
from sweep.driver.verification import verify
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths

BOTH = {"codec": "zstd", "where": "both"}


def spec_with(
    project: Project, compression: object, name: str = "study", **checkpoint: object
) -> Path:
    """Trials with one array that is large enough for a file of its own."""
    keep = {"last": 3, "best": 1}
    return project.spec(
        name,
        program="exact:train",
        parameters={
            "width": {"value": 30_000},
            "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
            "epochs": {"value": 3},
        },
        trials=2,
        checkpoint={"every": {"epochs": 1}, "keep": keep, "compression": compression} | checkpoint,
    )


def paths_of(project: Project, name: str = "study") -> StudyPaths:
    return StudyPaths.of(project.store, name)


def state_of(project: Project) -> StudyState:
    return read_state(paths_of(project).journal)


def files(project: Project, pattern: str) -> list[Path]:
    return [path for path in paths_of(project).checkpoints.rglob(pattern) if path.is_file()]


def weights(project: Project, name: str = "study") -> list[list[bytes]]:
    """The bytes of the final weights of each trial."""
    study = sweep.open_study(paths_of(project, name).root)
    finals = [study.load_checkpoint(each)["model"] for each in study.trials["checkpoint"]]
    return [[value.numpy().tobytes() for value in state.values()] for state in finals]


def killed_once(project: Project, spec: Path, reached: Callable[[], object], *how: str) -> None:
    process = project.start("run", *how, spec, STEP_S="0.02")
    until(lambda: reached() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.wait()


def saved(project: Project) -> int:
    paths = paths_of(project)
    return len(state_of(project).manifests) if paths.journal.is_dir() else 0


@pytest.mark.long
def test_killed_and_gone_on_with(project: Project) -> None:
    """A study with packed checkpoints goes on from them after a kill, is whole, and is smaller."""
    spec = spec_with(project, BOTH)
    killed_once(project, spec, lambda: saved(project) >= 2, "--inline")
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    packed = files(project, "*.safetensors.zst")
    assert packed
    assert not files(project, "*.safetensors")
    assert any(len(path.name) > 64 for path in packed), "a large one, and shared"
    paths, state = paths_of(project), state_of(project)
    assert verify(paths).whole
    records = [each.record for trial in state.trials.values() for each in trial.kept]
    for record in records:
        blobs = CheckpointStore(paths.checkpoints).read(record["manifest"]).manifest.blobs
        assert record["bytes"] < 0.95 * sum(blob.written.bytes for blob in blobs)
    collect_idle(paths)
    assert set(files(project, "*.zst")) == set(packed)
    assert verify(paths).whole


@pytest.mark.long
@pytest.mark.parametrize("how", [["--inline"], pytest.param([], marks=pytest.mark.ray)])
def test_the_setting_may_change_between_sessions(project: Project, how: list[str]) -> None:
    """Plain and packed files side by side, through kills: the bits of a run that packed nothing."""
    whole = project.run("run", *how, spec_with(project, "none", "whole"))
    assert whole.returncode == 0, whole.stderr
    plain, both = spec_with(project, "none", "plain"), spec_with(project, BOTH, "both")
    for path in (plain, both):
        path.write_text(path.read_text() + "name: study\n")
    killed_once(project, plain, lambda: saved(project) >= 1, *how)
    killed_once(project, both, lambda: files(project, "manifests/*/*a02.json"), *how)
    assert files(project, "*.zst")
    assert files(project, "*.safetensors")
    killed_once(project, plain, lambda: saved(project) >= 4, *how)
    done = project.run("run", *how, both)
    assert done.returncode == 0, done.stderr
    assert weights(project) == weights(project, "whole")
    for arguments in (["verify", "study"], ["gc", "study"], ["verify", "study"]):
        done = project.run(*arguments)
        assert done.returncode == 0, done.stdout
    assert not any(each.changed for each in migrate_study(paths_of(project)))
    forked = project.run("fork", "study/1@latest", "--set", "lr=0.001", "--force")
    assert forked.returncode == 0, forked.stderr
    exported = project.run("export", "study/0@best", "--to", "model.safetensors")
    assert exported.returncode == 0, exported.stderr


@pytest.mark.long
@pytest.mark.parametrize("first", ["zstd", "none"])
def test_mended_and_pulled(project: Project, first: str) -> None:
    """The mirror mends packed files, and gives the study back, be its objects packed or not."""
    mirror = {"mirror": str(project.root / "mirror")}
    plain, both = spec_with(project, first, "plain", **mirror), spec_with(project, BOTH, **mirror)
    plain.write_text(plain.read_text() + "name: study\n")
    done = project.run("run", "--inline", plain, "--set", "trials=1")
    assert done.returncode == 0, done.stderr
    done = project.run("run", "--inline", both)
    assert done.returncode == 0, done.stderr
    expected, state = weights(project), state_of(project)
    packed = files(project, "blobs/*/*/*.zst")
    assert packed
    for number, path in enumerate(packed):
        data = path.read_bytes()
        path.unlink()  # and its pool's name keeps the whole one
        if number % 2:
            path.write_bytes(data[:-1])
    assert project.run("verify", "study").returncode == 1
    mended = project.run("verify", "study", "--repair")
    assert mended.returncode == 0, mended.stdout
    assert verify(paths_of(project)).whole
    assert weights(project) == expected
    shutil.rmtree(project.store)
    pulled = project.run("pull", str(project.root / "mirror" / "study"))
    assert pulled.returncode == 0, pulled.stderr
    assert verify(paths_of(project)).whole
    assert (weights(project), state_of(project).manifests) == (expected, state.manifests)
    assert files(project, "*.zst")
    again = project.run("run", "--inline", both, "--set", "trials=3")
    assert again.returncode == 0, again.stderr
    assert verify(paths_of(project)).whole
