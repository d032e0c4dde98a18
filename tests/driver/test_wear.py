"""Workers are replaced between two trials: after so many, or when they have grown."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from conftest import Project

import sweep
from sweep.trial import wear
from sweep.trial.wear import LEAST_GROWTH, Endurance, Wear

LEAKING = """
import os

LEAK = []

def train(trial):
    trial.track()
    for epoch in trial.epochs(2):
        LEAK.append(bytearray(os.urandom(1 << 20)) * trial.params.leak)
        trial.report(loss=trial.params.x, worker=float(os.getpid()))
"""


def workers(project: Project, **content: object) -> list[int]:
    """The process that each trial of a study ran in; there is one slot."""
    (project.root / "leaking.py").write_text(LEAKING)
    parameters = {"x": {"min": 0.0, "max": 1.0}, "leak": {"value": 100}}
    base = {"program": "leaking:train", "concurrency": 1, "parameters": parameters, "trials": 5}
    done = project.run("run", project.spec("study", **(base | content)))
    assert done.returncode == 0, done.stderr
    trials = sweep.open_study(project.store / "study").trials
    assert list(trials["attempts"]) == [1] * len(trials), "it was replaced between two trials"
    return [int(each) for each in trials["metrics.worker"]]


@pytest.mark.ray
def test_a_worker_that_grows_is_replaced(project: Project) -> None:
    """A worker that holds more than `memory` after a trial runs no other; each trial here leaves
    200 MiB behind. It costs no retry."""
    assert list(Counter(workers(project, worker={"memory": "400MB"})).values()) == [2, 2, 1]


@pytest.mark.ray
@pytest.mark.long
def test_a_worker_is_replaced_after_so_many_trials(project: Project) -> None:
    """`worker: {trials: 2}` runs two trials in each process."""
    assert list(Counter(workers(project, worker={"trials": 2})).values()) == [2, 2, 1]


def test_trials_are_counted() -> None:
    """The last of so many trials wears a worker out."""
    worn = Wear()
    assert [worn.another(Endurance(trials=3)) for _ in range(3)] == [False, False, True]


def grown(monkeypatch: pytest.MonkeyPatch, endurance: Endurance, sizes: list[int]) -> list[bool]:
    """Whether a worker of such sizes after its trials is replaced after each."""
    worn, measured = Wear(), [0]
    monkeypatch.setattr(wear, "own_memory", lambda: measured[-1])
    return [measured.append(size) or worn.another(endurance) for size in sizes]


def test_without_a_limit_growth_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default a worker is replaced when it has grown by a quarter of its share of the memory
    since its first trial, however large that left it; little growth is no reason."""
    gib = 1 << 30
    monkeypatch.setattr(wear, "machine_memory", lambda: 16 * gib)
    endurance = Endurance(cores=(os.cpu_count() or 1) / 4)
    assert endurance.growth == gib
    assert grown(monkeypatch, endurance, [5 * gib, 5 * gib + 200, 6 * gib, 6 * gib + 1]) == [
        False, False, False, True,
    ]  # fmt: skip
    monkeypatch.setattr(wear, "machine_memory", lambda: gib // 4)
    assert grown(monkeypatch, endurance, [100, LEAST_GROWTH + 100, LEAST_GROWTH + 101]) == [
        False, False, True,
    ]  # fmt: skip


def test_garbage_is_no_growth() -> None:
    """What only the collector frees is freed before a worker is judged."""

    class Cycle:
        def __init__(self) -> None:
            self.me, self.data = self, bytearray(os.urandom(1 << 20)) * 300

    worn = Wear()
    limit = wear.own_memory() + 150 * (1 << 20)
    Cycle()
    assert wear.own_memory() > limit
    assert not worn.another(Endurance(memory=limit))
