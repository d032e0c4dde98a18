"""Each kind of loader, killed in the middle of an epoch, yields what it yields undisturbed."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import loader_kinds
import pytest
from loader_kinds import KINDS, REFUSED
from trial_harness import Recorder, Runner

from sweep.checkpoint.policy import Policy
from sweep.errors import UsageError
from sweep.trial.message import Message, Saved
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial

GOLDEN = Path(__file__).parent / "golden_loaders"
DOCS = Path(__file__).parents[2] / "docs" / "trial.md"


class Told(Recorder):
    """Writes the manifests of durable checkpoints down, for who is there after a kill."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def send(self, message: Message) -> None:
        super().send(message)
        if isinstance(message, Saved):
            with self._path.open("a") as file:
                file.write(json.dumps(message.record.manifest) + "\n")


def runner(root: Path, kind: str) -> Runner:
    fields = {"params": {"kind": kind}, "policy": Policy(steps=1)}
    made = Runner(root, "loader_kinds:train", **fields)
    said = root / "said"
    if said.exists():
        made.known = [json.loads(line) for line in said.read_text().splitlines()]
    return made


def attempt(root: Path, kind: str, session: int, steps: int) -> None:
    os.setsid()
    loader_kinds.KILL_AFTER = steps
    runner(root, kind).run(Told(root / "said"), session=session)


def killed(root: Path, kind: str, session: int, steps: int) -> bool:
    """Run an attempt in a process of its own that dies after ``steps``; whether it came so far."""
    root.mkdir(exist_ok=True)
    arguments = (root, kind, session, steps)
    child = multiprocessing.get_context("fork").Process(target=attempt, args=arguments)
    child.start()
    child.join()
    with suppress(ProcessLookupError):  # workers of a loader may outlive it
        os.killpg(child.pid, signal.SIGKILL)
    return child.exitcode == -signal.SIGKILL


def seen(made: Runner, link: Recorder) -> list[Any]:
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    return made.store.read(link.records[-1].manifest).tree["state"]["seen"]


def undisturbed(root: Path, kind: str) -> list[Any]:
    made = runner(root, kind)
    return seen(made, made.run())


@pytest.mark.parametrize("kind", KINDS)
def test_killed_in_the_middle_of_epochs(tmp_path: Path, kind: str) -> None:
    """Killed in the first epoch and again in the second, it sees what it sees undisturbed."""
    expected = undisturbed(tmp_path / "whole", kind)
    last = [epoch for epoch, *_ in expected].index(1)
    root = tmp_path / "killed"
    assert killed(root, kind, 1, max(1, last - 2))
    assert killed(root, kind, 2, last + 2)
    made = runner(root, kind)
    assert seen(made, made.run(session=3)) == expected


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_every_step(tmp_path: Path, kind: str) -> None:
    """Killed after any of its steps, at the ends of epochs too, it sees the same."""
    expected = undisturbed(tmp_path / "whole", kind)
    for steps in range(1, len(expected) + 1):
        root = tmp_path / str(steps)
        assert killed(root, kind, 1, steps)
        made = runner(root, kind)
        assert seen(made, made.run(session=2)) == expected, steps


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_when_it_is_made(kind: str) -> None:
    """What cannot be resumed exactly is refused when the loader is made, with the way out."""
    options, way_out = REFUSED[kind]
    chosen = options()
    with pytest.raises(UsageError, match=way_out):
        Trial.offline({}).loader(chosen.pop("dataset"), **chosen)


def test_the_documented_table_is_the_tested_one() -> None:
    """Each row of the table in the documentation names the tests that hold it, and none is left."""
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    named = [row.split("|")[4].strip() for row in rows if row.count("|") == 5 and "---" not in row]
    kinds = [kind.strip() for cell in named for kind in cell.split(";")]
    assert sorted(kinds) == sorted(["tested as", *KINDS, *REFUSED])


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_checkpoints_of_an_older_version(tmp_path: Path, case: str) -> None:
    """What an older version saved in the middle of a pass goes on, or is refused with a reason."""
    golden = json.loads((GOLDEN / case / "expected.json").read_text())
    shutil.copytree(GOLDEN / case / "checkpoints", tmp_path / "checkpoints")
    made = Runner(tmp_path, "loader_kinds:train", params={"kind": golden["kind"]}, attempt=1)
    made.known = golden["known"]
    link = made.run()
    if golden["seen"] is None:
        assert "its items cannot be found again; fork a checkpoint" in str(link.ended.error)
    else:
        first = [batch[:-1] for batch in seen(made, link) if batch[0] == 0]
        assert first == golden["seen"]
