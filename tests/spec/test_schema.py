"""The JSON Schema that editors use."""

from __future__ import annotations

import pytest
from hypothesis import given
from spec_strategy import calm, specs

from sweep.spec import json_schema

jsonschema = pytest.importorskip("jsonschema")

GOOD = {
    "program": "digits:train",
    "method": "bayes",
    "metric": {"name": "loss", "goal": "maximize"},
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 0.1},
        "opt": {"values": ["sgd", None, 3, {"a": [1]}]},
        "m": {"min": 0, "max": 1.5, "when": {"opt": "sgd"}},
        "n": {"min": 0, "max": 1, "when": {"opt": ["sgd", None], "m": 1}},
        "c": {"value": None},
        "w": {"values": [1, 2], "probabilities": [0.5, 0.5]},
        "z": {"distribution": "q_normal", "mu": 1, "sigma": 2, "q": 0.5},
        "b": {"distribution": "beta", "a": 2, "b": 3},
    },
    "run_cap": 20,
    "timeout": "1h30m",
    "resources": {"cpu": 2, "gpu": 0.5, "memory": "1.5GiB"},
    "checkpoint": {"every": {"epochs": 1, "minutes": 0.5}, "keep": {"last": 2, "best": 0}},
    "early_terminate": {"type": "asha", "min_resource": 1, "reduction_factor": 3},
    "retries": 2,
    "seed": 1,
}


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"timeout": 90},
        {"timeout": None},
        {"trials": 9, "run_cap": None},
        {"resources": {"memory": 2**30}},
        {"early_terminate": {"type": "median", "startup_trials": 0}},
        {"early_terminate": None},
        {"method": "qmc"},
        {"name": "digits-2.1"},
        {"description": "words"},
        {"project": "p", "command": ["python"], "metric": {"name": "a", "target": 0.5}},
        {"parameters": {"o": {"parameters": {"a": {"min": 1, "max": 9, "step": 2}}}}},
        {"parameters": {"o": {"parameters": {"i": {"parameters": {"a": {"value": 1}}}}}}},
        {"parameters": {"o": {"when": {"k": 1}, "parameters": {"a": {"value": 1}}}}},
    ],
)
def test_accepts(validator, change):
    """All spellings that a spec may have are valid."""
    validator.validate({**GOOD, **change})


@calm
@given(specs())
def test_accepts_what_the_models_accept(written):
    """Any valid spec is valid under the schema."""
    jsonschema.Draft202012Validator(json_schema()).validate(written)


def test_grid_needs_no_trials(validator):
    """Only a grid may go without a number of trials."""
    without = {key: value for key, value in GOOD.items() if key != "run_cap"}
    validator.validate({**without, "method": "grid"})
    assert not validator.is_valid({**without, "method": "tpe"})


@pytest.mark.parametrize(
    "change",
    [
        {"trails": 3},
        {"method": "bayse"},
        {"metric": "loss"},
        {"metric": {"name": "loss", "goal": "max"}},
        {"parameters": {}},
        {"parameters": {"lr": 0.1}},
        {"parameters": {"lr": {"vaules": [1]}}},
        {"parameters": {"lr": {"distribution": "loguniform"}}},
        {"retries": -1},
        {"run_cap": 0},
        {"timeout": "5 hours"},
        {"resources": {"memory": "4G"}},
        {"checkpoint": {"every": {"epoch": 1}}},
        {"checkpoint": {"keep": {"last": 0}}},
        {"early_terminate": {"type": "hyperband"}},
        {"name": "a b"},
        {"program": None},
    ],
)
def test_refuses(validator, change):
    """Misspelt keys and values of the wrong kind are marked by an editor."""
    assert not validator.is_valid({**GOOD, **change})


def test_every_key_has_help():
    """An editor can show what each key means."""
    schema = json_schema()
    sections = {"": schema, **schema["$defs"]}
    missing = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, described in section.get("properties", {}).items()
        if not described.get("description")
    ]
    assert missing == []
