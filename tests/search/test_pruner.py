"""Pruners judge as the spec says, and again alike when they are rebuilt."""

from __future__ import annotations

from typing import Any

import pytest
from test_search import Study, simulate, spec_of

from sweep.journal.event import TrialState
from sweep.search.replay import replay
from sweep.search.rules import Rules

MEDIAN = {"type": "median", "startup_trials": 2}
PRUNERS: dict[str, dict[str, Any]] = {
    "percentile": {"type": "percentile", "percentile": 40.0, "startup_trials": 2},
    "threshold": {"type": "threshold", "upper": 2.0, "warmup_steps": 1},
    "wilcoxon": {"type": "wilcoxon", "p_threshold": 0.3},
    "hyperband": {"type": "hyperband", "max_resource": 4, "reduction_factor": 2, "mode": "stop"},
    "patient": {"type": "patient", "patience": 1},
    "patient-median": {"type": "patient", "patience": 0, "min_delta": 0.2, "then": MEDIAN},
}


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_rebuilt_pruner_judges_identically(pruner: str, in_flight: int) -> None:
    spec = spec_of("tpe", PRUNERS[pruner])
    kept, rebuilt = Study(spec), Study(spec)
    simulate(kept, 18, in_flight, rebuild=False)
    simulate(rebuilt, 18, in_flight, rebuild=True)
    assert kept.entries == rebuilt.entries
    found = replay(kept.entries, {})
    assert (found.passed, found.verdicts > 18) == (True, True)


def verdicts(pruner: dict[str, Any], *curves: list[float], goal: str = "minimize") -> list[int]:
    """At which report each trial was ended, -1 for those that came to their end."""
    study = Study(spec_of("random", pruner, goal))
    ended = []
    for curve in curves:
        number = study.ask()
        steps = (step for step, value in enumerate(curve) if study.report(number, step, value))
        ended.append(next(steps, -1))
        pruned = ended[-1] >= 0
        study.finish(number, TrialState.PRUNED if pruned else TrialState.COMPLETE)
    return ended


def test_percentile_keeps_the_best_part() -> None:
    pruner = {"type": "percentile", "percentile": 25.0, "startup_trials": 4}
    curves = [[1.0], [2.0], [3.0], [4.0]]
    assert verdicts(pruner, *curves, [1.5]) == [-1, -1, -1, -1, -1]
    assert verdicts(pruner, *curves, [2.5]) == [-1, -1, -1, -1, 0]


def test_min_trials_waits_for_company() -> None:
    pruner = {"type": "median", "startup_trials": 1, "min_trials": 2}
    assert verdicts(pruner, [1.0, 1.0], [1.0], [9.0, 9.0]) == [-1, -1, 0]
    assert verdicts(pruner, [1.0, 1.0], [1.0], [1.0, 9.0]) == [-1, -1, -1]


@pytest.mark.parametrize("kind", [{"type": "median"}, {"type": "percentile", "percentile": 50.0}])
def test_a_single_predecessor_prunes_nobody(kind: dict[str, Any]) -> None:
    """Of five that have finished one has reported so far: no trial ends there unless asked for."""
    kind = kind | {"warmup_steps": 1}
    curves = [[1.0, 1.0], *[[1.0]] * 4]
    assert verdicts(kind, *curves, [9.0, 9.0]) == [-1] * 6
    assert verdicts(kind | {"min_trials": 1}, *curves, [9.0, 9.0]) == [-1] * 5 + [1]
    assert verdicts(kind, *[[1.0, 1.0]] * 5, [9.0, 9.0]) == [-1] * 5 + [1]


STOPS = [
    {"type": "asha", "min_resource": 32, "reduction_factor": 2, "mode": "stop"},
    {"type": "hyperband", "min_iter": 32, "eta": 2, "mode": "stop"},
]


@pytest.mark.parametrize("pruner", STOPS)
@pytest.mark.parametrize("rules", list(Rules))
def test_rungs_that_stop_compare_at_equal_steps(pruner: dict[str, Any], rules: Rules) -> None:
    """The value of step 39 does not end a better trial at step 34; it does by the older rules."""
    study = Study(spec_of("random", pruner), rules)
    seldom, often = study.ask(), study.ask()
    for step in (9, 19, 29, 39):
        assert not study.report(seldom, step, 1.03 - step / 100)
    stopped = [study.report(often, step, 1.0 - step / 100) for step in (29, 34)]
    assert stopped == [False, rules < Rules.EQUAL_STEPS]
    worse = study.ask()
    assert study.report(worse, 34, 1.02 - 34 / 100)
    found = replay(study.entries, {})
    assert found.passed, found.deviations


def test_threshold_ends_what_leaves_the_range() -> None:
    pruner = {"type": "threshold", "lower": 0.0, "upper": 2.0, "warmup_steps": 1}
    assert verdicts(pruner, [5.0, 1.0, 3.0], [1.0, -1.0], [1.0, float("nan")]) == [2, 1, 1]


@pytest.mark.parametrize(("goal", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_patience_ends_what_does_not_get_better(goal: str, sign: float) -> None:
    pruner = {"type": "patient", "patience": 2}
    stuck = [sign * value for value in (1.0, 1.5, 1.5, 1.5, 1.5)]
    better = [sign * value for value in (5.0, 4.0, 3.0, 2.0, 1.0)]
    assert verdicts(pruner, stuck, better, goal=goal) == [3, -1]


def test_wilcoxon_compares_step_by_step() -> None:
    pruner = {"type": "wilcoxon", "p_threshold": 0.1}
    good = [1.0 + step / 100 for step in range(8)]
    bad = [value + 1 + value / 10 for value in good]
    ended = verdicts(pruner, good, bad, [value - 0.5 for value in good])
    assert ended[0] == ended[2] == -1
    assert 1 < ended[1] < 7
