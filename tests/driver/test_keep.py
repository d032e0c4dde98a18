"""What a spec asks to keep is what a run leaves on the disk, killed or not."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from conftest import Project, until

from sweep.checkpoint.store import CheckpointStore
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState
from sweep.journal.table import final_metrics
from sweep.paths import StudyPaths


def state_of(project: Project) -> StudyState:
    return read_state(StudyPaths.of(project.store, "study").journal)


def kept(project: Project) -> dict[int, list[str]]:
    """Ids of the checkpoints of each trial on the disk; each is read, and is in the journal."""
    store = CheckpointStore(StudyPaths.of(project.store, "study").checkpoints)
    found = {}
    for number, trial in state_of(project).trials.items():
        names = store.manifests(number)
        assert set(names) == {known.record["manifest"] for known in trial.kept}
        found[number] = [store.read(name).manifest.id for name in names]
    return found


def study(project: Project, keep: dict[str, Any], **content: Any) -> list[str]:
    """The command that runs a study of several epochs a trial."""
    parameters = {
        "width": {"value": 4},
        "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
        "epochs": {"value": 4},
    }
    spec = project.spec(
        "study",
        program="exact:train",
        parameters=parameters,
        checkpoint={"every": {"epochs": 1}, "keep": keep},
        **content,
    )
    return ["run", "--inline", str(spec)]


def test_only_the_incumbent_keeps(project: Project) -> None:
    """With `incumbents: 1` the best trial alone has checkpoints, and its best is among them."""
    keep = {"last": 1, "best": 1, "incumbents": 1, "final": False}
    done = project.run(*study(project, keep, trials=3))
    assert done.returncode == 0, done.stderr
    best = state_of(project).best
    assert best is not None
    found = kept(project)
    assert [number for number, ids in found.items() if ids] == [best.number]
    losses = {epoch: report.metrics["loss"] for epoch, report in best.reports.items()}
    top = min(losses, key=lambda epoch: losses[epoch])
    assert any(name.startswith(f"{best.number}@{top + 1}.") for name in found[best.number])
    assert final_metrics(best)


@pytest.mark.parametrize(
    "rule", [{"bytes": "1B"}, pytest.param({"age": 1e-6}, marks=pytest.mark.long)]
)
def test_pressure_never_takes_what_a_resume_needs(project: Project, rule: dict[str, Any]) -> None:
    """Under any pressure a killed trial goes on from its newest checkpoint, not from scratch."""
    command = study(project, {"last": 9, "best": 9, **rule}, trials=1)
    process = project.start(*command, STEP_S="0.02")
    until(lambda: (project.store / "study" / "journal").is_dir() and state_of(project).manifests)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (trial,) = state_of(project).trials.values()
    newest = trial.kept[-1].id
    done = project.run(*command)
    assert done.returncode == 0, done.stderr
    if "bytes" in rule:
        assert "more than checkpoint.keep.bytes (1)" in done.stderr
    frame = (project.root / "execution.log").read_text().splitlines()
    executed = [line.split()[2] for line in frame if line.startswith("report 0")]
    assert executed.count("0") == 1, f"did not go on from {newest}"
    (ids,) = kept(project).values()
    assert len(ids) == 1
