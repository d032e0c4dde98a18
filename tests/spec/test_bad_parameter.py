"""The exact lines that bad parameters and conditions are answered with."""

from __future__ import annotations

import pytest
from spec_text import BASE, SPACE, problems

from sweep.spec import (
    parse_spec,
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{min: 3, max: 1}", ".min: 3 is above max, which is 1"),
        ("{min: 1}", ".max: is required"),
        ("{max: 1, distribution: uniform}", ".min: is required for uniform"),
        ("{min: a, max: 1}", ".min: must be a number, not a"),
        ("{min: 0.0, max: '1e-3'}", ".max: must be a number, not '1e-3'"),
        ("{min: true, max: 3}", ".min: must be a number, not true"),
        ("{min: 0, max: .inf}", ".max: must be a finite number, not inf"),
        (f"{{min: 0, max: 1{'0' * 400}}}", f".max: must be a finite number, not 1{'0' * 56}..."),
        (
            "{distribution: int_log_uniform_values, min: 1, max: 9007199254740993}",
            ".max: whole numbers beyond 2 ** 53 are not exact: use values",
        ),
        ("{min: , max: 3}", ".min: is empty: fill it in or remove it"),
        ("{value: 3, values: }", ".values: is empty: fill it in or remove it"),
        (
            "{min: 0.0, max: 1.0, step: 2}",
            ".step: goes with whole numbers as min and max; "
            "for others write distribution: q_uniform and q",
        ),
        ("{min: 0, max: 9, step: 0}", ".step: must be 1 or more, not 0"),
        (
            "{distribution: int_log_uniform_values, min: 1, max: 9, step: 2}",
            ".step: has no meaning for distribution int_log_uniform_values, "
            "which takes min and max",
        ),
        ("{values: []}", ".values: is empty: needs at least one value"),
        ("{values: 3}", ".values: must be a list, not 3"),
        (
            "{values: [1, 2, 1.0]}",
            ".values[2]: 1.0 stands there twice; to weigh it, write probabilities",
        ),
        ("{values: [1, .nan]}", ".values[1]: must not be NaN: it equals nothing, not even itself"),
        ("{value: 1, values: [1]}", ".values: cannot stand beside value: keep one"),
        ("{values: [1, 2], min: 0}", ".min: cannot stand beside values: keep one"),
        (
            "{values: [1, 2], probabilities: [0.5, 0.4]}",
            ".probabilities: must sum to 1, not 0.9",
        ),
        (
            "{values: [1, 2], probabilities: [1]}",
            ".probabilities: needs one for each value: there are 1 for 2 values",
        ),
        ("{values: [1, 2], probabilities: [-1, 2]}", ".probabilities[0]: must be 0 or more"),
        ("{probabilities: [1]}", ".values: is required"),
        (
            "{distribution: log_uniform_values, min: 0, max: 1}",
            ".min: must be above 0 for a log distribution",
        ),
        (
            "{distribution: q_log_uniform_values, min: -3, max: 0.1}",
            ".min: must be above 0 for a log distribution",
        ),
        (
            "{distribution: log_uniform, min: 0.0001, max: 0.1}",
            ".distribution: bounds are exponents, so values would go from 1.0001 to 1.10517; "
            "for 0.0001 to 0.1 write distribution: log_uniform_values",
        ),
        (
            "{distribution: inv_log_uniform, min: 0.001, max: 0.1}",
            ".distribution: bounds are exponents, so values would go from 0.904837 to 0.999; "
            "for 0.001 to 0.1 write distribution: inv_log_uniform_values",
        ),
        (
            "{distribution: q_log_uniform, min: 16, max: 512}",
            ".distribution: bounds are exponents, so values would go from 8.88611e+06 to "
            "2.28441e+222; for 16 to 512 write distribution: q_log_uniform_values",
        ),
        (
            "{distribution: log_uniform, min: 1, max: 1000}",
            ".max: bounds of log_uniform are exponents of e, and this overflows; "
            "bounds of the values go with distribution: log_uniform_values",
        ),
        (
            "{distribution: log_uniform, min: -1000, max: 0}",
            ".min: bounds of log_uniform are exponents of e, and this overflows; "
            "bounds of the values go with distribution: log_uniform_values",
        ),
        (
            "{distribution: int_uniform, min: 0.5, max: 3}",
            ".min: must be a whole number for int_uniform, not 0.5",
        ),
        (
            "{min: 0, max: 9007199254740993}",
            ".max: whole numbers beyond 2 ** 53 are not exact: use values",
        ),
        (
            "{distribution: uniform, min: -1e308, max: 1e308}",
            ".max: the range is wider than a float can tell",
        ),
        ("{distribution: q_uniform, min: 0, max: 9, q: 0}", ".q: must be above 0, not 0"),
        (
            "{distribution: q_log_uniform, min: -7, max: -1}",
            ".q: rounded to multiples of 1, every value would be 0",
        ),
        ("{min: 0, max: 9, q: 3}", ".q: needs a distribution, such as q_uniform"),
        (
            "{distribution: normal, min: 0}",
            ".min: has no meaning for distribution normal, which takes mu and sigma",
        ),
        (
            "{distribution: normal, sigma: 0}",
            ".sigma: must be above 0, not 0; a constant is written with value",
        ),
        (
            "{distribution: log_normal, mu: 800}",
            ".distribution: values overflow with these numbers",
        ),
        ("{distribution: beta, b: 0}", ".b: must be above 0, not 0"),
        (
            "{distribution: loguniform, min: 1, max: 2}",
            ".distribution: there is no loguniform; did you mean log_uniform?",
        ),
        ("{vaules: [1]}", ".vaules: unknown key; did you mean values?"),
        ("0.1", ": must be a mapping: for a constant write {value: 0.1}"),
        ("[1, 2]", ": must be a mapping: for a choice write {values: [1, 2]}"),
        ("{}", ": needs value, values, or min and max (with a distribution if need be)"),
        ("", ": is empty: fill it in or remove it"),
        ("{value: 1, when: {}}", None),
        ("{value: 1, when: [a]}", ".when: must be a mapping, not [a]"),
    ],
)
def test_bad_parameter(text, problem):
    """A parameter that makes no sense is refused in one line that names the key."""
    text = f"{BASE}parameters:\n  lr: {text}\n"
    if problem is None:
        assert parse_spec(text)
    else:
        assert problems(text) == [f"digits.yaml:6: parameters.lr{problem}"]


def test_both_bounds_below_zero():
    """Exponents where values belong are pointed to the distribution that takes exponents."""
    text = BASE + "parameters:\n  lr:\n    distribution: log_uniform_values\n"
    text += "    min: -9\n    max: -2\n"
    hint = "must be above 0 for a log distribution (for exponents write log_uniform)"
    assert problems(text) == [
        f"digits.yaml:8: parameters.lr.min: {hint}",
        f"digits.yaml:9: parameters.lr.max: {hint}",
    ]


def test_grid_refuses_probabilities():
    """Probabilities would be ignored by a grid, so they are refused."""
    text = (BASE + SPACE).replace("tpe", "grid")
    text = text.replace("{min: 0.0, max: 1.0}", "{values: [1, 2], probabilities: [0.5, 0.5]}")
    advice = "mean nothing to a grid: remove them or choose another method"
    assert problems(text) == [f"digits.yaml:5: parameters.lr.probabilities: {advice}"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (
            {"b": "{optimiser: sgd}"},
            ["b.when.optimiser: no such parameter; did you mean optimizer?"],
        ),
        (
            {"b": "{optimizer: [sgd, rms]}"},
            ["b.when.optimizer: optimizer is never rms; it is one of [sgd, adamw]"],
        ),
        (
            {"b": "{lr: 0.1}"},
            ["b.when.lr: lr is continuous: a condition needs values to compare with"],
        ),
        ({"b": "{k: 9}"}, ["b.when.k: k is never 9; it is int_uniform from 1 to 3"]),
        ({"b": "{c: 9}"}, ["b.when.c: c is never 9; it is 7"]),
        ({"b": "{optimizer: []}"}, ["b.when.optimizer: needs at least one value"]),
        ({"b": "{b: 1}"}, ["b.when.b: a condition on the parameter itself can never hold"]),
        ({"b": "{d: 1}", "d": "{b: 1}"}, ["b.when.d: a circle of conditions: b -> d -> b"]),
        (
            {"b": "{d: 1}", "d": "{e: 1}", "e": "{b: 1}", "optimizer": "{e: 1}"},
            ["b.when.d: a circle of conditions: b -> d -> e -> b"],
        ),
        (
            {"b": "{d: 1}", "d": "{b: 1}", "e": "{k: 9, oops: 1}"},
            [
                "b.when.d: a circle of conditions: b -> d -> b",
                "e.when.k: k is never 9; it is int_uniform from 1 to 3",
                "e.when.oops: no such parameter; known: optimizer, lr, k, c, b, d",
            ],
        ),
    ],
)
def test_bad_condition(conditions, expected):
    """A condition that can never hold is refused at the line of its parameter."""
    forms = {
        "optimizer": "values: [sgd, adamw]",
        "lr": "min: 0.0, max: 1.0",
        "k": "min: 1, max: 3",
        "c": "value: 7",
        "b": "values: [1, 2]",
        "d": "values: [1, 2]",
        "e": "values: [1, 2]",
    }
    text, lines = BASE + "parameters:\n", {}
    for number, (name, form) in enumerate(forms.items(), start=6):
        when = f", when: {conditions[name]}" if name in conditions else ""
        text += f"  {name}: {{{form}{when}}}\n"
        lines[name] = number
    assert problems(text) == [
        f"digits.yaml:{lines[line.split('.')[0]]}: parameters.{line}" for line in expected
    ]


def test_nested_conditions():
    """A condition may stand on a conditional parameter, and on several at once."""
    spec = parse_spec(
        BASE
        + """\
parameters:
  eps: {min: 0.0, max: 1.0, when: {nesterov: true, optimizer: [sgd, adamw]}}
  nesterov: {values: [true, false], when: {optimizer: sgd}}
  optimizer: {values: [sgd, adamw]}
"""
    )
    assert [each.name for each in spec.space.dimensions] == ["optimizer", "nesterov", "eps"]
