"""What a population may spend: it ends, and each place in it has a budget of steps."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_population import Study, spec_of
from test_rounds import EPOCHS, Rounds

from sweep.journal.event import TrialState
from sweep.journal.state import StudyState, Trial
from sweep.search.replay import replay

MEMBERS = 6


class Curves(Rounds):
    """A population whose curves are given: by the step, by the trial, or by chance."""

    def __init__(self, curve: str, seed: int, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.curve, self.seed, self.fails = curve, seed, None

    def value(self, trial: Trial, step: int) -> float:
        chance = random.Random(f"{self.seed}.{trial.number}.{step}").random()
        match self.curve:
            case "worse":
                return trial.params["lr"] + 0.1 * step
            case "better":
                return trial.params["lr"] - 0.1 * step
            case "equal":
                return 1.0
            case "nan":
                return float("nan") if chance < 0.5 else chance
            case _:
                return chance

    def _advance(self, number: int) -> None:
        super()._advance(number)
        assert self.executed - self.taken_back <= 2 * MEMBERS * EPOCHS, "it spends without end"


def place(state: StudyState, trial: Trial) -> int:
    """The member whose place a trial has, after any number of successions."""
    while trial.fork is not None and trial.fork.exploits is not None:
        trial = state.trials[trial.fork.exploits]
    return trial.number


def spent(study: Study) -> Counter[int]:
    """How many steps each place has executed, but for what kills took back."""
    counts: Counter[int] = Counter()
    for trial in study.state.trials.values():
        counts[place(study.state, trial)] += len(trial.reports)
    return counts


@given(
    curve=st.sampled_from(["worse", "better", "equal", "nan", "random"]),
    seed=st.integers(0, 999),
    slots=st.integers(1, MEMBERS),
    kills=st.sampled_from([0.0, 0.2]),
    interval=st.integers(1, 4),
    quantile=st.sampled_from([0.17, 0.25, 0.5]),
    deterministic=st.booleans(),
)
@example("worse", 1, 1, 0.0, 2, 0.25, False)
@example("worse", 1, 1, 0.0, 2, 0.25, True)
@settings(deadline=None, max_examples=60)
def test_a_population_ends_and_its_places_are_bounded(
    curve: str,
    seed: int,
    slots: int,
    kills: float,
    interval: int,
    quantile: float,
    deterministic: bool,
) -> None:
    """However curves run, and whatever is killed: no place executes more than twice the steps.

    Where members wait for each other, or one slot has them take turns, no step comes twice in a
    place. All follows from the journal again.
    """
    spec = spec_of(MEMBERS, quantile_fraction=quantile, perturbation_interval=interval)
    spec = spec.model_copy(update={"deterministic": deterministic})
    study = Curves(curve, seed, spec, slots, seed, kills).run()
    once = deterministic or (slots == 1 and not kills)
    assert max(spent(study).values()) <= (1 if once else 2) * EPOCHS
    assert all(trial.state.finished for trial in study.state.trials.values())
    assert study.state.counts[TrialState.COMPLETE] <= MEMBERS
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]


@pytest.mark.parametrize("slots", [1, 3, MEMBERS])
def test_the_best_are_found_whether_curves_fall_or_rise(slots: int) -> None:
    """Training that makes the metric worse is no reason to end those that are ahead."""
    for curve in ("worse", "better"):
        study = Curves(curve, 3, spec_of(MEMBERS, quantile_fraction=0.34), slots, 3).run()
        first = {n: t.params["lr"] for n, t in study.state.trials.items() if t.fork is None}
        best = min(first, key=lambda number: first[number])
        assert study.state.trials[best].state is TrialState.COMPLETE
        assert study.state.forks
