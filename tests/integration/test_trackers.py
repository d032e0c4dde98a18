"""Trackers have what the journal says: each point once, through kills, failures and resumes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import Project, until
from mlflow_server import Door
from tracker_reading import (
    event_files,
    mlflow_points,
    mlflow_runs,
    reported,
    rounded,
    tensorboard_points,
    wandb_points,
    wandb_runs,
)

from sweep.driver import driver
from sweep.driver import study as driven
from sweep.integration import relay
from sweep.integration.account import Told
from sweep.integration.delivery import Delivery, reason_of
from sweep.integration.event_file import EventFileSink
from sweep.integration.note import read_note
from sweep.integration.tracker import LIBRARIES, Subject
from sweep.journal.event import (
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialRestored,
    TrialState,
)
from sweep.journal.excerpt import study_id
from sweep.journal.journal import Journal, read_state
from sweep.journal.listing import newest_event
from sweep.journal.lock import Lock, holder
from sweep.paths import StudyPaths
from sweep.spec.tracker import Tracker


def exact_spec(project: Project, name: str, /, **content: Any) -> Path:
    base: dict[str, Any] = {
        "program": "exact:train",
        "parameters": {
            "width": {"values": [4, 8]},
            "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1e-1},
            "epochs": {"value": 4},
        },
        "trials": 3,
    }
    return project.spec(name, **(base | content))


def test_run_that_is_killed_and_resumed(project: Project, door: Door) -> None:
    """After a kill of the driver and a resume each tracker has the study's reports, each once, with
    parameters, states, checkpoints and the journal's times."""
    trackers = ["tensorboard", {"mlflow": {"uri": door.uri, "experiment": "killed run"}}, "wandb"]
    checkpoint = {"every": {"epochs": 2}}
    spec = exact_spec(project, "study", trackers=trackers, checkpoint=checkpoint)
    paths = StudyPaths.of(project.store, "study")
    process = project.start("run", "--inline", spec, STEP_S="0.3")
    until(lambda: read_note(paths, "mlflow").points > 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = project.call("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr

    expected = reported(paths.root)
    assert len(expected) == 3 * 4
    assert mlflow_points(door.uri, "killed run") == expected
    assert tensorboard_points(paths.tensorboard) == rounded(expected)
    assert wandb_points(paths.wandb) == expected

    trials = read_state(paths.journal).trials
    runs = mlflow_runs(door.uri, "killed run")
    assert [run.info.run_name for run in runs] == [f"study/{number}" for number in trials]
    for run, trial in zip(runs, trials.values(), strict=True):
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        assert (run.info.status, run.data.tags["sweep.state"]) == ("FINISHED", "COMPLETE")
        assert float(run.data.tags["sweep.value"]) == trial.value
        assert run.info.start_time == round(trial.started * 1000)
        assert run.info.end_time == round((trial.finished or 0) * 1000)
        there = [each["id"] for each in json.loads(run.data.tags["sweep.checkpoints"])]
        assert there == [kept.id for kept in trial.kept]
    for number, events in event_files(paths.tensorboard).items():
        states = events.Tensors("sweep/state/text_summary")
        said = [each.tensor_proto.string_val[0] for each in states]
        assert said == [b"RUNNING", b"COMPLETE"]
        saved = events.Tensors("sweep/checkpoint/text_summary")
        assert saved[-1].tensor_proto.string_val[0].startswith(f"{number}@4.20.final: ".encode())
        assert events.Scalars("loss")[-1].wall_time < (trials[number].finished or 0)
    assert len(wandb_runs(paths.wandb)) == 3


def test_tracker_that_is_down_is_caught_up_later(project: Project, door: Door) -> None:
    """A server that cannot be reached costs the run nothing; once it is there, `sweep track` sends
    all of it, and a second time nothing."""
    door.close()
    spec = exact_spec(project, "late", trackers=["tensorboard", {"mlflow": {"uri": door.uri}}])
    done = project.call("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert "late: complete: 3 trials" in done.stdout
    (line,) = [each for each in done.stderr.splitlines() if "sweep track" in each]
    assert line.startswith("sweep: warning: late: mlflow is behind by ")
    assert line.endswith(": connection refused; to catch up: sweep track late")
    (line,) = [
        each for each in project.call("show", "late").stdout.splitlines() if each[:6] == "mlflow"
    ]
    assert line.split()[1:3] == ["behind", "by"]
    assert line.endswith(": connection refused; to catch up: sweep track late")
    shown = json.loads(project.call("show", "late", "--json").stdout)["trackers"]
    assert [bool(each["behind"]) for each in shown] == [False, True]
    nowhere = "{tensorboard: {directory: /dev/null}}"
    failed = project.call("track", "late", "--to", nowhere, "--json")
    assert failed.returncode == 3
    assert json.loads(failed.stdout)["trackers"][0]["reason"] == "file exists: /dev/null"

    door.open()
    tracked = project.call("track", "late")
    assert (tracked.returncode, tracked.stderr) == (0, "")
    assert f"late: mlflow {door.uri} (late): 3 trials and 12 points sent, all is there\n" in (
        tracked.stdout
    )
    assert mlflow_points(door.uri, "late") == reported(project.store / "late")
    again = project.call("track", "late", "--to", "tensorboard")
    assert again.stdout.endswith(": all is there\n")
    paths = StudyPaths.of(project.store, "late")
    (paths.trackers / "mlflow.json").unlink()
    tracker = Tracker.model_validate({"mlflow": {"uri": door.uri}})
    Delivery(tracker, Subject("late", paths, study_id(paths.journal))).catch_up()
    assert mlflow_points(door.uri, "late") == reported(project.store / "late")


def test_tracker_that_hangs_does_not_hold_the_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a run waits for a server that does not answer as long as it may, not longer."""
    monkeypatch.setattr(driver, "TRACKERS_WAIT_S", 0.5)
    monkeypatch.setattr(driven, "HURRIED_WAIT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        spec = project.spec("hung", trackers={"mlflow": {"uri": uri}})
        done = project.call("run", "--inline", spec)
        assert done.returncode == 0
        assert "hung: mlflow is behind by " in done.stderr
        lock = StudyPaths.of(project.store, "hung").trackers_lock
        Lock(lock).release()  # nobody is left that holds it


def test_studies_share_the_wait_and_a_signal_ends_it(project: Project) -> None:
    """With a server that does not answer, several studies wait as long as one; an interrupt cuts it
    short; the password in the address is in no list of processes, no note and no output."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://bob:hunter2@127.0.0.1:{silent.getsockname()[1]}"
        specs = [project.spec(name, trackers={"mlflow": {"uri": uri}}) for name in ("one", "two")]
        process = project.start("run", "--inline", *specs)
        locks = [StudyPaths.of(project.store, name).trackers_lock for name in ("one", "two")]
        until(lambda: all(lock.exists() and holder(lock) is not None for lock in locks))
        senders = [psutil.Process(held.pid) for lock in locks if (held := holder(lock))]
        assert not [sender for sender in senders if "hunter2" in " ".join(sender.cmdline())]
        until(lambda: list((project.store / "one" / "tables").glob("*.parquet")))
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < 12
        assert "hunter2" not in out + err
        assert err.count("mlflow is behind by") == 2
        assert not any(sender.is_running() for sender in senders)


def test_sender_that_dies_is_started_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, killed_study: Path
) -> None:
    """A relay whose process was killed has another one; all comes through, once."""
    monkeypatch.setattr(relay, "REVIVED_AFTER_S", 0.0)
    shutil.copytree(killed_study, project.store / "study")
    paths, said = StudyPaths.of(project.store, "study"), list[str]()
    made = relay.Relay(paths, "study", [Tracker.model_validate("tensorboard")], said.append)
    made.start()
    sender = until(lambda: holder(paths.trackers_lock) if paths.trackers_lock.exists() else None)
    os.kill(sender.pid, signal.SIGKILL)
    last = newest_event(paths.journal)
    until(lambda: made.notify(made._rung + 1) or made.holds(last))
    made.close(last)
    made.finish(math.inf)
    assert (made.trouble, said) == (None, ["trackers: their process died and is started again"])
    assert tensorboard_points(paths.tensorboard) == rounded(reported(paths.root))


def test_reason_has_no_password() -> None:
    """MLflow's errors name the address; what is shown of them does not name who calls."""
    error = OSError("API request to http://bob:hunter2@host:5000/api failed: timed out")
    assert reason_of(error) == "API request to http://host:5000/api failed: timed out"


def test_tracker_is_added_to_a_study_that_had_none(project: Project, killed_study: Path) -> None:
    """`--to` sends all of a study to a tracker that knows nothing of it; `trackers` may come with a
    resume; what was removed is written anew."""
    shutil.copytree(killed_study, project.store / "study")
    paths = StudyPaths.of(project.store, "study")
    done = project.call("track", "study", "--to", "tensorboard")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 trials and 24 points sent, all is there" in done.stdout
    expected = rounded(reported(paths.root))
    assert tensorboard_points(paths.tensorboard) == expected
    shutil.rmtree(paths.tensorboard)
    elsewhere = f"{{tensorboard: {{directory: {project.root / 'elsewhere'}}}}}"
    for to, place in (
        ("tensorboard", paths.tensorboard),
        (elsewhere, project.root / "elsewhere" / "study"),
    ):
        done = project.call("track", "study", "--to", to)
        assert "4 trials and 24 points sent, all is there" in done.stdout
        assert tensorboard_points(place) == expected


def test_what_cannot_be_tracked_is_said(
    project: Project, killed_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study without trackers, one that is kept up by another, and a library that is missing: a
    line each; the last one before anything is begun."""
    shutil.copytree(killed_study, project.store / "study")
    none = project.call("track", "study")
    assert none.returncode == 2
    assert "study: has no trackers; name one: sweep track study --to" in none.stderr
    paths = StudyPaths.of(project.store, "study")
    paths.trackers.mkdir()
    lock = Lock(paths.trackers_lock)
    held = project.call("track", "study", "--to", "wandb")
    lock.release()
    assert held.returncode == 3
    assert f"process {os.getpid()}" in held.stderr
    monkeypatch.setitem(LIBRARIES, "mlflow", "no_such_library")
    spec = project.spec("other", trackers=["mlflow"])
    for command in (("run", "--inline", spec), ("track", "study", "--to", "mlflow")):
        refused = project.call(*command)
        assert refused.returncode == 2
        assert refused.stderr == (
            "sweep: trackers: mlflow needs no_such_library, which is not installed: "
            "pip install 'sweep[trackers]'\n"
        )
    assert not (project.store / "other").exists()


def test_lost_answers_repeat_nothing(tmp_path: Path, killed_study: Path, door: Door) -> None:
    """Where a server has done what it was asked and its answer is lost, nothing is there twice."""
    root = tmp_path / "study"
    shutil.copytree(killed_study, root)
    paths = StudyPaths(root)
    tracker = Tracker.model_validate({"mlflow": {"uri": door.uri, "experiment": "lost answers"}})
    delivery = Delivery(tracker, Subject("study", paths, study_id(paths.journal)))
    for losing in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 0):
        door.losing, door.answers = losing, 0
        with contextlib.suppress(Exception):
            delivery.catch_up()
    assert door.lost > 5
    assert mlflow_points(door.uri, "lost answers") == reported(root)
    assert len(mlflow_runs(door.uri, "lost answers")) == 4


@pytest.mark.long
def test_study_begun_anew_in_the_same_directory(project: Project) -> None:
    """Event files of an older study of the name, in a directory of the user's, do not stay."""
    place = {"tensorboard": {"directory": str(project.root / "shared")}}
    spec = exact_spec(project, "again", trackers=[place])
    assert project.run("run", "--inline", spec).returncode == 0
    shutil.rmtree(project.store)
    assert project.run("run", "--inline", spec, "--set", "trials=2").returncode == 0
    expected = rounded(reported(project.store / "again"))
    assert tensorboard_points_of_files(project.root / "shared" / "again") == expected


def test_values_that_differ_after_a_resume(tmp_path: Path, door: Door) -> None:
    """TensorBoard takes back what came from the first step on that has another value now; MLflow
    has both values, and those that are alike once."""
    paths = StudyPaths(tmp_path / "study")
    journal = Journal(paths.journal)
    asked = TrialAsked(trial=0, params={}, latents={}, seed=1, wrote={}, told=0, running=[])
    spec = {"name": "study", "metric": {"name": "loss"}}
    journal.append(StudyCreated(spec=spec, project="/p"), asked, _attempt(1))
    journal.append(*(_report(step, 3.0 - step) for step in range(4)))
    deliveries = []
    for name, options in (("tensorboard", {}), ("mlflow", {"uri": door.uri, "experiment": "odd"})):
        tracker = Tracker.model_validate({name: options})
        journal.flush()
        deliveries.append(Delivery(tracker, Subject("study", paths, study_id(paths.journal))))
        deliveries[-1].catch_up()
    back = TrialRestored(trial=0, attempt=2, step=0, checkpoint=None, skipped=[])
    journal.append(back, _attempt(2), _report(1, 2.0), _report(2, 9.0), _report(3, 0.0))
    journal.close()
    for delivery in deliveries:
        delivery.catch_up()
    now = [(0, "loss", 0, 3.0), (0, "loss", 1, 2.0), (0, "loss", 2, 9.0), (0, "loss", 3, 0.0)]
    assert tensorboard_points(paths.tensorboard) == now
    assert mlflow_points(door.uri, "odd") == sorted([*now, (0, "loss", 2, 1.0)])


def test_a_note_of_another_journal_is_not_believed(tmp_path: Path) -> None:
    """Where a journal came back from a backup and went on otherwise, all of it is sent anew; so it
    is where it is shorter than what was sent."""
    paths, tracker = StudyPaths(tmp_path / "study"), Tracker.model_validate("tensorboard")
    asked = TrialAsked(trial=0, params={}, latents={}, seed=1, wrote={}, told=0, running=[])
    spec = {"name": "study", "metric": {"name": "loss"}}

    def points(losses: Iterable[float], backup: Path | None) -> Any:
        if backup is not None:
            shutil.rmtree(paths.journal)
            shutil.copytree(backup, paths.journal)
        journal = Journal(paths.journal)
        if backup is None:
            journal.append(StudyCreated(spec=spec, project="/p"), asked, _attempt(1))
            journal.flush()
            shutil.copytree(paths.journal, tmp_path / "backup")
        journal.append(*(_report(step, loss) for step, loss in enumerate(losses)))
        journal.close()
        Delivery(tracker, Subject("study", paths, study_id(paths.journal))).catch_up()
        return [value for *_, value in tensorboard_points(paths.tensorboard)]

    assert points([1.0, 2.0], None) == [1.0, 2.0]
    for losses in ([3.0, 4.0, 5.0], [6.0], [7.0, 8.0]):
        assert points(losses, tmp_path / "backup") == losses


def test_names_and_values_that_not_every_tracker_takes(tmp_path: Path, door: Door) -> None:
    """Texts that are no Unicode, numbers that are no float, names that are one in MLflow: all come
    through, also when they are sent anew."""
    paths = StudyPaths(tmp_path / "study")
    params = {"a$b": 1, "a#b": 2, "p\ud800": "v\ud800", "huge": 10**400, "nested": ["\ud800"]}
    asked = TrialAsked(trial=0, params=params, latents={}, seed=1, wrote={}, told=0, running=[])
    metrics = {"m\ud800": 1.0, "far": math.inf}
    report = TrialReported(trial=0, attempt=1, step=0, value=None, metrics=metrics, prune=None)
    over = TrialFinished(
        trial=0, attempt=1, state=TrialState.FAILED, value=None, checkpoint=None, reason="\ud800"
    )
    with contextlib.closing(Journal(paths.journal)) as journal:
        spec = {"name": "study", "metric": {"name": "loss"}}
        journal.append(StudyCreated(spec=spec, project="/p"), asked, _attempt(1), report, over)
    for name, options in (
        ("tensorboard", {}),
        ("mlflow", {"uri": door.uri, "experiment": "names"}),
        ("wandb", {}),
    ):
        tracker = Tracker.model_validate({name: options})
        for _ in range(2):
            delivery = Delivery(tracker, Subject("study", paths, study_id(paths.journal)))
            delivery.catch_up()
            assert (delivery.note.points, delivery.note.seq) == (2, 4)
            (paths.trackers / f"{name}.json").unlink()
    escaped = [(0, "far", 0, math.inf), (0, r"m\ud800", 0, 1.0)]
    assert tensorboard_points(paths.tensorboard) == wandb_points(paths.wandb) == escaped
    assert [name for _, name, *_ in mlflow_points(door.uri, "names")] == ["far", "m_"]
    (run,) = mlflow_runs(door.uri, "names")
    assert sorted(run.data.params.values())[:2] == ["1", "1" + "0" * 400]
    assert len(run.data.params) == len(params)


def test_what_a_sink_cannot_take_is_not_passed_over(
    tmp_path: Path, killed_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in the middle of telling holds the tracker back; it costs no event."""
    root = tmp_path / "study"
    shutil.copytree(killed_study, root)
    paths, take = StudyPaths(root), EventFileSink.take
    tracker = Tracker.model_validate("tensorboard")
    delivery = Delivery(tracker, Subject("study", paths, study_id(paths.journal)))

    def fail(sink: EventFileSink, told: Told) -> None:
        if told.trial.number == 1:
            raise ValueError("no luck")
        take(sink, told)

    monkeypatch.setattr(EventFileSink, "take", fail)
    for _ in range(5):
        with pytest.raises(ValueError, match="no luck"):
            delivery.catch_up()
    monkeypatch.undo()
    delivery.catch_up()
    assert tensorboard_points(paths.tensorboard) == rounded(reported(root))


def _attempt(number: int) -> TrialDispatched:
    return TrialDispatched(trial=0, attempt=number, session=1, checkpoint=None)


def _report(step: int, loss: float) -> TrialReported:
    return TrialReported(
        trial=0, attempt=1, step=step, value=loss, metrics={"loss": loss}, prune=None
    )


def tensorboard_points_of_files(directory: Path) -> Any:
    for each in directory.iterdir():
        if not list(each.iterdir()):
            each.rmdir()
    return tensorboard_points(directory)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_killed_between_sent_and_noted(
    name: str, tmp_path: Path, killed_study: Path, door: Door
) -> None:
    """Whoever sends may die at any place, again and again: no point is there twice, none is not."""
    root = tmp_path / "study"
    shutil.copytree(killed_study, root)
    options = {"uri": door.uri, "experiment": "cut"} if name == "mlflow" else {}
    script = Path(__file__).with_name("cut_delivery.py")
    command = [sys.executable, script, root, json.dumps({name: options}), "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3
    expected = reported(root)
    if name == "tensorboard":
        assert tensorboard_points(root / "tensorboard") == rounded(expected)
    elif name == "mlflow":
        assert mlflow_points(door.uri, "cut") == expected
        assert len(mlflow_runs(door.uri, "cut")) == 4
    else:
        assert wandb_points(root / "wandb") == expected
        assert len(wandb_runs(root / "wandb")) == 4
