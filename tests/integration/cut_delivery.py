"""Sends a study to a tracker in processes that die: ``python cut_delivery.py STUDY TRACKER SEED``.

Each process is forked off this one and dies in turn: after a chunk was sent and before that was
noted; after it was noted; in the middle of sending; with half of what it wrote on the disk. The
last one comes to the end. Prints how many died.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from sweep.integration import delivery
from sweep.integration.delivery import Delivery
from sweep.integration.tracker import Subject
from sweep.journal.excerpt import study_id
from sweep.paths import StudyPaths
from sweep.spec.tracker import Tracker

DIED = 9
SENDING = {
    "tensorboard": ("event_file", "EventFileSink", ["_append"]),
    "mlflow": ("mlflow_run", "MlflowClient", ["create_run", "log_batch", "set_terminated"]),
    "wandb": ("wandb_run", "WandbSink", ["_made", "_written"]),
}


def die(*_: Any) -> NoReturn:
    os._exit(DIED)


def dying(function: Callable[..., Any], count: list[int], torn: bool) -> Callable[..., Any]:
    """``function``, after the last of so many calls of which the process dies."""

    def call(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        count[0] -= 1
        if count[0] <= 0:
            if torn:  # of what an event file was given only a part is there
                sink, trial = arguments[:2]
                (path,) = (sink._root / str(trial.number)).iterdir()
                os.truncate(path, result - 5)
            die()
        return result

    return call


def cut(name: str, kind: int, picks: random.Random) -> None:
    """Let this process die in one way or another."""
    write = delivery.write_note
    if kind == 0:
        notes = [picks.randint(1, 2)]
        first = dying(lambda *_: None, notes, False)
        delivery.write_note = lambda *note: (notes[0] == 1 and die()) or write(*note) or first()
    elif kind == 1:
        delivery.write_note = dying(write, [1], False)
    else:
        module, owner, functions = SENDING[name]
        place = getattr(importlib.import_module(f"sweep.integration.{module}"), owner)
        count = [picks.randint(1, 6 if name == "mlflow" else 2)]
        for function in functions:
            torn = name == "tensorboard" and kind == 3
            setattr(place, function, dying(getattr(place, function), count, torn))


def main() -> None:
    root, written, seed = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    tracker, picks, paths = Tracker.model_validate(written), random.Random(seed), StudyPaths(root)
    delivery.CHUNK = 9 if tracker.name == "tensorboard" else 18
    importlib.import_module(f"sweep.integration.{SENDING[tracker.name][0]}")
    for deaths in range(200):
        picked, kind = random.Random(picks.random()), deaths % 4
        child = os.fork()
        if not child:
            cut(tracker.name, kind, picked)
            Delivery(tracker, Subject("study", paths, study_id(paths.journal))).catch_up()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            sys.stdout.write(str(deaths))
            return
        assert code == DIED, code


main()
