"""What other processes ask the driver of a running study to do: only it may write the journal.

Whoever asks leaves a file in the study's directory of requests, one for each request. The driver
looks there between two messages, does what is asked, and answers with a file once that is durable.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep import fsio
from sweep.errors import StoreError, StudyNotFoundError, SweepError, UsageError
from sweep.journal.lock import holder
from sweep.paths import StudyPaths

LOOK_S = 0.2
"""The longest time between two looks of a driver for a request."""
ANSWER_S = 0.05
"""Time between two looks for an answer: another process, maybe another machine, gives no event."""


@dataclass(frozen=True, slots=True)
class RetryTrials:
    """Have these failed trials run again; all of them where none is named."""

    trials: tuple[int, ...]
    from_scratch: bool


@dataclass(frozen=True, slots=True)
class StopTrial:
    """Have a trial end where it is."""

    trial: int


Wish = RetryTrials | StopTrial

_RETRY, _STOP = "retry", "stop"


def _encoded(wish: Wish) -> dict[str, Any]:
    match wish:
        case RetryTrials(trials=trials, from_scratch=from_scratch):
            return {"do": _RETRY, "trials": list(trials), "from_scratch": from_scratch}
        case StopTrial(trial=trial):
            return {"do": _STOP, "trial": trial}


def _decoded(data: bytes) -> Wish:
    """The wish that a file holds.

    Raises:
        UsageError: it is none that this version of sweep knows.
    """
    try:
        match json.loads(data):
            case {"do": "retry", "trials": [*trials], "from_scratch": bool(from_scratch)}:
                if all(type(each) is int for each in trials):
                    return RetryTrials(tuple(trials), from_scratch)
            case {"do": "stop", "trial": int(trial)}:
                return StopTrial(trial)
    except (ValueError, RecursionError):  # not JSON, or not even text
        pass
    raise UsageError(
        "the driver does not understand the request: it may run another version of sweep"
    )


class Inbox:
    """The driver's side."""

    def __init__(self, paths: StudyPaths) -> None:
        """Nothing is looked at yet."""
        self._directory = paths.requests
        self._due = 0.0
        self._answers: deque[tuple[int, str, dict[str, Any]]] = deque()

    def serve(
        self, carry_out: Callable[[Wish], Mapping[str, Any]], newest: Callable[[], int]
    ) -> None:
        """Carry out what waits. Each is answered once the ``newest`` event after it is durable.

        ``carry_out`` gives the answer.

        Raises:
            StoreError: the journal cannot be written.
        """
        for path in self._waiting():
            try:
                data = path.read_bytes()
            except OSError:
                continue  # it was taken back
            try:
                answer: dict[str, Any] = {"done": dict(carry_out(_decoded(data)))}
            except (UsageError, StudyNotFoundError) as error:
                answer = {"refused": str(error)}
            self._answers.append((newest(), path.stem, answer))
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def settle(self, committed: int) -> None:
        """Answer what was done by events up to ``committed``, which are durable."""
        while self._answers and self._answers[0][0] <= committed:
            _, name, answer = self._answers.popleft()
            with suppress(OSError):  # whoever asked waits in vain, and says so
                fsio.write_bytes(self._directory / f"{name}.answer", json.dumps(answer).encode())

    def _waiting(self) -> Iterator[Path]:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LOOK_S
        yield from sorted(each for each in _files(self._directory) if each.suffix == ".json")


def clear_requests(paths: StudyPaths) -> None:
    """Remove what was asked of an earlier driver: whoever still waits will ask again."""
    for path in _files(paths.requests):
        with suppress(OSError):
            path.unlink()


def _files(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []  # nobody has ever asked


def ask(paths: StudyPaths, wish: Wish, deadline: float) -> dict[str, Any] | None:
    """Have the driver of a study do something; its answer, or None where there is no driver.

    ``deadline`` is on the monotonic clock.

    Raises:
        UsageError: the driver refuses; the message is its reason.
        StoreError: it did not answer in time, or the request cannot be written.
    """
    name = f"{os.getpid()}-{uuid.uuid4().hex}"
    request, answer = (paths.requests / f"{name}.{kind}" for kind in ("json", "answer"))
    asked = None
    try:
        while True:
            driver = holder(paths.lock)
            if (found := _answer(answer)) is not None:
                return found
            if driver is None:
                return None
            if driver != asked:  # a new one has thrown away what it found
                fsio.make_directory(paths.requests)
                fsio.write_bytes(request, json.dumps(_encoded(wish)).encode())
                asked = driver
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{paths.name}: {driver} did not answer in time (with --inline it looks only "
                    "between two reports); give a longer --wait, or try when it has ended"
                )
            time.sleep(ANSWER_S)
    except OSError as error:
        if isinstance(error, SweepError):
            raise
        raise StoreError(f"{paths.requests}: cannot be written: {error}") from error
    finally:
        for path in (request, answer):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _answer(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or not content.keys() & {"refused", "done"}:
            raise ValueError("it is no answer")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    if "refused" in content:
        raise UsageError(content["refused"])
    done: dict[str, Any] = content["done"]
    return done
