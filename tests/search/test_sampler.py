"""Samplers: the one that is used again answers as a fresh one would."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from sweep.search.sampler import ask_seed, make_sampler
from sweep.spec import Method


def proposals(sampler: optuna.samplers.BaseSampler) -> list[object]:
    """A few values of each kind; normal ones would leave a half-used pair in the generator."""
    trial = optuna.create_study(sampler=sampler).ask()
    return [
        trial.suggest_float("a", 0.0, 1.0),
        trial.suggest_int("b", 0, 10**6),
        trial.suggest_categorical("c", list(range(100))),
    ]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_a_random_sampler_that_is_used_again_answers_like_a_fresh_one() -> None:
    for number in (0, 1, 7, 1, 0):
        ours = proposals(make_sampler(Method.RANDOM, 5, number))
        fresh = proposals(optuna.samplers.RandomSampler(seed=ask_seed(5, number)))
        assert ours == fresh


def test_nothing_of_an_earlier_ask_is_left_in_the_generator() -> None:
    used = make_sampler(Method.RANDOM, 5, 0)
    used._rng.rng.normal()  # type: ignore[attr-defined]  # the second of a pair is kept for later
    again = make_sampler(Method.RANDOM, 5, 0)._rng.rng  # type: ignore[attr-defined]
    fresh = np.random.RandomState(ask_seed(5, 0))
    assert [again.normal() for _ in range(3)] == [fresh.normal() for _ in range(3)]
