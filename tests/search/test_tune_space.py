"""What space the values of trials tell, where nobody has written it down."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from sweep.search.tune_space import space_seen


def parameters(*configs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found, _ = space_seen(configs)
    return found.parameters


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [50, 400])
def test_the_scale_is_that_of_the_draws(seed: int, count: int) -> None:
    """Whether numbers were drawn from a range or from its logarithms."""
    draw = random.Random(seed)
    plain = [{"x": draw.uniform(0.0, 2.0), "n": draw.randint(1, 10**6)} for _ in range(count)]
    found = parameters(*plain)
    assert found["x"]["distribution"] == "uniform"
    assert found["n"]["distribution"] == "int_uniform"
    logarithmic = [{"x": 10 ** draw.uniform(-5, -1)} for _ in range(count)]
    found = parameters(*logarithmic)
    assert found["x"]["distribution"] == "log_uniform_values"
    seen = [each["x"] for each in logarithmic]
    assert found["x"]["min"] <= min(seen) < max(seen) <= found["x"]["max"]
    assert math.isclose(found["x"]["max"], max(seen), rel_tol=0.01)


def test_what_comes_again_is_a_choice() -> None:
    """Numbers too; negative ones and zero have no logarithm; a single value is a constant."""
    configs = [{"batch": 2 ** (i % 3), "rate": [0.1, 0.01][i % 2], "one": 7} for i in range(12)]
    assert parameters(*configs) == {
        "batch": {"values": [1, 2, 4]},
        "rate": {"values": [0.01, 0.1]},
        "one": {"value": 7},
    }
    assert parameters(*({"x": x} for x in (-1.5, 0.0, 2.25))) == {
        "x": {"distribution": "uniform", "min": -1.5, "max": 2.25}
    }
    assert parameters({"flag": True}, {"flag": False}, {"flag": None}) == {
        "flag": {"values": [True, False, None]}
    }


def test_numbers_beyond_what_a_float_tells_apart() -> None:
    """Seeds, say: their logarithms are the same."""
    found = parameters(*({"seed": 2**70 + i} for i in range(4)))
    assert found["seed"] == {"distribution": "int_uniform", "min": 2**70, "max": 2**70 + 3}


def test_groups_names_and_conditions() -> None:
    """A config within a config is a group; what only some trials have is explained by a choice."""
    configs = [
        {"opt": {"kind": "sgd", "momentum": 0.5 + i / 100} if i % 2 else {"kind": "adam"},
         "learning rate": i / 7}
        for i in range(8)
    ]  # fmt: skip
    found, params = space_seen(configs)
    assert found.parameters["opt.momentum"]["when"] == {"opt.kind": ["sgd"]}
    assert found.notes == ["'learning rate' is called learning_rate here"]
    assert params[1] == {"opt.kind": "sgd", "opt.momentum": 0.51, "learning_rate": 1 / 7}
    assert params[0] == {"opt.kind": "adam", "learning_rate": 0.0}


def test_what_is_no_plain_data_is_left_out() -> None:
    """A pickle, NaN and a list with either; and a line says so."""
    pickle = {"_type": "CLOUDPICKLE_FALLBACK", "value": "80"}
    config = {"model": pickle, "nan": math.nan, "list": [1, pickle], "x": 1}
    found, params = space_seen([config, config | {"x": 2}])
    assert params == [{"x": 1}, {"x": 2}]
    assert [note.partition(":")[0] for note in found.notes] == ["model", "nan", "list"]
