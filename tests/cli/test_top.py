"""`sweep top` beside real drivers: what it sees, how soon, and how it leaves the terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, until
from terminal import terminal

from sweep.cli.live.watch import StoreWatch
from sweep.journal.listing import list_segments
from sweep.journal.segment import read_entries
from sweep.paths import StudyPaths


class Watcher:
    """A `sweep top --json`, and its documents with the times at which they came."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.documents: list[tuple[float, dict[str, Any]]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.documents.append((time.time(), json.loads(line)))

    @property
    def statuses(self) -> dict[str, str]:
        """The studies of the newest document, and how they stand."""
        studies = self.documents[-1][1]["studies"] if self.documents else []
        return {line["study"]: line["status"] for line in studies}


@contextmanager
def watching(project: Project, *arguments: str | Path) -> Iterator[Watcher]:
    process = project.start("top", "--json", *arguments)
    yield Watcher(process)
    process.terminate()
    process.wait(10)


def begin(project: Project, name: str = "s") -> subprocess.Popen[str]:
    """A driver whose trial reports 200 times a second until it is ended."""
    driver = project.start("run", "--inline", project.spec(name, program="odd:sleeps"))
    until((project.root / "running-0").exists)
    return driver


def test_events_are_seen_within_a_second_and_a_killed_driver_too(project: Project) -> None:
    """Events are in a document less than a second after their time (a tenth may come later, on a
    busy machine); a driver that was killed is said to be interrupted as soon."""
    driver = begin(project)
    with watching(project) as watcher:
        until(lambda: watcher.statuses.get("s") == "running")
        first = len(watcher.documents)
        until(lambda: len(watcher.documents) > first + 6)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        killed = time.time()
        until(lambda: watcher.statuses["s"] == "interrupted")
        assert watcher.documents[-1][0] < killed + 3
        assert watcher.documents[-1][1]["slots"] == []
    times = {entry.seq: entry.time for entry in read_entries(project.store / "s" / "journal")}
    known = [(at, document["events"]["s"]) for at, document in watcher.documents[first:]]
    lags = [
        at - times[seq]
        for (_, before), (at, newest) in pairwise(known)
        for seq in range(before + 1, newest + 1)
    ]
    assert len(lags) > 100
    assert sorted(lags)[len(lags) * 9 // 10] < 1
    slot = watcher.documents[first][1]["slots"][0]
    assert (slot["study"], slot["trial"]) == ("s", 0)
    assert slot["value"] == pytest.approx(1 / slot["done"])


def test_studies_come_and_go_and_a_damaged_one_is_a_line(project: Project) -> None:
    """The view is of the store as it is: nothing that happens to a study ends it."""
    for name in ("a", "b"):
        assert project.call("run", "--inline", project.spec(name)).returncode == 0
    with watching(project) as watcher:
        until(lambda: watcher.statuses == {"a": "complete", "b": "complete"})
        shutil.copytree(project.store / "a", project.store / "c")
        until(lambda: "c" in watcher.statuses)
        shutil.rmtree(project.store / "b")
        until(lambda: "b" not in watcher.statuses)
        journal = project.store / "c" / "journal"
        path = list_segments(journal)[0][-1].path
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(whole[: len(whole) // 2])
        until(lambda: watcher.statuses == {"a": "complete", "c": "damaged"})
        damaged = watcher.documents[-1][1]["studies"][1]
        assert path.name in damaged["error"]
        path.unlink()
        path.write_bytes(whole)
        until(lambda: watcher.statuses == {"a": "complete", "c": "complete"})


def test_a_torn_segment_of_a_study_that_is_followed(project: Project) -> None:
    """What was known of it stays until it is mended; the damage is said by name."""
    driver = begin(project)
    with watching(project, "--store", project.store, "s") as watcher:
        until(lambda: watcher.statuses.get("s") == "running")
        driver.kill()
        driver.wait()
        until(lambda: watcher.statuses["s"] == "interrupted")
        newest = watcher.documents[-1][1]["events"]["s"]
        torn = project.store / "s" / "journal" / f"{newest + 1:08d}-{newest + 9:08d}.parquet"
        torn.write_bytes(b"PAR1")
        until(lambda: watcher.statuses["s"] == "damaged")
        assert torn.name in watcher.documents[-1][1]["studies"][0]["error"]
        torn.unlink()
        until(lambda: watcher.statuses["s"] == "interrupted")
        assert watcher.documents[-1][1]["events"]["s"] == newest


def test_a_study_in_the_place_of_another_is_read_anew(project: Project) -> None:
    """A store may be emptied and filled again while somebody looks."""
    spec = project.spec("s", trials=9)
    assert project.call("run", "--inline", spec).returncode == 0
    with watching(project, "s") as watcher:
        until(lambda: watcher.statuses == {"s": "complete"})
        assert watcher.documents[-1][1]["studies"][0]["finished"] == 9
        shutil.rmtree(project.store / "s")
        assert project.call("run", "--inline", project.spec("s", trials=2)).returncode == 0
        until(lambda: watcher.documents[-1][1]["studies"][0]["finished"] == 2)


@pytest.mark.parametrize(
    ("keys", "code"), [("q", 0), ("\x03", 130), (None, 143)], ids=["q", "ctrl-c", "sigterm"]
)
def test_it_leaves_the_terminal_as_it_was(project: Project, keys: str | None, code: int) -> None:
    """By a key or by a signal: the cursor is back, and so is the screen and what is typed."""
    assert project.call("run", "--inline", project.spec("s")).returncode == 0
    with terminal(project.root, "top") as screen:
        until(lambda: "3/3" in screen.text)
        assert screen.modes != screen.before
        if keys is None:
            os.kill(screen.process.pid, signal.SIGTERM)
        else:
            screen.type(keys)
        assert screen.process.wait(10) == code
        until(lambda: "\x1b[?1049l" in screen.text)
        assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")
        assert screen.modes == screen.before
        assert "Traceback" not in screen.text


def test_it_follows_the_size_of_the_terminal(project: Project) -> None:
    """A picture is drawn for the size that the terminal has by then."""
    driver = begin(project)
    with terminal(project.root, "top", columns=60, rows=10) as screen:
        until(lambda: "s/0" in screen.text)
        assert "incumbent" not in screen.text
        screen.resize(140, 40)
        until(lambda: "incumbent" in screen.text)
        screen.type("q")
        assert screen.process.wait(10) == 0
    driver.kill()


def test_run_draws_on_a_terminal(project: Project) -> None:
    """The same view, below the lines that are printed; the cursor is back at the end."""
    spec = project.spec("s", program="odd:raises_once", trials=2, retries=1)
    with terminal(project.root, "run", spec) as screen:
        screen.process.wait(60)
        text = screen.text
    assert "\u2500" in text  # a bar
    assert "s: trial 0: attempt 1: RuntimeError: once" in text
    assert "s: complete" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_one_picture(project: Project) -> None:
    """For a pipe, and with --once: all studies, not cut, and then the end."""
    for number in range(30):
        name = f"study-{number:02d}"
        (project.store / name / "journal").mkdir(parents=True)
    assert project.call("run", "--inline", project.spec("s", trials=3)).returncode == 0
    shown = project.call("top")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 32
    assert "accuracy" not in shown.stdout
    assert "3/3" in project.call("top", "s").stdout
    (document,) = project.call("top", "--json", "--once").stdout.splitlines()
    found = json.loads(document)
    assert [line["status"] for line in found["studies"]] == ["complete"] + ["not begun"] * 30
    assert project.call("top", project.store, "s").stdout.count("\n") == 2


def test_a_place_that_is_no_store(project: Project) -> None:
    """One clear line, and the exit code of what is wrong."""
    file = project.root / "file"
    file.touch()
    for arguments, code, said in (
        (["--store", "nowhere"], 3, "nowhere: no such directory"),
        (["--store", file], 2, "is no directory"),
        (["--store", project.root, "nothing"], 3, "no study 'nothing'"),
    ):
        refused = project.call("top", *arguments)
        assert refused.returncode == code
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert project.call("top", "--store", project.root).stdout == "no studies\n"


def test_another_study_that_took_the_place_of_one(project: Project) -> None:
    """Between two looks, and with as many events: it is not taken for the one before it."""
    for name, least in (("a", 0.0), ("b", 0.5)):
        parameters = {"x": {"min": least, "max": 1.0}}
        spec = project.spec(name, parameters=parameters)
        assert project.call("run", "--inline", spec).returncode == 0
    watch = StoreWatch(project.store, ["a"])
    watch.look(5.0)
    shutil.rmtree(project.store / "a")
    (project.store / "b").rename(project.store / "a")
    watch.look(5.0)
    fresh = StoreWatch(project.store, ["a"])
    fresh.look(5.0)
    assert watch.view(0.0) == fresh.view(0.0)


def test_a_study_that_is_removed_while_it_is_looked_at(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the store was listed, and is not when its journal is to be read."""
    for name in ("a", "b"):
        assert project.call("run", "--inline", project.spec(name)).returncode == 0
    watch = StoreWatch(project.store)
    watch.look(1.0)
    assert [line.study for line in watch.view(0.0).studies] == ["a", "b"]
    shutil.rmtree(project.store / "a")
    listed = [StudyPaths.of(project.store, name) for name in ("a", "b")]
    monkeypatch.setattr("sweep.cli.live.watch.studies", lambda store: listed)
    monkeypatch.setattr(StudyPaths, "exists", lambda paths: True)
    watch.look(1.0)
    assert [line.study for line in watch.view(0.0).studies] == ["b"]
