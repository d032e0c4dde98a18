"""Groups of parameters: nested as written, one full name each, conditions inside and around."""

from __future__ import annotations

import pytest
from spec_text import BASE, problems

from sweep.spec import StudySpec, dump_spec, parse_spec

NESTED = """\
parameters:
  name: {values: [a, b]}
  optimizer:
    parameters:
      name: {values: [sgd, adam]}
      lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}
      momentum: {min: 0.0, max: 1.0, when: {name: sgd}}
      adam:
        when: {name: adam}
        parameters:
          beta: {min: 0.8, max: 0.99}
          name: {values: [x, y]}
          eps: {min: 0.0, max: 1.0, when: {name: x}}
  width: {min: 1, max: 8, when: {name: a, optimizer.name: adam}}
"""


def parsed(text: str = NESTED, *settings: str) -> StudySpec:
    return parse_spec(BASE + text, "digits.yaml", settings)


def test_a_group_gives_its_name_to_its_parameters() -> None:
    assert list(parsed().parameters) == [
        "name",
        "optimizer.name",
        "optimizer.lr",
        "optimizer.momentum",
        "optimizer.adam.beta",
        "optimizer.adam.name",
        "optimizer.adam.eps",
        "width",
    ]


def test_a_condition_names_what_is_nearest() -> None:
    """First its own group, then those around it; that of a group looks from outside of it."""
    when = {name: dict(each.when) for name, each in parsed().parameters.items() if each.when}
    assert when == {
        "optimizer.momentum": {"optimizer.name": ("sgd",)},
        "optimizer.adam.beta": {"optimizer.name": ("adam",)},
        "optimizer.adam.name": {"optimizer.name": ("adam",)},
        "optimizer.adam.eps": {"optimizer.name": ("adam",), "optimizer.adam.name": ("x",)},
        "width": {"name": ("a",), "optimizer.name": ("adam",)},
    }


def test_groups_and_names_with_dots_mean_the_same() -> None:
    """So the readable copy of a spec reads back to an equal one."""
    spec = parsed()
    assert parse_spec(dump_spec(spec), "digits.yaml") == spec
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    "setting",
    ["parameters.optimizer.lr.max=0.05", "parameters.optimizer.parameters.lr.max=0.05"],
)
def test_a_setting_finds_its_way_into_a_group(setting: str) -> None:
    assert parsed(NESTED, setting).parameters["optimizer.lr"].max == 0.05


def test_a_setting_may_add_to_a_group() -> None:
    added = parsed(NESTED, "parameters.optimizer.decay.value=0.1")
    assert added.parameters["optimizer.decay"].value == 0.1


def test_problems_stand_where_they_are_written() -> None:
    text = NESTED.replace("max: 1e-1", "max: 1e-9").replace("beta: {min", "beta: {mim")
    assert problems(BASE + text) == [
        "digits.yaml:10: parameters.optimizer.parameters.lr.min: 0.0001 is above max, which is "
        "1e-09",
        "digits.yaml:15: parameters.optimizer.parameters.adam.parameters.beta.mim: unknown key; "
        "did you mean min?",
    ]


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ("{parameters: {}}", "o.parameters: is empty: needs at least one parameter"),
        ("{parameters: }", "o.parameters: is empty: needs at least one parameter"),
        ("{parameters: [a]}", "o.parameters: must be a mapping, not [a]"),
        (
            "{parameters: {a: {value: 1}}, value: 1}",
            "o.value: cannot stand beside parameters: a group has no values itself",
        ),
        ("{parameters: {a: {value: 1}}, when: x}", "o.when: must be a mapping, not x"),
        (
            "{parameters: {2a: {value: 1}}}",
            "o.parameters.2a: a parameter's name begins with a letter and has letters, digits and "
            ". _ - only",
        ),
        ("{parameters: {a: 3}}", "o.parameters.a: must be a mapping: for a constant write "
         "{value: 3}"),
        (
            "{parameters: {a: {value: 1, when: {k: 1}}}, when: {k: 1}}",
            "o.parameters.a.when.k: is in the condition of a group around it, too: keep one",
        ),
        (
            "{parameters: {a: {value: 1, when: {q: 1}}}}",
            "o.parameters.a.when.q: no such parameter; known: k, x.y",
        ),
        (
            "{parameters: {a: {value: 1, when: {a: 1}}}}",
            "o.parameters.a.when.o.a: a condition on the parameter itself can never hold",
        ),
    ],
)  # fmt: skip
def test_a_bad_group(group: str, problem: str) -> None:
    text = f"parameters:\n  k: {{values: [1, 2]}}\n  x.y: {{value: 1}}\n  o: {group}\n"
    assert problems(BASE + text) == [f"digits.yaml:8: parameters.{problem}"]


def test_one_name_twice() -> None:
    text = "parameters:\n  x.y: {value: 1}\n  x: {parameters: {y: {value: 2}}}\n"
    assert problems(BASE + text) == [
        "digits.yaml:7: parameters.x.parameters.y: x.y is there twice: in a group, and by a name "
        "with a dot"
    ]
