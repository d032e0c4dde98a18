"""First configurations and defaults in a spec: what is taken, and what is said of the others."""

from __future__ import annotations

import pytest
from spec_text import BASE, parameter, problems

from sweep.spec import StudySpec, dump_spec, parse_spec

TEXT = f"""\
{BASE}parameters:
  opt: {{values: [sgd, adam, lion]}}
  lr: {{min: 0.0, max: 1.0}}
  m: {{min: 0.0, max: 1.0, when: {{opt: [sgd, lion]}}}}
  one: {{value: 1}}
  k: {{min: 1, max: 2, when: {{one: 1}}}}
"""


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{lr: 2}", "[0].lr: must be from 0.0 to 1.0, not 2"),
        ("{lr: fast}", "[0].lr: must be a number, not fast"),
        ("{opt: rms}", "[0].opt: must be one of sgd, adam, lion, not rms"),
        ("{lrr: 0.1}", "[0].lrr: no such parameter; did you mean lr?"),
        ("{one: 2}", "[0].one: is fixed at 1, not 2"),
        ("{opt: adam, m: 0.1}", "[0].m: has no meaning here: opt must be sgd or lion"),
        ("{m: 0.1}", "[0].m: has a meaning only where opt must be sgd or lion: give opt, too"),
        ("{}", "[0]: is empty: give the value of one parameter at least"),
        ("3", "[0]: must be a mapping, not 3"),
    ],
)
def test_bad_entry(entry, problem):
    """A value outside of the space is refused at its own line, with what would be right."""
    text = f"{TEXT}enqueue:\n  - {entry}\n"
    assert problems(text) == [f"digits.yaml:12: enqueue{problem}"]


def test_no_list():
    """One entry is a list of one."""
    assert problems(f"{TEXT}enqueue: {{lr: 0.1}}\n") == [
        "digits.yaml:11: enqueue: must be a list, not {lr: 0.1}"
    ]


def test_good_entries_come_back():
    """In order, as written; also from the readable copy and from the journal."""
    spec = parse_spec(f"{TEXT}enqueue:\n  - {{opt: lion, m: 1}}\n  - {{k: 2}}\n", "digits.yaml")
    assert spec.enqueue == ({"opt": "lion", "m": 1}, {"k": 2})
    assert parse_spec(dump_spec(spec)) == spec
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec


def test_groups():
    """A parameter of a group is named in full, or as it is written there."""
    inner = "lr: {min: 0.0, max: 1.0}, i: {parameters: {k: {value: 1}}}"
    group = f"parameters: {{o: {{parameters: {{{inner}}}}}}}"
    text = f"{BASE}{group}\nenqueue: [{{o: {{lr: 0.5, i: {{k: 1}}}}}}, {{o.lr: 0.1}}]\n"
    assert parse_spec(text).enqueue == ({"o.lr": 0.5, "o.i.k": 1}, {"o.lr": 0.1})
    assert problems(text.replace("0.5", "2")) == [
        "digits.yaml:6: enqueue[0].o.lr: must be from 0.0 to 1.0, not 2"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{min: 0.0, max: 1.0, default: 2}", "must be from 0.0 to 1.0, not 2"),
        ("{values: [a, b], default: c}", "must be one of a, b, not c"),
        ("{min: 1, max: 4, default: 1.5}", "must be a whole number from 1 to 4, not 1.5"),
        ("{value: 1, default: 2}", "is fixed at 1, not 2"),
    ],
)
def test_bad_default(text, problem):
    """A default outside of the domain is refused."""
    assert problems(f"{BASE}parameters:\n  lr: {text}\n") == [
        f"digits.yaml:6: parameters.lr.default: {problem}"
    ]


def test_nothing_may_be_a_default():
    """null is a default where it is a value, and else there is none."""
    assert parameter("{values: [null, a], default: null}").has_default
    assert not parameter("{values: [null, a]}").has_default
    spec = parse_spec(f"{BASE}parameters:\n  a: {{values: [null, 1], default: null}}\n")
    assert spec.defaults == {"a": None}
    assert StudySpec.model_validate(spec.model_dump(mode="json")).defaults == {"a": None}
    assert parse_spec(dump_spec(spec)) == spec
