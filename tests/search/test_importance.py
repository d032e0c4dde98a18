"""Importances: what Optuna says of trials as the journal has them."""

from __future__ import annotations

import pytest

from sweep.search.importance import LEAST, MOST_OF_SEVERAL, importances
from sweep.spec import StudySpec

FLOAT = ["FloatDistribution", {"low": 0.0, "high": 1.0, "log": False, "step": None}]
CHOICE = ["CategoricalDistribution", {"choices": [0, 1]}]


def spec(**content: object) -> StudySpec:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}
    base = {"name": "s", "program": "a:b", "method": "random", "trials": 9}
    return StudySpec.model_validate(
        base | {"metric": {"name": "loss"}, "parameters": parameters} | content
    )


def latents(trial: int) -> dict[str, list[object]]:
    """Of numbers that do not depend on each other, and of a choice that few trials have."""
    known = {"x": [(trial * 0.618) % 1, *FLOAT], "y": [(trial * 0.414) % 1, *FLOAT]}
    return known if trial % 5 else known | {"z": [trial % 2, *CHOICE]}


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_parameter_that_decides_comes_first(goal: str) -> None:
    """The shares add up to 1, whichever values are better."""
    known = {trial: latents(trial) for trial in range(200)}
    values = {trial: [float(str(known[trial]["x"][0]))] for trial in known}
    found = importances(spec(metric={"name": "loss", "goal": goal}), known, values)
    assert next(iter(found)) == "x"
    assert found["x"] > 0.7
    assert sum(found.values()) == pytest.approx(1.0)
    assert set(found) == {"x", "y", "z"}


def test_several_objectives_have_importances_in_a_bounded_time() -> None:
    """However many trials there are."""
    count = 3 * MOST_OF_SEVERAL
    known = {trial: latents(trial) for trial in range(count)}
    values = {trial: [float(trial % 7), float(trial % 5)] for trial in range(count)}
    found = importances(spec(metric=[{"name": "a"}, {"name": "b"}]), known, values)
    assert sum(found.values()) == pytest.approx(1.0)


def test_why_there_are_none_is_said() -> None:
    """Too few trials, or none whose parameters are searched."""
    few = {trial: latents(trial) for trial in range(LEAST - 1)}
    values = {trial: [1.0] for trial in range(LEAST)}
    with pytest.raises(ValueError, match=f"{LEAST} completed trials are needed, and there are 9"):
        importances(spec(), few, values)
