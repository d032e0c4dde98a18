"""A checkpoint of other parameters, or of a newer framework, is not gone on with."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from trial_harness import Recorder, Runner

from sweep.checkpoint.manifest import Manifest
from sweep.checkpoint.policy import Policy
from sweep.errors import CheckpointMismatchError
from sweep.trial.origin import check_origin
from sweep.trial.outcome import Outcome


def counts(trial: Any) -> None:
    trial.track()
    for epoch in trial.epochs(4):
        trial.report(loss=float(epoch))


@pytest.fixture
def stopped(tmp_path: Path) -> Runner:
    """A trial that was stopped at its second safe point."""
    runner = Runner(tmp_path, counts, params={"lr": 0.1, "width": 4}, policy=Policy(epochs=1))
    assert runner.run(Recorder(stop_at=2)).ended.outcome is Outcome.STOPPED
    return runner


def manifest_of(runner: Runner) -> Manifest:
    return runner.store.read(runner.known[-1]).manifest


def test_other_parameters_are_refused(stopped: Runner) -> None:
    """Neither another value nor a parameter more or less; both sides are named, nothing runs."""
    before = len(stopped.reports)
    ended = stopped.run(params={"lr": 0.2, "width": 4}).ended
    assert ended.outcome is Outcome.FAILED
    assert "was saved with lr=0.1, but the trial has lr=0.2" in (ended.reason or "")
    assert len(stopped.reports) == before
    for params, named in (
        ({"lr": 0.1}, "was saved with width=4, but the trial has width=absent"),
        ({"lr": 0.1, "width": 4, "x": 1}, "was saved with x=absent, but the trial has x=1"),
        ({"lr": 0.1, "width": 4.0}, "was saved with width=4, but the trial has width=4.0"),
    ):
        with pytest.raises(CheckpointMismatchError, match=named):
            check_origin(manifest_of(stopped), params)
    check_origin(manifest_of(stopped), {"width": 4, "lr": 0.1})


@pytest.mark.parametrize("package", ["torch", "numpy"])
def test_a_newer_major_version_is_refused(stopped: Runner, package: str) -> None:
    """What a newer major version has saved is refused; the same or an older one's is read."""
    manifest, here = manifest_of(stopped), metadata.version(package)
    params, major = manifest.meta["params"], int(here.partition(".")[0])
    for version in (f"{major - 1}.9.0", here, f"{major}.999.0"):
        check_origin(
            replace(manifest, meta={**manifest.meta, "versions": {package: version}}), params
        )
    newer = {**manifest.meta, "versions": {package: f"{major + 1}.0.0"}}
    with pytest.raises(CheckpointMismatchError, match=f"saved with {package} {major + 1}.0.0, and"):
        check_origin(replace(manifest, meta=newer), params)
