"""`sweep rm`: a study is whole or gone, whoever asks, and whatever is killed."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest
from conftest import Project, until

from sweep.driver import removal
from sweep.journal.journal import read_state
from sweep.paths import StudyPaths


def studies(project: Project) -> list[str]:
    return [each["study"] for each in json.loads(project.call("ls", "--json").stdout)]


def made(project: Project, *names: str) -> None:
    for name in names:
        spec = project.spec(name, program="mended:two", trials=1, metric={"name": "a"})
        assert project.call("run", "--inline", spec).returncode == 0


def test_several(project: Project) -> None:
    """The studies named are gone with all of their files; others stay."""
    made(project, "a", "b", "c")
    done = project.call("rm", "a", "c", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["study"], each["removed"]) for each in documents] == [("a", True), ("c", True)]
    assert all(each["bytes"] > 1000 for each in documents)
    assert [path.name for path in project.store.iterdir()] == ["b"]
    assert studies(project) == ["b"]


def test_nothing_is_removed_where_one_is_unknown(project: Project) -> None:
    """A name that is none, or a missing --yes where nobody can be asked, removes nothing."""
    made(project, "a")
    assert project.call("rm", "a", "nothing", "--yes").returncode == 3
    asked = subprocess.run(
        [sys.executable, "-m", "sweep", "rm", "a"],
        cwd=project.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert project.call("rm", "a", "--json").returncode == 2
    assert studies(project) == ["a"]


@pytest.mark.parametrize(("answer", "left"), [("n", ["a"]), ("y", [])])
def test_it_asks_on_a_terminal(project: Project, answer: str, left: list[str]) -> None:
    """On a terminal it says what would go, and asks."""
    made(project, "a")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweep", "rm", "a"],
        cwd=project.root,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    project.processes.append(process)
    os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert "complete, 1 trial, " in out
    assert process.returncode == (0 if answer == "y" else 1)
    assert studies(project) == left


def test_a_running_study_is_refused(project: Project) -> None:
    """Nothing of a study that a driver runs is removed, and nothing of others named with it."""
    made(project, "a")
    spec = project.spec("s", program="odd:sleeps", trials=1)
    driver = project.start("run", "--inline", spec)
    paths = StudyPaths.of(project.store, "s")
    until(lambda: paths.begun() and read_state(paths.journal).running)
    done = project.call("rm", "a", "s", "--yes")
    assert done.returncode == 3
    assert f"is being run by process {driver.pid}" in done.stderr
    assert studies(project) == ["a", "s"]
    driver.kill()
    driver.wait()
    assert project.call("rm", "a", "s", "--yes").returncode == 0
    assert studies(project) == []


def test_a_damaged_study(project: Project) -> None:
    """One whose journal cannot be read can be removed."""
    made(project, "a")
    for segment in StudyPaths.of(project.store, "a").journal.iterdir():
        segment.write_bytes(b"PAR1 nothing PAR1")
    assert project.call("rm", "a", "--yes").returncode == 0
    assert list(project.store.iterdir()) == []


def test_a_kill_half_way(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while its files go, a study is gone for all; the next removal clears its files."""
    made(project, "a", "b")

    def killed(path: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(removal.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            removal.remove_study(StudyPaths.of(project.store, "a"))
    assert studies(project) == ["b"]
    spec = project.root / "a.yaml"
    assert project.call("run", "--inline", spec).returncode == 0  # the name is free
    assert studies(project) == ["a", "b"]
    assert project.call("rm", "b", "--yes").returncode == 0
    assert [path.name for path in project.store.iterdir()] == ["a"]


def test_a_link_is_refused(project: Project) -> None:
    """A study that is a link to elsewhere is left alone."""
    made(project, "a")
    shutil.move(project.store / "a", project.root / "elsewhere")
    (project.store / "a").symlink_to(project.root / "elsewhere")
    assert project.call("rm", "a", "--yes").returncode == 2
    assert (project.root / "elsewhere" / "journal").is_dir()
