"""The checkpoint section: its short forms, what they mean, and that they survive writing."""

from __future__ import annotations

import pytest

from sweep.errors import SpecError
from sweep.spec import json_schema
from sweep.spec.difference import difference, refused
from sweep.spec.dump import dump_spec
from sweep.spec.load import parse_spec
from sweep.spec.section import Every, Final, On

jsonschema = pytest.importorskip("jsonschema")

TEXT = """
program: a:b
method: random
metric: {name: loss}
trials: 3
parameters: {x: {min: 0.0, max: 1.0}}
"""

FORMS = {
    "": {"every": Every(epochs=1), "final": Final.FULL, "on": None},
    "checkpoint: none": {"every": "none", "final": Final.NONE},
    "checkpoint: {overhead: 2%}": {"every": "none", "overhead": 0.02},
    "checkpoint: {overhead: 0.1, every: {steps: 5}}": {"every": Every(steps=5), "overhead": 0.1},
    "checkpoint: {on: improvement}": {"on": On(improvement=True), "every": Every(epochs=1)},
    "checkpoint: {on: [improvement, end]}": {"on": On(improvement=True, end=True)},
    "checkpoint: {on: {improvement: acc, goal: maximize}}": {
        "on": On.model_validate({"improvement": "acc", "goal": "maximize"})
    },
    "checkpoint: {on: improvement, components: model}": {"components": ("model",)},
    "checkpoint: {exclude: ['*.running_mean'], final: light}": {
        "exclude": ("*.running_mean",),
        "final": Final.LIGHT,
    },
}


@pytest.mark.parametrize("written", FORMS)
def test_forms(written: str) -> None:
    """Each form means what it says, is valid under the schema, and comes back from a dump."""
    spec = parse_spec(TEXT + written, "s.yaml")
    for key, value in FORMS[written].items():
        assert getattr(spec.checkpoint, key) == value
    assert parse_spec(dump_spec(spec), "s.yaml") == spec

    from ruamel.yaml import YAML

    data = YAML(typ="safe").load(TEXT + written)
    jsonschema.Draft202012Validator(json_schema()).validate(data)


@pytest.mark.parametrize("written", FORMS)
def test_any_change_is_allowed(written: str) -> None:
    """A study may save otherwise when it goes on; no flag is needed."""
    old, new = parse_spec(TEXT, "s.yaml"), parse_spec(TEXT + written, "s.yaml")
    changes = difference(old, new)
    assert bool(changes) == bool(written)
    assert not refused(changes)


WRONG = {
    "every: 5": "checkpoint.every: must be none or a mapping such as {epochs: 1}, not 5",
    "every: [1]": "checkpoint.every: must be none or a mapping such as {epochs: 1}, not [1]",
    "every:": "checkpoint.every: is empty: fill it in or remove it",
    "every: {epochs: }": "checkpoint.every: needs epochs, steps or minutes",
    "every: {epochs: 0}": "checkpoint.every.epochs: must be 1 or more, not 0",
    "every: {epoch: 1}": "checkpoint.every.epoch: unknown key",
    "compression: gzip": "checkpoint.compression: must be zstd, not gzip",
    "mirror: {}": "checkpoint.mirror.to: is required",
}


@pytest.mark.parametrize("written", WRONG)
def test_a_problem_is_where_the_document_has_it(written: str) -> None:
    """The path of a problem is made of keys of the document, and of one that it lacks."""
    with pytest.raises(SpecError) as caught:
        parse_spec(f"{TEXT}checkpoint:\n  {written}\n", "s.yaml")
    (line,) = str(caught.value).splitlines()
    assert line.partition(": ")[2].startswith(WRONG[written])
