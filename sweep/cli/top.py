"""`sweep top`: the view of `sweep run`, of studies that other processes run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from sweep.cli.live.keyboard import Keyboard
from sweep.cli.live.picture import Picture
from sweep.cli.live.view import RUNNING, View
from sweep.cli.live.watch import StoreWatch
from sweep.cli.output import Output
from sweep.cli.theme import themed_console
from sweep.errors import StoreError, UsageError
from sweep.paths import StudyPaths
from sweep.quantity import counted

LOOK_S = 0.25
"""Seconds between two looks."""

SHARE = 0.25
"""Looks that cost more than this part of the time come less often."""

NICENESS = 5
"""What is looked at comes first: where processors are short, the looks wait."""

_WIDTH_OF_A_FILE = 120
"""Characters of a line where nobody's terminal says how many."""


def top(store: Path, names: Sequence[str], out: Output, *, once: bool) -> int:
    """Show the studies of ``store`` until somebody has seen enough. The exit code.

    The first of ``names`` may be the store.

    Raises:
        UsageError: the store is none.
        StudyNotFoundError: there is no such study.
    """
    store, names = _place(store, names)
    watch, console = StoreWatch(store, names), themed_console()
    stays = not once and (out.as_json or (console.is_terminal and not console.is_dumb_terminal))
    if stays:
        os.nice(NICENESS)
        return _documents(watch, store, out) if out.as_json else _screen(watch, store, console)
    watch.look(LOOK_S)
    while watch.behind:
        watch.look(LOOK_S)
    view = watch.view(time.time())
    if out.as_json:
        out.data(_document(watch, store, view))
    else:
        if not console.is_terminal:
            console.width = max(console.width, _WIDTH_OF_A_FILE)
        console.print(Picture(view, height=_lines(view)))
    return 0


def _place(store: Path, names: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """The store and the names of studies, where the first name may be that of the store."""
    if names and Path(names[0]).is_dir():
        given = Path(names[0])
        is_study = StudyPaths(given.absolute()).exists()
        if not is_study and not StudyPaths((store / given).absolute()).exists():
            store, names = given, names[1:]
    if not store.exists():
        raise StoreError(f"{store}: no such directory; give another --store, or run a sweep first")
    if not store.is_dir():
        raise UsageError(f"{store}: is no directory; give another --store")
    return store, names


def _lines(view: View) -> int:
    """Room for all that a view has."""
    return 2 * len(view.studies) + len(view.slots) + len(view.failures) + 5


def _document(watch: StoreWatch, store: Path, view: View) -> dict[str, Any]:
    return {"store": str(store), "events": watch.seqs} | view.record()


def _documents(watch: StoreWatch, store: Path, out: Output) -> int:
    """A document for each look, until somebody ends it."""
    try:
        while True:
            begun = time.monotonic()
            watch.look(LOOK_S)
            out.data(_document(watch, store, watch.view(time.time())))
            if not watch.behind:
                time.sleep(_pause(begun))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _screen(watch: StoreWatch, store: Path, console: Console) -> int:
    """The view on a terminal of its own, until somebody leaves it."""
    live = Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop")
    with Keyboard() as keyboard, live:
        while True:
            begun = time.monotonic()
            watch.look(LOOK_S)
            view = watch.view(time.time())
            live.update(Picture(view, _title(store, view)), refresh=True)
            keys = keyboard.wait(0.0 if watch.behind else _pause(begun))
            if keyboard.signal is not None:
                return 128 + keyboard.signal
            if set(keys) & set("qQ"):
                return 0


def _pause(begun: float) -> float:
    """Seconds until the next look, after one that began at ``begun``."""
    cost = time.monotonic() - begun
    return max(LOOK_S - cost, cost / SHARE - cost)


def _title(store: Path, view: View) -> str:
    running = sum(line.status == RUNNING for line in view.studies)
    at = time.strftime("%H:%M:%S", time.localtime(view.time))
    studies = counted(len(view.studies), "study", "studies")
    return f"{store}: {studies}, {running} running   {at}   q: quit"
