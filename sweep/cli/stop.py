"""`sweep stop`: ask a driver, wherever it runs, to save and end, or to end one trial."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

from sweep import fsio
from sweep.cli.output import Output, store_option
from sweep.cli.place import find_study, find_trial, read_study
from sweep.driver.inbox import StopTrial, ask
from sweep.driver.intervention import stoppable
from sweep.journal.follower import Follower
from sweep.journal.lock import holder
from sweep.journal.state import Trial
from sweep.paths import StudyPaths

LOOK_S = 0.1
"""Time between two looks at the lock: another process, maybe another machine, gives no event."""


def stop(store: Path, name: str, wait: float, out: Output) -> int:
    """Ask for the end of a study, or of one trial, and wait for it.

    The exit code: 0 when nobody runs it any more, 1 where that took longer than ``wait`` seconds.

    Raises:
        StudyNotFoundError: there is no such study or trial.
        UsageError: the trial is over.
        StoreError: the driver did not answer in time, or the study cannot be written.
    """
    if _names_trial(store, name):
        paths, number = find_trial(store, name)
        return _stop_trial(paths, number or 0, time.monotonic() + wait, out)
    paths = find_study(store, name)
    driver = holder(paths.lock)
    if driver is None:
        _say(out, name, "not running", f"{name}: no driver runs it")
        return 0
    fsio.write_bytes(paths.stop, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    deadline = time.monotonic() + wait
    while holder(paths.lock) is not None:
        if time.monotonic() >= deadline:
            _say(out, name, "stopping", f"{name}: {driver} was asked to end and has not yet")
            return 1
        time.sleep(LOOK_S)
    paths.stop.unlink(missing_ok=True)
    go_on = f"sweep resume {name}{store_option(store)}"
    _say(out, name, "stopped", f"{name}: stopped; go on with: {go_on}")
    return 0


def _names_trial(store: Path, name: str) -> bool:
    """Whether ``name`` is ``STUDY/TRIAL``, and not the path of a study whose name is a number."""
    _, slash, tail = name.rstrip("/").rpartition("/")
    if not slash or not tail.isdecimal():
        return False
    return not any(StudyPaths((root / name).absolute()).exists() for root in (store, Path()))


def _stop_trial(paths: StudyPaths, number: int, deadline: float, out: Output) -> int:
    _, state = read_study(paths)
    stoppable(state, paths.name, number)
    ended = None
    if holder(paths.lock) is not None and ask(paths, StopTrial(number), deadline) is not None:
        ended = _followed(paths, number, deadline)
    if ended is None and holder(paths.lock) is None:
        ended = _stop_idle(paths, number)
    study = paths.name
    if ended is None:
        line = f"{study}: trial {number} was asked to end and has not yet"
        _say_trial(out, study, number, None, line)
        return 1
    state_text, reason = str(ended.state).lower(), ended.reason or "it came to its end"
    _say_trial(out, study, number, ended, f"{study}: trial {number} is {state_text}: {reason}")
    return 0


def _followed(paths: StudyPaths, number: int, deadline: float) -> Trial | None:
    """The trial once it is over; None where its driver has gone before that, or time is up."""
    follower = Follower(paths.journal)
    while True:
        driver = holder(paths.lock)
        for _ in follower.new():
            pass
        trial = follower.state.trials[number]
        if trial.state.finished:
            return trial
        if driver is None or time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_S)


def _stop_idle(paths: StudyPaths, number: int) -> Trial | None:
    """End a trial of a study that nobody runs; the trial as it has ended."""
    from sweep.driver.prepare import open_study, request_resume  # start-up: these load Optuna

    study = open_study(replace(request_resume(paths), accepted=True))
    try:
        trial = study.state.trials[number]
        if not trial.state.finished:  # else its driver has done it before it left
            trial = study.intervention.stop(number)
        return trial
    finally:
        study.end("trial stopped", lambda entry: None)


def _say(out: Output, name: str, state: str, line: str) -> None:
    out.data({"study": name, "state": state}) if out.as_json else out.line(line)


def _say_trial(out: Output, study: str, number: int, ended: Trial | None, line: str) -> None:
    if out.as_json:
        state = "stopping" if ended is None else str(ended.state)
        out.data({"study": study, "trial": number, "state": state})
    else:
        out.line(line)
