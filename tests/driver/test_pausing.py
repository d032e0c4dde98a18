"""Studies whose trials are paused and promoted, run in this process."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project
from test_every_event import run, tables

import sweep
from sweep.journal.event import CheckpointRetired, TrialState
from sweep.journal.journal import read_state
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState

ASHA = {"type": "asha", "reduction_factor": 3, "max_resource": 9}


def spec_of(project: Project, name: str = "s", function: str = "train", **content: Any) -> Path:
    base = {"program": f"rungs:{function}", "trials": 9, "early_terminate": ASHA}
    return project.spec(name, **(base | content))


def state_of(project: Project, name: str = "s") -> StudyState:
    return read_state(project.store / name / "journal")


def executed(project: Project) -> Counter[str]:
    return Counter((project.root / "epochs.log").read_text().splitlines())


@pytest.fixture(autouse=True)
def in_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)


def test_promoted_trials_go_on_in_their_very_state(project: Project) -> None:
    """No epoch is executed twice, and what a trial reports is what it reports without pauses."""
    assert run(spec_of(project), project.store) == 0
    assert set(executed(project).values()) == {1}
    assert run(spec_of(project, "whole", early_terminate=None), project.store) == 0
    paused, whole = tables(project.store / "s"), tables(project.store / "whole")
    merged = paused["reports"].merge(whole["reports"], on=["trial", "step"], validate="1:1")
    assert len(merged) == len(paused["reports"])
    assert (merged["metrics.loss_x"] == merged["metrics.loss_y"]).all()
    state = state_of(project)
    assert state.counts[TrialState.COMPLETE] == 1
    assert Counter(len(trial.reports) for trial in state.trials.values()) == {1: 6, 3: 2, 9: 1}
    assert {trial.reason for trial in state.trials.values() if trial.step == 0} == {
        "not promoted from the rung at 1 step"
    }


def test_paused_trials_survive_a_stop(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """They are shown, keep what they go on from against all rules, and end as if nothing was."""
    keep = {"keep": {"unsuccessful": "none"}}
    spec = spec_of(project, function="stopped", checkpoint=keep)
    assert run(spec, project.store) == 143
    assert project.call("gc", "s").returncode == 0
    state = state_of(project)
    assert len(state.paused) >= 3
    assert all(trial.newest is not None for trial in state.paused.values())
    paused = f"{len(state.paused)} paused"
    assert paused in project.call("show", "s").stdout
    assert set(sweep.open_study(project.store / "s").trials["state"]) >= {"PAUSED"}
    assert "interrupted" in project.call("ls").stdout
    assert run(spec, project.store) == 0
    assert set(executed(project).values()) == {1}
    assert project.call("replay", "s").returncode == 0
    capsys.readouterr()
    other = spec_of(project, "other", checkpoint=keep)
    assert run(other, project.store) == 0
    broken, whole = tables(project.store / "s"), tables(project.store / "other")
    for name, table in whole.items():
        pd.testing.assert_frame_equal(table, broken[name], obj=name)


def test_paused_trials_give_up_their_checkpoints_to_the_budget(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """The worst first, which the journal and `show` say; a promotion begins them anew.

    The study comes to the same results, and `sweep gc` finds nothing more to do.
    """
    keep = {"keep": {"unsuccessful": "none", "bytes": 1}}
    spec = spec_of(project, function="stopped", checkpoint=keep)
    assert run(spec, project.store) == 143
    assert "the worst of them give up what they would go on from" in caplog.text
    state = state_of(project)
    given_up = [number for number, trial in state.paused.items() if not trial.kept]
    assert len(given_up) >= 3
    said = "gave up its checkpoint (keep.bytes): a promotion begins it anew"
    assert project.call("show", "s").stdout.count(said) == len(given_up)
    assert said in project.call("show", f"s/{given_up[0]}").stdout
    shown = json.loads(project.call("show", f"s/{given_up[0]}", "--json").stdout)
    assert shown["begins_anew"]
    reasons = {
        entry.event.reason
        for entry in read_entries(project.store / "s" / "journal")
        if isinstance(entry.event, CheckpointRetired) and entry.event.trial in given_up
    }
    assert "paused" in reasons
    retired = json.loads(project.call("gc", "s", "--json").stdout)["retired"]
    assert len(retired) <= 1  # of the trial that was paused last
    assert run(spec, project.store) == 0
    state = state_of(project)
    assert max(executed(project).values()) == 2  # those that were promoted
    anew = [trial for trial in state.trials.values() if trial.attempts > 1 and trial.step == 8]
    assert anew
    assert project.call("replay", "s").returncode == 0
    assert run(spec_of(project, "whole"), project.store) == 0
    whole = state_of(project, "whole")
    for number, trial in state.trials.items():
        assert (trial.state, len(trial.reports)) == (
            whole.trials[number].state,
            len(whole.trials[number].reports),
        )


def test_trial_that_fails_where_it_is_to_be_paused(project: Project) -> None:
    """It is tried again, told the same, and paused."""
    assert run(spec_of(project, function="dies"), project.store) == 0
    state = state_of(project)
    assert state.counts[TrialState.FAILED] == 0
    assert state.counts[TrialState.PRUNED] == 8
    assert sum(trial.failures for trial in state.trials.values()) == 3
    assert project.call("replay", "s").returncode == 0


def test_fork_of_a_paused_trial(project: Project) -> None:
    """It begins where that one is paused, and meets the rungs above by itself."""
    spec = spec_of(project, function="stopped", trials=6)
    assert run(spec, project.store) == 143
    number = min(state_of(project).paused)
    assert project.call("fork", f"s/{number}", "--set", "x=0.0").returncode == 0
    assert run(spec, project.store) == 0
    fork = next(trial for trial in state_of(project).trials.values() if trial.fork is not None)
    assert min(fork.rungs) == 3
    assert min(fork.reports) == 1
    assert project.call("replay", "s").returncode == 0


def test_two_studies_in_one_driver(project: Project) -> None:
    """Each promotes its own trials, and both complete; Hyperband journals its brackets."""
    hyperband = {"type": "hyperband", "max_resource": 9}
    specs = [spec_of(project), spec_of(project, "h", early_terminate=hyperband)]
    assert project.call("run", "--inline", *specs).returncode == 0
    assert {trial.bracket for trial in state_of(project).trials.values()} == {None}
    brackets = Counter(trial.bracket for trial in state_of(project, "h").trials.values())
    assert brackets == {0: 5, 1: 2, 2: 2}
    for trial in state_of(project, "h").trials.values():
        assert not trial.rungs or min(trial.rungs) == 3 ** (trial.bracket or 0)
    assert project.call("replay", "h").returncode == 0


def test_study_goes_on_in_its_mode(project: Project) -> None:
    """A study that stops its trials goes on to do so, until its spec says pause."""
    stop = {"type": "asha", "reduction_factor": 3}
    spec = spec_of(project, early_terminate=stop | {"mode": "stop"}, trials=2)
    assert run(spec, project.store) == 0
    spec_of(project, early_terminate=stop, trials=3)
    assert run(spec, project.store) == 0
    assert state_of(project).spec["early_terminate"]["mode"] == "stop"
    spec_of(project, early_terminate=stop | {"mode": "pause"}, trials=9)
    assert run(spec, project.store) == 0
    assert state_of(project).spec["early_terminate"]["mode"] == "pause"
    assert project.call("replay", "s").returncode == 0


def test_rungs_are_taken_away(project: Project) -> None:
    """Without early_terminate a paused trial goes on to its end."""
    spec = spec_of(project, function="stopped", trials=6)
    assert run(spec, project.store) == 143
    spec_of(project, function="stopped", trials=6, early_terminate=None)
    assert run(spec, project.store) == 0
    assert state_of(project).counts[TrialState.COMPLETE] == 6
    assert set(executed(project).values()) == {1}
    assert project.call("replay", "s").returncode == 0


def test_rungs_are_shown_before_and_while_it_runs(project: Project) -> None:
    """By `check`, `run` and `show`, as text and as JSON; nothing where there are none."""
    hyperband = {"type": "hyperband", "min_iter": 5, "s": 2}
    spec = spec_of(project, early_terminate=hyperband, trials=2)
    line = "rungs at 5, 15, 45, 135, 405, 1215, ... steps: 1 trial of 3 goes on"
    brackets = [{"bracket": 0, "rungs": [5, 15, 45, 135, 405, 1215], "endless": True}]
    assert line in project.call("check", spec).stdout
    assert line in project.call("run", spec, "--dry-run").stdout
    assert json.loads(project.call("check", spec, "--json").stdout)["rungs"]["brackets"] == brackets
    done = project.call("run", "--inline", spec, "--json")
    first = json.loads(done.stdout.splitlines()[0])
    assert first["rungs"]["brackets"] == brackets
    assert "5, 15, 45" in project.call("show", "s").stdout
    assert json.loads(project.call("show", "s", "--json").stdout)["rungs"]["mode"] == "pause"
    several = spec_of(project, "h", early_terminate={"type": "hyperband", "max_resource": 9})
    done = project.call("run", "--inline", several)
    assert "bracket 0: 1, 3; bracket 1: 3; bracket 2: none" in done.stdout.splitlines()[0]
    plain = spec_of(project, "p", early_terminate=None, trials=1)
    assert "rungs at" not in project.call("check", plain).stdout
    assert json.loads(project.call("check", plain, "--json").stdout)["rungs"] is None
