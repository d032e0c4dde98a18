"""W&B's own validation is the oracle: what it takes is taken, what it refuses is refused.

The package ``sweeps`` is W&B's; the newest version that goes with NumPy 2 knows every parameter of
the newest one, but neither ``run_cap`` nor some keys of the service, which `test_service` has.
"""

from __future__ import annotations

import json
import re
import warnings
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError

from sweep.errors import SpecError
from sweep.spec import Distribution, dump_spec, parse_spec
from sweep.spec.value import identity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it was written for pydantic 1 and an older jsonref
    from sweeps.config import schema_violations_from_proposed_config
    from sweeps.config.schema import fill_parameter

CONFIG = {"method": "random", "metric": {"name": "loss"}}


def theirs(parameters: Any) -> bool:
    """Whether W&B takes ``parameters``.

    It knows ``log_uniform`` and its kind (bounds are exponents) and asks for the newer forms, which
    take values; here both are known, so that complaint does not count.
    """
    try:
        said = schema_violations_from_proposed_config({**CONFIG, "parameters": parameters})
    except (ValueError, TypeError, ValidationError):  # for what it did not expect
        return False
    return not [line for line in said if "base-e exponents" not in line]


def refusal(parameters: Any) -> str:
    """What is wrong with ``parameters`` here; nothing where they are taken."""
    try:
        parse_spec(written(parameters))
    except SpecError as error:
        return str(error)
    return ""


def ours(parameters: Any) -> bool:
    return not refusal(parameters)


def written(parameters: Any) -> str:
    """A spec with ``parameters`` as JSON, which YAML contains."""
    return json.dumps({**CONFIG, "program": "m:f", "trials": 3, "parameters": parameters})


def bounds(low: Any, high: Any, **more: Any) -> dict[str, Any]:
    return {"min": low, "max": high, **more}


BOTH_TAKE = [
    {"value": None},
    {"value": {"a": [1, "b"]}, "distribution": "constant"},
    {"values": ["a", 1, None, 2.5, [1], {"k": 1}, True]},
    {"values": [1], "distribution": "categorical"},
    {"values": [1, 2], "probabilities": [0.25, 0.75]},
    {"values": [1, 2, 3], "probabilities": [0.3333333, 0.3333333, 0.3333333]},
    {"values": [1, 2], "probabilities": [0, 1], "distribution": "categorical_w_probabilities"},
    bounds(1, 8),
    bounds(-3, 8, distribution="int_uniform"),
    bounds(1, 8.0),
    bounds(0.5, 8),
    bounds(1, 8, distribution="uniform"),
    bounds(0, 8, distribution="q_uniform"),
    bounds(0.1, 0.8, distribution="q_uniform", q=0.1),
    bounds(-9, -1, distribution="log_uniform"),
    bounds(1e-5, 1e-1, distribution="log_uniform_values"),
    bounds(1, 9, distribution="q_log_uniform"),
    bounds(1, 100, distribution="q_log_uniform_values", q=5),
    bounds(-5, 3, distribution="inv_log_uniform"),
    bounds(0.5, 3, distribution="inv_log_uniform_values"),
    *({"distribution": kind} for kind in ("normal", "log_normal", "q_normal", "q_log_normal")),
    {"distribution": "normal", "mu": 1, "sigma": 0.5},
    {"distribution": "q_log_normal", "mu": 1, "sigma": 0.5, "q": 0.5},
    {"distribution": "beta"},
    {"distribution": "beta", "a": 2, "b": 0.5},
    {"distribution": "q_beta", "q": 0.1},
    {"parameters": {"a": {"value": 1}, "b": {"parameters": {"c": bounds(1, 2)}}}},
]
BOTH_REFUSE = [
    {},
    None,
    3,
    [1, 2],
    {"values": []},
    {"values": 3},
    {"values": None},
    {"value": 1, "values": None},
    {"values": [1, 2], "probabilities": [0.5]},
    {"values": [1, 2], "probabilities": [0.5, 0.4]},
    {"values": [1, 2], "probabilities": [-0.5, 1.5]},
    {"values": [1, 2], "probabilities": [0.5, 0.5], "distribution": "categorical"},
    {"values": [1], "distribution": "constant"},
    {"probabilities": [1]},
    {"min": 1},
    {"max": 1},
    bounds(1, None),
    bounds(3, 1),
    bounds("1", 3),
    bounds(True, 3),
    bounds(1, 3, q=1),
    bounds(1, 3, mu=1),
    bounds(1, 3, distribution="normal"),
    bounds(1, 3, distribution="unifrom"),
    bounds(1, 3, distribution=None),
    bounds(0.5, 3, distribution="int_uniform"),
    bounds(0, 3, distribution="log_uniform_values"),
    bounds(0, 3, distribution="q_uniform", q=0),
    bounds(0, 3, distribution="q_uniform", q=-1),
    bounds(0, 3, distribution="inv_log_uniform_values"),
    {"distribution": "normal", "sigma": -1},
    {"distribution": "beta", "a": -1},
    {"mu": 0, "sigma": 1},
    {"value": 1, "min": 3},
    {"vaule": 1},
    {"parameters": {}},
    {"parameters": {"a": 3}},
    {"parameters": {"a": {"value": 1}}, "value": 1},
    {"parameters": {"2a": {"value": 1}}},
]
ONLY_WANDB_TAKES = {
    "a value twice, which looks like a slip": {"values": [1, 1, 2]},
    "draws NaN there: sigma": {"distribution": "normal", "sigma": 0},
    "draws NaN there: a": {"distribution": "beta", "a": 0},
    "every value would be the same": bounds(0, 0.3, distribution="q_uniform"),
    "not exact as a float": bounds(0, 2**60),
    "looks at the top level only": {"parameters": {"a": bounds(3, 1)}},
    "exponents that overflow": bounds(0, 1000, distribution="log_uniform"),
    "exponents that look like values": bounds(0.001, 0.1, distribution="log_uniform"),
}
ONLY_WE_TAKE = {
    "one value, as --set may leave it": bounds(2, 2),
    "a whole number written as 8.0": bounds(1, 8.0, distribution="int_uniform"),
    "integers with steps": bounds(16, 64, step=16),
    "log integers": bounds(1, 64, distribution="int_log_uniform_values"),
    "a condition": {"value": 1, "when": {}},
}


def name_of(parameter: Any) -> str:
    return str(parameter).replace("'", "")


@pytest.mark.parametrize("parameter", BOTH_TAKE, ids=name_of)
def test_both_take(parameter: Any) -> None:
    assert theirs({"p": parameter})
    assert ours({"p": parameter})


@pytest.mark.parametrize("parameter", BOTH_REFUSE, ids=name_of)
def test_both_refuse(parameter: Any) -> None:
    assert not theirs({"p": parameter})
    assert not ours({"p": parameter})


@pytest.mark.parametrize("reason", ONLY_WANDB_TAKES)
def test_what_only_wandb_takes(reason: str) -> None:
    """The exceptions, each with its reason (docs/spaces.md)."""
    assert theirs({"p": ONLY_WANDB_TAKES[reason]})
    assert not ours({"p": ONLY_WANDB_TAKES[reason]})


@pytest.mark.parametrize("reason", ONLY_WE_TAKE)
def test_what_only_we_take(reason: str) -> None:
    assert not theirs({"p": ONLY_WE_TAKE[reason]})
    assert ours({"p": ONLY_WE_TAKE[reason]})


@pytest.mark.parametrize("name", ["lr", "_lr", "a.b", "a-b", "A1", "1a", "a b", "", ".a", "-a"])
def test_names(name: str) -> None:
    parameters = {name: {"value": 1}}
    assert ours(parameters) == theirs(parameters)
    assert ours({"g": {"parameters": parameters}}) == theirs({"g": {"parameters": parameters}})


@pytest.mark.parametrize("parameter", BOTH_TAKE[:-1], ids=name_of)
def test_what_is_not_written_is_what_wandb_fills_in(parameter: dict[str, Any]) -> None:
    """The kind that is inferred, and the defaults of its numbers."""
    filled = fill_parameter("p", deepcopy(parameter))
    assert filled is not None
    spec = parse_spec(dump_spec(parse_spec(written({"p": parameter}))))
    mine = spec.parameters["p"].model_dump(mode="json")
    assert {k: identity(v) for k, v in mine.items()} == {
        k: identity(v) for k, v in filled[1].items()
    }


numbers = st.sampled_from([-3, -0.5, 0, 0.25, 1, 1.0, 2, 3.5, 8, True, "1", None])
keys: dict[str, st.SearchStrategy[Any]] = {
    "distribution": st.sampled_from([*(each.value for each in Distribution), "loguniform"]),
    "value": st.sampled_from([1, None, "a"]),
    "values": st.sampled_from([[1, 2], ["a", None, True], [], 3, None]),
    "probabilities": st.sampled_from([[0.5, 0.5], [0.2, 0.3, 0.5], [1, 1], [], None]),
    "min": numbers,
    "max": numbers,
    "mu": numbers,
    "sigma": numbers,
    "q": numbers,
    "a": numbers,
    "b": numbers,
}
likely = st.sampled_from(
    [
        (),
        ("value",),
        ("values",),
        ("values", "probabilities"),
        ("min", "max"),
        ("min", "max", "q"),
        ("mu", "sigma"),
        ("mu", "sigma", "q"),
        ("a", "b", "q"),
    ]
)


@st.composite
def anything(draw: st.DrawFn) -> dict[str, Any]:
    """A parameter as somebody might write it: mostly keys that go together."""
    chosen = set(draw(likely)) | set(draw(st.lists(st.sampled_from(sorted(keys)), max_size=1)))
    if draw(st.booleans()):
        chosen.add("distribution")
    return {key: draw(keys[key]) for key in sorted(chosen)}


STRICTER = re.compile(
    r"\.(sigma|a|b): must be above 0, not 0\b|every value would be|values overflow|exponents"
)
"""What is said of the exceptions above."""


@given(anything())
@settings(max_examples=50, deadline=None)
def test_whatever_is_written_is_taken_alike(parameter: dict[str, Any]) -> None:
    """But for the exceptions, which tests above name."""
    said, taken = refusal({"p": parameter}), theirs({"p": parameter})
    if taken and said:
        assert STRICTER.search(said), said
    elif not taken and not said:
        one_value = parameter["min"] == parameter["max"]
        assert one_value or parameter["distribution"].startswith("int_"), parameter
