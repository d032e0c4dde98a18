"""Kills: whatever is killed, whenever, the study ends as if nothing had happened."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest
from conftest import Project, until

import sweep
from sweep.analysis.study import Study
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.journal.journal import read_state
from sweep.journal.listing import list_segments
from sweep.journal.state import StudyState

INTERVAL = 4
"""Steps from one checkpoint to the next."""

STEP_S = 0.05

COMMITTED_WITHIN_S = 0.1
"""Saving, and the group commit of at most 50 ms."""

PARAMETERS = {
    "width": {"values": [4, 8]},
    "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
    "epochs": {"value": 4},
}


def exact_spec(project: Project, name: str, **content: object) -> Path:
    base = {
        "name": "study",
        "program": "exact:train",
        "method": "tpe",
        "parameters": PARAMETERS,
        "trials": 14,
        "seed": 3,
        "checkpoint": {"every": {"epochs": 1, "steps": 2}, "keep": {"last": 1, "best": 1}},
        "early_terminate": {"type": "median", "startup_trials": 3},
    }
    return project.spec(name, **(base | content))


def last_event(project: Project) -> int:
    """Number of the newest event in the journal of the study, -1 where there is none."""
    journal = project.store / "study" / "journal"
    if not journal.is_dir():
        return -1
    segments, _ = list_segments(journal)
    return segments[-1].last if segments else -1


def state_of(project: Project, study: str = "study") -> StudyState:
    return read_state(project.store / study / "journal")


def execution_log(project: Project) -> list[list[str]]:
    path = project.root / "execution.log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def finished(state: StudyState) -> set[int]:
    return {number for number, trial in state.trials.items() if trial.state.finished}


def reach(project: Project, process: subprocess.Popen[str], event: int) -> None:
    """Wait, on a slow machine, too, until the journal holds ``event``; the driver must not end."""
    until(lambda: last_event(project) >= event or process.poll() is not None, within=300)
    assert process.poll() is None, process.communicate()


def executed(project: Project, process: subprocess.Popen[str], lines: int) -> None:
    """Wait until trials have logged so many lines, or the driver has ended."""
    until(lambda: len(execution_log(project)) > lines or process.poll() is not None)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("method", "kills", "trials"),
    [
        ("tpe", 2, 6),
        pytest.param("tpe", 20, 24, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        pytest.param("gp", 20, 24, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_kills_of_the_driver_lose_nothing(
    project: Project, method: str, kills: int, trials: int
) -> None:
    """SIGKILL of the driver at random instants: N trials, none executed again, little rework."""
    every = {"every": {"steps": INTERVAL}, "keep": {"last": 1, "best": 1}}
    spec = exact_spec(
        project, "study", method=method, concurrency=2, trials=trials, checkpoint=every
    )
    chooser = random.Random(4)
    for _ in range(kills):
        before = last_event(project)
        done = finished(state_of(project)) if before >= 0 else set()
        logged = len(execution_log(project))
        process = project.start("run", spec, STEP_S=str(STEP_S))
        wanted = before + chooser.randint(1, 25)
        reach(project, process, wanted)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        again = {int(words[1]) for words in execution_log(project)[logged:]}
        assert not again & done, "a finished trial was executed again"
    done_process = project.run("run", spec)
    assert done_process.returncode == 0, done_process.stderr
    study = sweep.open_study(project.store / "study")
    assert list(study.trials["number"]) == list(range(trials))
    assert set(study.trials["state"]) <= {"COMPLETE", "PRUNED"}
    assert not study.reports.duplicated(["trial", "step"]).any()
    assert_little_rework(study, execution_log(project))
    assert project.call("replay", "study").returncode == 0


def assert_little_rework(study: Study, log: list[list[str]]) -> None:
    """Steps executed again: at most an interval for each trial and kill.

    Added to that is what runs while the newest checkpoint is on its way into the journal.
    """
    steps = Counter(int(words[1]) for words in log if words[0] == "step")
    committing = math.ceil(COMMITTED_WITHIN_S / STEP_S)
    for number, attempts in zip(study.trials["number"], study.trials["attempts"], strict=True):
        epochs = study.trials["steps"][number]
        again = steps[number] - 5 * epochs
        assert again <= (INTERVAL + committing) * (attempts - 1), f"trial {number}: {again} steps"


SHIM = """
import os, signal, sys
calls, wanted = 0, int(os.environ["KILL_AT"])
real = os.fsync
def fsync(descriptor):
    global calls
    calls += 1
    if calls == wanted:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
sys.argv = ["sweep", *sys.argv[1:]]
from sweep.cli.main import main
main()
"""
"""Runs the command and kills it at the n-th sync: in the middle of a checkpoint or a commit."""


def final_states(project: Project) -> dict[int, dict[str, object]]:
    """Digest of the model in the newest checkpoint of each trial."""
    store = CheckpointStore(project.store / "study" / "checkpoints")
    found = {}
    for number, trial in state_of(project).trials.items():
        record = CheckpointRecord.from_json(trial.kept[-1].record)
        state = store.read(record.manifest).tree["tracked"]["model"]
        found[number] = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
    return found


def tables(project: Project) -> dict[str, pd.DataFrame]:
    study = sweep.open_study(project.store / "study")
    return {
        "trials": study.trials.drop(columns=["started", "finished", "duration_s", "attempts"]),
        "reports": study.reports.drop(columns=["attempt", "time"]),
        "iterations": study.iterations.drop(columns=["time"]),
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("runs", [6, pytest.param(20, marks=pytest.mark.long)])
def test_one_slot_ends_with_the_same_bits(
    project: Project, tmp_path_factory: pytest.TempPathFactory, runs: int
) -> None:
    """With one slot, kills anywhere leave the tables and the final weights of an unbroken run."""
    chooser = random.Random(8)
    spec = exact_spec(project, "study")
    kills = 0
    for _ in range(runs):
        process = subprocess.Popen(
            [sys.executable, "-c", SHIM, "run", "--inline", str(spec)],
            cwd=project.root,
            env=os.environ | {"KILL_AT": str(chooser.randint(9, 220))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        project.processes.append(process)
        if chooser.random() < 0.3:  # some kills fall between two syncs, in the middle of an epoch
            executed(project, process, len(execution_log(project)) + 13)
            process.kill()
        process.communicate(timeout=120)
        kills += process.returncode == -signal.SIGKILL
    assert kills >= runs / 2
    assert project.run("run", "--inline", spec).returncode == 0
    broken, weights = tables(project), final_states(project)
    assert state_of(project).sessions > runs / 2

    whole = Project(tmp_path_factory.mktemp("whole"))
    (whole.root / "exact.py").write_text((project.root / "exact.py").read_text())
    assert whole.run("run", "--inline", exact_spec(whole, "study")).returncode == 0
    for name, frame in tables(whole).items():
        pd.testing.assert_frame_equal(frame, broken[name], obj=name, check_exact=True)
    assert final_states(whole) == weights
    assert "PRUNED" in set(broken["trials"]["state"])
    assert whole.call("replay", "study").returncode == 0
    assert project.call("replay", "study").returncode == 0


def marked(project: Project) -> list[psutil.Process]:
    """Processes whose working directory is the project: the driver's and its workers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(project.root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.ray
def test_nothing_is_left_after_a_kill(project: Project) -> None:
    """30 s after the driver was killed no process of it is left; a resume need not wait."""
    spec = project.spec("study", program="odd:sleeps", trials=2, concurrency=2)
    process = project.start("run", spec)
    until(lambda: (project.root / "running-1").exists())
    # What was not committed before the kill did not happen: both trials must be in the journal.
    until(lambda: sum(bool(trial.reports) for trial in state_of(project).trials.values()) == 2)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) > 3
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = project.start("run", spec)  # at once
    until(lambda: {trial.attempts for trial in state_of(project).trials.values()} == {2})
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
    resumed.send_signal(signal.SIGTERM)
    assert resumed.wait(timeout=60) == 143
    assert state_of(project).sessions == 2


@pytest.mark.ray
def test_killed_worker_is_replaced(project: Project) -> None:
    """A worker killed with SIGKILL costs its trial no retry; the others notice nothing."""
    spec = project.spec("study", program="odd:dies_once", trials=4, concurrency=2, retries=0)
    begun = pd.Timestamp.now("UTC")
    done = project.run("run", spec)
    assert done.returncode == 0, done.stderr
    study = sweep.open_study(project.store / "study")
    assert list(study.trials["attempts"]) == [1, 2, 1, 1]
    assert list(study.reports["trial"].value_counts().sort_index()) == [6, 6, 6, 6]
    attempts = study.reports[study.reports["trial"] == 1].set_index("step")["attempt"]
    assert attempts[5] == 2
    assert attempts[2] == 1
    assert (
        "worker died: it was killed (where memory ran out by the system), or crashed" in done.stdout
    )
    assert "unexpectedly" in project.call("show", "study/1").stdout
    gap = _gap_of_the_replacement(project)
    # 0.6 to 0.8 s on two idle cores, the trial's own 0.1 s and its import included; the start of
    # the run takes five times that, and grows with it where the machine is busy.
    start = (study.reports["time"].min() - begun).total_seconds()
    assert gap < start / 2, f"the replacement took {gap:.1f} s, the start of the run {start:.1f} s"


def _gap_of_the_replacement(project: Project) -> float:
    """Seconds between the death of the worker and the first report of the next attempt."""
    frame = pd.read_parquet(project.store / "study" / "journal")
    of_trial = frame[frame["trial"] == 1]
    died = of_trial[of_trial["type"] == "attempt_interrupted"]["time"].iloc[0]
    later = of_trial[(of_trial["type"] == "trial_reported") & (of_trial["attempt"] == 2)]
    return float((later["time"].iloc[0] - died).total_seconds())


@pytest.mark.ray
def test_interrupt_saves_and_says_how_to_go_on(project: Project) -> None:
    """SIGINT: trials save at their next safe point, the exit comes in time, the last line helps."""
    spec = project.spec("study", program="odd:sleeps", trials=2, concurrency=2)
    process = project.start("run", spec)
    until(lambda: (project.root / "running-1").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert out.splitlines()[-1].endswith("sweep resume study")
    state = state_of(project)
    assert all(trial.kept and not trial.executing for trial in state.running.values())
    steps = {number: trial.step for number, trial in state.trials.items()}
    kept = {number: trial.kept[-1].step for number, trial in state.trials.items()}
    assert steps == kept, "something was reported after the save"


@pytest.mark.ray
def test_trial_that_never_comes_to_a_safe_point_is_left_behind(project: Project) -> None:
    """After the grace time the driver ends all the same, and the trial can be resumed."""
    spec = project.spec("study", program="odd:ignores_stop", trials=1)
    process = project.start("run", spec, "--grace", "1")
    until(lambda: (project.root / "running-0").exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    assert len(state_of(project).running) == 1


@pytest.mark.ray
def test_second_interrupt_ends_at_once(project: Project) -> None:
    """A second SIGINT ends the driver without waiting, and what was committed is there."""
    spec = project.spec("study", program="odd:ignores_stop", trials=1)
    process = project.start("run", spec, "--grace", "600")
    until(lambda: (project.root / "running-0").exists())
    before = last_event(project)
    process.send_signal(signal.SIGINT)
    # Two signals in a row may arrive as one, so they are sent until the process is gone.
    until(lambda: process.poll() is not None or process.send_signal(signal.SIGINT), within=10)
    assert process.wait(timeout=5) == 130
    assert state_of(project).seq >= before


@pytest.mark.ray
@pytest.mark.long  # test_stop_from_another_process is the quick one
def test_stop_of_one_of_two_studies(project: Project) -> None:
    """A study that is stopped is free at once, while the other one of its driver goes on."""
    specs = [project.spec(name, program="odd:sleeps", trials=1) for name in ("first", "second")]
    process = project.start("run", *specs)
    until(lambda: (project.store / "second" / "journal").exists())
    until(lambda: all(state_of(project, name).running for name in ("first", "second")))
    stopped = project.run("stop", "first")
    assert stopped.returncode == 0, stopped.stdout
    assert not any(trial.executing for trial in state_of(project, "first").trials.values())
    before = state_of(project, "second").seq
    until(lambda: state_of(project, "second").seq > before)
    assert process.poll() is None
    assert project.run("stop", "second").returncode == 0
    process.communicate(timeout=30)


@pytest.mark.ray
def test_stop_from_another_process(project: Project) -> None:
    """`sweep stop` lets a driver save and end, and a resume goes on from there."""
    spec = project.spec("study", program="odd:sleeps", trials=1)
    process = project.start("run", spec)
    until(lambda: (project.root / "running-0").exists())
    assert "running" in project.run("ls").stdout
    stopped = project.run("stop", "study")
    assert stopped.returncode == 0, stopped.stderr
    assert process.wait(timeout=20) == 143
    assert "interrupted" in project.run("ls").stdout
    assert project.run("stop", "study").stdout.strip().endswith("no driver runs it")
