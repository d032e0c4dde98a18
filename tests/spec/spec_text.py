"""What tests of the loader begin with: the lines of a small spec, and what is said of a bad one."""

from __future__ import annotations

import pytest

from sweep.errors import SpecError
from sweep.spec import Parameter, parse_spec

BASE = """\
program: digits:train
method: tpe
metric: {name: accuracy, goal: maximize}
trials: 20
"""
SPACE = "parameters: {lr: {min: 0.0, max: 1.0}}\n"


def problems(text: str, overrides=()) -> list[str]:
    with pytest.raises(SpecError) as error:
        parse_spec(text, "digits.yaml", overrides)
    return str(error.value).splitlines()


def parameter(text: str) -> Parameter:
    return parse_spec(f"{BASE}parameters:\n  lr: {text}\n").parameters["lr"]
