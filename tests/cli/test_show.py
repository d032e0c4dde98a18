"""`sweep show`: what the store holds, and what that costs on the disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PROGRAMS, Project

import sweep
from sweep.journal.event import CheckpointRetired
from sweep.journal.maintenance import maintenance
from sweep.paths import StudyPaths

BACKBONE_BYTES = 400_000
CHECKPOINT = {
    "every": {"epochs": 2},  # where none is due, an improvement saves a part
    "on": "improvement",
    "components": ["model"],
    "final": "light",
    "keep": {"last": 9, "best": 9},
}

Call = Callable[..., str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a project with a complete study of two trials."""
    root = tmp_path_factory.mktemp("shown")
    shutil.copy(PROGRAMS / "contents.py", root)
    project = Project(root)
    spec = project.spec("s", program="contents:train", trials=2, checkpoint=CHECKPOINT)
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def call(made: Path) -> Call:
    """Calls the command in this process; what it printed."""

    def called(*arguments: str) -> str:
        done = Project(made).call(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return called


def on_disk(root: Path) -> dict[str, Any]:
    """Bytes of every inode below ``root``, and of every name outside of the pool."""
    inodes: dict[int, int] = {}
    names = 0
    for parent, _, files in os.walk(root):
        for name in files:
            found = (Path(parent) / name).stat()
            inodes[found.st_ino] = found.st_size
            names += 0 if "pool" in Path(parent).relative_to(root).parts else found.st_size
    return {"inodes": sum(inodes.values()), "names": names}


def test_study_says_what_its_checkpoints_take(call: Call, made: Path) -> None:
    """Their number, the true bytes, and what sharing files saves, as text and as JSON."""
    root = made / "runs" / "s" / "checkpoints"
    manifests = len(list(root.glob("manifests/*/*.json")))
    true = on_disk(root)
    assert true["names"] - true["inodes"] > 5 * BACKBONE_BYTES
    disk = json.loads(call("show", "s", "--json"))["disk"]
    assert disk == {
        "checkpoints": manifests,
        "bytes": true["inodes"],
        "deduplicated": true["names"] - true["inodes"],
        "set_aside": 0,
    }
    (line,) = [each for each in call("show", "s").splitlines() if each.startswith("disk")]
    assert f"{manifests} checkpoints" in line
    assert "saved by deduplication" in line


def test_trial_says_what_each_checkpoint_holds_and_cost(call: Call) -> None:
    """Of each checkpoint of a trial: its content, its size, and what it added to the disk."""
    shown = json.loads(call("show", "s/1", "--json"))["checkpoints"]
    assert {each["content"] for each in shown} == {"full", "partial", "light"}
    text = call("show", "s/1")
    header = next(line for line in text.splitlines() if line.startswith("checkpoint "))
    assert header.split() == ["checkpoint", "kind", "content", "loss", "bytes", "new_bytes"]
    for each in shown:
        (line,) = [line for line in text.splitlines() if line.startswith(f"{each['id']} ")]
        words = line.split()
        assert words[1:3] == [each["kind"], each["content"]]
        measured = [f"{each['metrics'][name]:.4g}" for name in each["measured"] if name == "loss"]
        sizes = [str(each["bytes"]), str(each["new_bytes"])]
        assert words[3 : 5 + len(measured)] == [*measured, *sizes]
        assert each["new_bytes"] < BACKBONE_BYTES  # the first trial's backbone is theirs, too


@pytest.mark.parametrize("command", [("fork",), ("export", "--to", "x.pt")], ids=["fork", "export"])
def test_checkpoint_that_is_not_there_names_those_that_are(
    made: Path, project: Project, command: tuple[str, ...]
) -> None:
    """Whether it was retired or never was is said, with the ids that can be given instead."""
    name, *options = command
    shutil.copytree(made, project.root, dirs_exist_ok=True)
    with maintenance(StudyPaths.of(project.store, "s"), "test") as held:
        held.record(CheckpointRetired(trial=0, checkpoint="0@2.0", reason="last"))
    there = "0@1.0.partial, 0@3.0.partial, 0@3.0.final"
    for which, says in (
        ("0@2.0", "0@2.0 is not kept any more (checkpoint.keep says what is)"),
        ("2.0", "0@2.0 is not kept any more (checkpoint.keep says what is)"),
        ("0@9.9", "no checkpoint 0@9.9 of trial 0"),
        ("7", "no checkpoint of trial 0 at step 7"),
    ):
        done = project.call(name, f"s/0@{which}", *options)
        assert done.returncode == 3
        assert done.stderr == f"sweep: s: {says}; of this trial there is: {there}\n"


def test_table_of_checkpoints_says_the_content(made: Path) -> None:
    """`study.checkpoints` has a column that tells full ones from partial and light ones."""
    found = sweep.open_study(made / "runs" / "s").checkpoints
    of_trial = found[found["trial"] == 0]
    by_content = of_trial.groupby("content")["id"].apply(list).to_dict()
    assert by_content == {
        "full": ["0@2.0"],
        "light": ["0@3.0.final"],
        "partial": ["0@1.0.partial", "0@3.0.partial"],
    }


def test_what_failed_before_a_trial_was_complete_is_shown(project: Project) -> None:
    """The line of the run refers to it, and the trial has no error of its own."""
    spec = project.spec("s", program="odd:raises_once", trials=1, retries=1)
    done = project.run("run", "--inline", spec)
    assert "trial 0: attempt 1: RuntimeError: once (traceback: sweep show s/0)" in done.stdout
    shown = project.call("show", "s/0").stdout
    assert "s/0 (complete)" in shown
    assert "\nattempt 1 failed: RuntimeError: once\nTraceback" in shown
    record = json.loads(project.call("show", "s/0", "--json").stdout)
    assert record["error"] is None
    failed = [(each["attempt"], each["reason"]) for each in record["failed_attempts"]]
    assert failed == [(1, "RuntimeError: once")]


def test_an_error_is_shown_once(project: Project) -> None:
    """That of the last attempt is why the trial has failed; those before it precede it."""
    spec = project.spec("s", program="odd:raises", trials=1, retries=1)
    assert project.run("run", "--inline", spec).returncode == 1
    shown = project.call("show", "s/0").stdout
    assert shown.count("Traceback") == 2
    assert shown.index("\nattempt 1 failed: Runtime") < shown.index("\nfailed: RuntimeError")


def test_no_row_is_padded_in_a_pipe(call: Call) -> None:
    """A long last cell (why a study is damaged, say) does not widen the other rows."""
    for shown in (call("ls"), call("show", "s"), call("best", "s"), call("show", "s/0")):
        assert all(line == line.rstrip() for line in shown.splitlines())


def test_nothing_to_do_is_said_so(call: Call) -> None:
    """A clean study has nothing to remove and nothing to rewrite, and no table of zeros."""
    for name in ("gc", "migrate"):
        for options in ((), ("--dry-run",)):
            assert call(name, "s", *options).startswith("s: there is nothing to ")
