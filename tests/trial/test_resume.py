"""A trial that is stopped anywhere, and again, ends with the bits of one that never was."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from trial_harness import Recorder, Runner, same

from sweep.trial.message import Restored

TRAIN = "trial_programs:train"


def uninterrupted(root: Path, params: dict) -> tuple[Runner, Recorder]:
    runner = Runner(root, TRAIN, params=params)
    return runner, runner.run()


def check_stops(tmp_path: Path, params: dict, stops: list[list[int]]) -> None:
    """Each of ``stops`` is a run of its own that is stopped at these safe points."""
    runner, link = uninterrupted(tmp_path / "whole", params)
    expected, reports = runner.final(link), runner.reports
    for number, places in enumerate(stops):
        other = Runner(tmp_path / str(number), TRAIN, params=params)
        end = other.until_done(places)
        assert same(other.final(end), expected), places
        assert other.reports == reports, places
        assert end.records[-1].id == link.records[-1].id


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"options": {}},
        {"options": {"shuffle": True, "drop_last": True}},
        {"options": {"weighted": True}},
        {"options": {"batched": True}},
        {"stream": True, "options": {}},
    ],
    ids=["shuffled", "in order", "last dropped", "weighted", "batch sampler", "stream"],
)
def test_stop_at_every_batch(tmp_path: Path, params: dict) -> None:
    """Stopped at every batch and every end of an epoch, weights and reports are the same."""
    params = {**params, "epochs": 2}
    _, link = uninterrupted(tmp_path / "count", params)
    check_stops(tmp_path, params, [[place] for place in range(1, link.safe_points + 1)])


def test_stop_twice_in_a_row(tmp_path: Path) -> None:
    """A resumed trial that is stopped again goes on from the second stop just as exactly."""
    places = [[first, second] for first in (1, 3, 6, 7, 8) for second in (1, 2, 6, 7)]
    check_stops(tmp_path, {"epochs": 3}, places)


def test_stop_at_every_safe_point_of_one_run(tmp_path: Path) -> None:
    """A trial that gets only one batch further in each attempt still ends the same."""
    check_stops(tmp_path, {"epochs": 2}, [[1] * 40])


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": True, "num_workers": 2},
        {"num_workers": 2},
        {"shuffle": True, "num_workers": 2, "persistent_workers": True},
        {"weighted": True, "num_workers": 2},
        {"batched": True, "num_workers": 2},
    ],
    ids=["shuffled", "in order", "persistent", "weighted", "batch sampler"],
)
def test_stop_with_worker_processes(tmp_path: Path, options: dict) -> None:
    """Worker processes that augment at random change nothing, twice in a row neither."""
    check_stops(tmp_path, {"epochs": 2, "options": options}, [[1], [4], [6, 2], [7], [9, 1]])


def test_stop_with_stream_in_worker_processes(tmp_path: Path) -> None:
    """A dataset with a state of its own goes on in worker processes, where torchdata puts it."""
    params = {"epochs": 2, "stream": True, "options": {"num_workers": 2}}
    check_stops(tmp_path, params, [[2], [5, 3]])


def test_gradient_accumulation(tmp_path: Path) -> None:
    """With a safe point after each sum of gradients, a resume goes on with the next sum."""
    stops = [[place] for place in range(1, 9)]
    check_stops(tmp_path, {"epochs": 2, "accumulate": 2}, stops)


def test_resume_with_other_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position belongs to no number of workers: a resume may use another one."""
    plain = {"shuffle": True, "num_workers": 1}
    runner = Runner(tmp_path / "whole", TRAIN, params={"epochs": 2, "options": plain})
    expected = runner.final(runner.run())
    other = Runner(tmp_path / "other", TRAIN, params={"epochs": 2, "options": plain})
    other.run(Recorder(stop_at=3))
    monkeypatch.setenv("WORKERS", "2")
    assert same(other.final(other.run()), expected)


def test_resume_after_the_end_was_saved(tmp_path: Path) -> None:
    """A trial whose last word was lost says it again, and executes nothing."""
    calls = []

    def once(trial):
        calls.append(trial.number)
        trial.track()
        for epoch in trial.epochs(9):
            trial.report(loss=epoch)
            if epoch == 2:
                break
        trial.report(test=1)
        return {"loss": 0.5}

    runner = Runner(tmp_path, once)
    first = runner.run()
    reports = runner.reports
    link = runner.run()
    assert link.messages == [Restored(checkpoint=first.records[-1].id), first.ended]
    assert calls == [3]
    assert runner.reports == reports


MATRIX = list(itertools.product([0, 2], [True, False], [0.3, 0.0], [1, 2]))
FULL = [pytest.param(case, marks=pytest.mark.long) for case in MATRIX]
SMALL = [pytest.param(case) for case in [(0, True, 0.3, 2), (0, False, 0.0, 1)]]


@pytest.mark.parametrize("case", [*SMALL, *FULL], ids=str)
def test_every_batch_of_the_matrix(tmp_path: Path, case: tuple[int, bool, float, int]) -> None:
    """At every batch and both ends of an epoch, and again at the one after and the end of the next
    epoch, whatever (loader workers, shuffle, dropout, accumulation) are."""
    workers, shuffle, dropout, accumulate = case
    params = {
        "epochs": 3,
        "dropout": dropout,
        "accumulate": accumulate,
        "options": {"num_workers": workers, "shuffle": shuffle},
    }
    _, link = uninterrupted(tmp_path / "count", params)
    epoch = link.safe_points // 3
    stops = [[place, then] for place in range(1, epoch + 2) for then in (1, epoch)]
    check_stops(tmp_path, params, stops)
