"""``metric:`` as a list, and ``constraints:``."""

from __future__ import annotations

import pytest
from spec_text import problems

from sweep.spec import Constraint, Goal, StudySpec, difference, dump_spec, parse_spec, refused

BASE = """\
program: digits:train
method: tpe
trials: 100
parameters: {lr: {min: 0.0, max: 1.0}, kind: {values: [a, 1]}, width: {value: 8}}
"""
ONE = "metric: {name: loss}\n"
TWO = "metric: [{name: loss}, {name: accuracy, goal: maximize}]\n"


def read(text: str) -> StudySpec:
    return parse_spec(BASE + text, "digits.yaml")


def test_a_list_of_metrics() -> None:
    """The order counts, the first one leads, and what is written reads back."""
    spec = read(TWO + "constraints: [lr<=0.50, latency ms >= 1e3]\n")
    assert [(each.name, each.goal) for each in spec.objectives] == [
        ("loss", Goal.MINIMIZE),
        ("accuracy", Goal.MAXIMIZE),
    ]
    assert spec.objective.name == "loss"
    assert spec.constraints == ("lr <= 0.5", "latency ms >= 1000")
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec
    assert parse_spec(dump_spec(spec), "digits.yaml") == spec


def test_one_metric_in_a_list_is_that_metric() -> None:
    assert read("metric: [{name: loss}]\n") == read(ONE)
    assert read(ONE + "constraints: lr <= 1\n") == read(ONE + "constraints: [lr <= 1.0]\n")


@pytest.mark.parametrize(
    ("text", "value", "violation"),
    [("a <= 20", 23.0, 3.0), ("a <= 20", 20.0, 0.0), ("a >= -1.5", -2.0, 0.5), ("a >= 2", 5, -3)],
)
def test_violation(text: str, value: float, violation: float) -> None:
    """It is above 0 exactly where the bound is not kept."""
    constraint = Constraint.parse(text)
    assert constraint.violation(value) == violation
    assert str(constraint) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency < 20", "has <, but must have <= or >=: write latency <= 20"),
        ("latency > 20", "has >, but must have <= or >=: write latency >= 20"),
        ("latency = 20", "has =, but must have <= or >=: write latency <= 20"),
        ("latency", "must be a bound such as latency_ms <= 20, not latency"),
        ("20 >= latency", "begins with a number: write latency <= 20"),
        ("1 <= x <= 2", "has two bounds: write one constraint for each, such as latency_ms <= 20"),
        ("x <= y", "must end with a finite number, not y"),
        ("x <= .inf", "must end with a finite number, not '.inf'"),
        ("x <= 1e999", "must end with a finite number, not '1e999'"),
        ("<= 3", "names nothing: write latency_ms <= 20"),
        ("kind <= 3", "kind is a parameter whose values are not all numbers"),
    ],
)
def test_bad_constraint(text: str, message: str) -> None:
    """One line, with the place in the list and what to write."""
    lines = problems(BASE + ONE + f"constraints:\n  - lr <= 1\n  - '{text}'\n")
    assert lines == [f"digits.yaml:8: constraints[1]: {message}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("metric: []\n", "5: metric: is empty: needs at least one metric, such as {name: loss}"),
        ("metric: [{name: a}, {name: a}]\n", "5: metric[1].name: a stands there twice"),
        ("metric: [{name: a}, b]\n", "5: metric[1]: must be a mapping, not b"),
        (
            "metric: [{name: a}, {name: b, gaol: minimize}]\n",
            "5: metric[1].gaol: unknown key; did you mean goal?",
        ),
        (
            TWO + "early_terminate: {type: median}\n",
            "6: early_terminate: judges by one metric, and there are 2: remove it, or keep one "
            "metric",
        ),
        (
            ONE + "constraints: {a: 3}\n",
            "6: constraints: must be a list such as [latency_ms <= 20], not {a: 3}",
        ),
        (
            ONE + "constraints: [a <= 3, a<=3.0]\n",
            "6: constraints[1]: a <= 3 stands there twice",
        ),
    ],
)
def test_bad_objective(text: str, line: str) -> None:
    assert problems(BASE + text) == [f"digits.yaml:{line}"]


def test_another_name_of_the_key() -> None:
    lines = problems(BASE + "metrics: [{name: a}, {name: b}]\n")
    assert (
        "digits.yaml:5: metrics: is called metric here: "
        "write metric: [{name: loss}, {name: latency_ms}]"
    ) in lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            TWO,
            "cmaes knows one objective, and metric has 2: use tpe, gp, nsga2 or nsga3",
        ),
        (
            ONE + "constraints: [a <= 3]\n",
            "cmaes knows no constraints: use tpe, gp, nsga2 or nsga3",
        ),
    ],
)
def test_a_sampler_that_knows_neither(text: str, line: str) -> None:
    base = BASE.replace("tpe", "cmaes")
    assert problems(base + text) == [f"digits.yaml:2: method: {line}"]
    assert len(problems(base + text + "trails: 3\n")) == 2  # beside other problems, too


@pytest.mark.parametrize("method", ["random", "qmc", "grid", "brute", "nsga2", "nsga3", "gp"])
def test_all_others_take_both(method: str) -> None:
    base = BASE.replace("tpe", method).replace("{min: 0.0, max: 1.0}", "{values: [1, 2]}")
    assert parse_spec(base + TWO + "constraints: [a <= 3]\n", "s.yaml").constraints


@pytest.mark.parametrize("other", [ONE, TWO + "constraints: [lr <= 1]\n", TWO])
def test_a_study_keeps_its_objectives_and_constraints(other: str) -> None:
    """Results that were judged otherwise would not belong together."""
    first = read("metric: [{name: accuracy, goal: maximize}, {name: loss}]\n")
    changes = difference(first, read(other))
    assert refused(changes) == changes != []
