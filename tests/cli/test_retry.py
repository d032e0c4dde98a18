"""`sweep retry`: failed trials run again, on studies in every condition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, until
from cutting import cut, events

import sweep
from sweep.journal.event import TrialFinished
from sweep.journal.journal import read_state
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths


def begun(project: Project, **content: Any) -> Path:
    """The spec of a study of which trials 1 and 3 fail in their third epoch, both attempts."""
    base = {"program": "mended:train", "trials": 4, "checkpoint": {"every": {"epochs": 1}}}
    return project.spec("s", **base | content)


def failed(project: Project, **content: Any) -> Path:
    """Such a study, at its end."""
    spec = begun(project, **content)
    assert project.call("run", "--inline", spec).returncode == 1
    return spec


def state_of(project: Project, name: str = "s") -> StudyState:
    return read_state(StudyPaths.of(project.store, name).journal)


def executed(project: Project, number: int) -> list[int]:
    """The epochs that a trial began since it was last asked."""
    path = project.root / f"executed-{number}"
    epochs = [int(line) for line in path.read_text().split()]
    path.unlink()
    return epochs


def documents(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def replays(project: Project, *names: str) -> bool:
    return all(project.call("replay", name).returncode == 0 for name in names or ("s",))


def test_a_complete_study(project: Project) -> None:
    """All failed trials resume from their last checkpoints, no other runs, and it is complete."""
    failed(project)
    before = sweep.open_study(project.store / "s").trials
    for number in (1, 3):
        assert executed(project, number) == [0, 1, 2, 2]
    (project.root / "mended").touch()
    done = project.call("retry", "--inline", "s")
    assert done.returncode == 0, done.stderr
    assert "s: retries trial 1 from 1@2.0, trial 3 from 3@2.0\n" in done.stdout
    assert "s: goes on: 2 of 4 trials are finished, 2 were running\n" in done.stdout
    assert "4 trials (4 complete)" in done.stdout
    assert [executed(project, number) for number in (1, 3)] == [[2, 3], [2, 3]]
    study = sweep.open_study(project.store / "s")
    assert list(study.trials["state"]) == ["COMPLETE"] * 4
    assert list(study.trials["value"] - study.trials["params.x"]) == pytest.approx([4.0] * 4)
    assert study.trials.iloc[[0, 2]].equals(before.iloc[[0, 2]])
    assert list(study.trials["reason"].dropna()) == []
    assert replays(project)
    again = project.call("retry", "s")
    assert (again.returncode, again.stdout) == (
        0,
        "s: no trial has failed that could be retried\n",
    )


def test_from_scratch(project: Project) -> None:
    """From scratch, a trial begins at its first epoch, and its checkpoints are gone."""
    failed(project)
    executed(project, 1)
    executed(project, 3)
    (project.root / "mended").touch()
    done = project.call("retry", "--inline", "s", "3", "--from-scratch", "--json")
    assert done.returncode == 1, done.stderr  # trial 1 stays failed
    first, *_, last = documents(done.stdout)
    retried = [{"trial": 3, "checkpoint": None}]
    assert first == {"study": "s", "retried": retried, "dry_run": False, "driver": None}
    assert last["states"] == {"COMPLETE": 3, "FAILED": 1}
    assert executed(project, 3) == [0, 1, 2, 3]
    state = state_of(project)
    assert {each.attempt for each in state.trials[3].kept} == {3}
    assert not (project.root / "executed-1").exists()
    assert replays(project)


def test_failures_are_counted_anew(project: Project) -> None:
    """A retried trial that still fails is tried ``retries`` times more, then is failed again."""
    failed(project)
    executed(project, 1)
    done = project.call("retry", "--inline", "s/1", "--set", "retries=2")
    assert done.returncode == 1
    assert "s: retries: 1 -> 2\n" in done.stdout
    assert executed(project, 1) == [2, 2, 2]
    trial = state_of(project).trials[1]
    assert (str(trial.state), trial.attempts, len(trial.failed)) == ("FAILED", 5, 5)
    assert replays(project)


def test_a_final_checkpoint_is_not_resumed(project: Project) -> None:
    """A trial that came to NaN runs its function again: from its end it would fail alike."""
    failed(project, program="mended:is_nan")
    executed(project, 1)
    (project.root / "mended").touch()
    done = project.call("retry", "--inline", "s", "1")
    assert "s: retries trial 1 from the start\n" in done.stdout
    assert executed(project, 1) == [0, 1]
    assert str(state_of(project).trials[1].state) == "COMPLETE"
    assert replays(project)


def test_dry_run_writes_nothing(project: Project) -> None:
    """A dry run says which trials would run, and from where; the journal stays as it is."""
    failed(project)
    before = state_of(project).seq
    done = project.call("retry", "s", "--dry-run", "--json")
    assert documents(done.stdout)[0]["retried"] == [
        {"trial": 1, "checkpoint": "1@2.0"},
        {"trial": 3, "checkpoint": "3@2.0"},
    ]
    text = project.call("retry", "s", "3", "--dry-run", "--from-scratch").stdout
    assert text == "s: would retry trial 3 from the start\n"
    assert state_of(project).seq == before


@pytest.mark.parametrize(
    ("trials", "code", "said"),
    [
        (["0"], 2, "s: trial 0 cannot be retried: it is complete"),
        (["1", "2"], 2, "s: trial 2 cannot be retried: it is complete"),
        (["9"], 3, "s: has no trial 9; it has 4 trials"),
    ],
)
def test_what_cannot_be_retried(project: Project, trials: list[str], code: int, said: str) -> None:
    """A trial that is complete, or is none, is refused by name, and nothing of the rest is done."""
    failed(project)
    before = state_of(project).seq
    done = project.call("retry", "s", *trials)
    assert done.returncode == code
    assert said in done.stderr
    assert state_of(project).seq == before


def test_the_hint(project: Project) -> None:
    """Where trials failed, the end of a run says so, and what runs them again: also a later run,
    which has nothing to do, and one with more retries, which change nothing for failed trials."""
    spec = begun(project)
    hint = "s: 2 trials failed; to run them again once the cause is mended: sweep retry s\n"
    assert hint in project.call("run", "--inline", spec).stdout
    again = project.call("run", "--inline", spec)
    assert (again.returncode, hint in again.stdout) == (1, True)
    assert "already complete" in again.stdout
    more = project.call("run", "--inline", spec, "--set", "retries=3")
    assert (more.returncode, hint in more.stdout) == (1, True)


@pytest.mark.parametrize("finished", [2, 3])
def test_a_killed_study(project: Project, finished: int) -> None:
    """On a study whose driver was killed the failed trial is retried beside what is left to run."""
    failed(project)
    paths = StudyPaths.of(project.store, "s")
    cut(paths, events(paths, TrialFinished)[finished - 1].seq)
    for number in (1, 3):
        executed(project, number)
    (project.root / "mended").touch()
    done = project.call("retry", "--inline", "s")
    assert done.returncode == 0, done.stderr
    state = state_of(project)
    assert [str(trial.state) for trial in state.trials.values()] == ["COMPLETE"] * 4
    assert executed(project, 1) == [2, 3]
    assert replays(project)


def test_a_running_study(project: Project) -> None:
    """The driver of a running study is asked, answers once it is durable, and runs the trial."""
    spec = project.spec("s", program="mended:waits", trials=2, retries=0)
    driver = project.start("run", "--inline", spec)
    paths = StudyPaths.of(project.store, "s")
    until(lambda: paths.begun() and 1 in state_of(project).running)
    assert str(state_of(project).trials[0].state) == "FAILED"
    refused = project.call("retry", "s", "--set", "retries=4")
    assert refused.returncode == 2
    assert "sweep stop s" in refused.stderr
    (project.root / "mended").touch()
    done = project.call("retry", "s", "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = documents(done.stdout)
    assert answer["retried"] == [{"trial": 0, "checkpoint": None}]
    assert answer["driver"].startswith(f"process {driver.pid} on ")
    assert str(state_of(project).trials[0].state) == "RUNNING"
    assert list(paths.requests.iterdir()) == []
    (project.root / "go").touch()
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 0, err
    assert "2 trials (2 complete)" in out
    assert replays(project)


def test_a_foreign_request_harms_nothing(project: Project) -> None:
    """A request that no sweep has written is refused, and the driver runs on."""
    spec = project.spec("s", program="mended:waits", trials=2, retries=0)
    driver = project.start("run", "--inline", spec)
    paths = StudyPaths.of(project.store, "s")
    until(lambda: paths.begun() and 1 in state_of(project).running)
    paths.requests.mkdir(exist_ok=True)
    deep = b"[" * 100_000
    for number, content in enumerate(
        [b"{", b"[]", b'{"do": "retry"}', b"\xff", b"", deep, b'{"do": "retry", "trials": ["0"]}']
    ):
        (paths.requests / f"{number}.json").write_bytes(content)
        answer = paths.requests / f"{number}.answer"
        assert "does not understand" in until(
            lambda path=answer: path.exists() and path.read_text()
        )
    (project.root / "go").touch()
    assert driver.wait(60) == 1
