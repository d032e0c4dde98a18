"""Settings of the command line over those of the file."""

from __future__ import annotations

import pytest

from sweep.errors import SpecError
from sweep.spec import parse_spec

TEXT = """\
program: digits:train
method: tpe
metric: {name: accuracy, goal: maximize}
run_cap: 20
parameters:
  lr: {distribution: log_uniform_values, min: 0.001, max: 0.3}
  opt.eps: {min: 0.0, max: 1.0}
checkpoint:
"""


def parse(*settings: str):
    return parse_spec(TEXT.replace("checkpoint:\n", ""), "digits.yaml", settings)


@pytest.mark.parametrize(
    ("settings", "path", "value"),
    [
        (["trials=50"], "trials", 50),
        (["run_cap=7"], "trials", 7),
        (["trials=50", "trials=60"], "trials", 60),
        (["parameters.lr.max=0.1"], "parameters.lr.max", 0.1),
        (["parameters.lr.max=1e-2"], "parameters.lr.max", 0.01),
        (["parameters.opt.eps.max=0.5"], "parameters.opt.eps.max", 0.5),
        (["parameters.new={values: [a, b]}"], "parameters.new.values", ("a", "b")),
        (["parameters.new.value=on"], "parameters.new.value", "on"),
        (["resources.memory=2GiB"], "resources.memory", 2 * 1024**3),
        (["checkpoint.keep.best=4", "checkpoint.every.steps=5"], "checkpoint.keep.best", 4),
        (["checkpoint.every.steps=5"], "checkpoint.every.epochs", None),
        (["timeout="], "timeout", None),
        (["timeout=90s"], "timeout", 90),
        (["name=a=b", "name=other"], "name", "other"),
        (["metric.name = 'a b'"], "metric.name", "a b"),
    ],
)
def test_set(settings, path, value):
    """A setting takes the place of the file's value; what is missing on the way is made."""
    spec = parse(*settings)
    for name in ("parameters.opt.eps", "parameters.lr", "parameters.new"):
        if path.startswith(name):
            holder = spec.parameters[name.removeprefix("parameters.")]
            assert getattr(holder, path.removeprefix(name + ".")) == value
            return
    found = spec
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


def test_set_over_an_empty_key():
    """A key that the file leaves empty may be filled from the command line."""
    spec = parse_spec(TEXT, "digits.yaml", ["checkpoint.every.steps=5"])
    assert spec.checkpoint.every.steps == 5


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("trails=50", "trails: unknown key; did you mean trials?"),
        ("trials=many", "trials: must be a whole number, not many"),
        ("parameters.lr.mox=1", "parameters.lr.mox: unknown key; did you mean max?"),
        ("parameters.lr.min=0", "parameters.lr.min: must be above 0 for a log distribution"),
        ("parameters.lr={min: 0}", "parameters.lr.max: is required"),
        ("parameters.new.min=0", "parameters.new.max: is required"),
        ("resources.gpu.count=1", "resources.gpu: must be a number, not {count: 1}"),
        ("trials", "must be key=value, such as trials=50 or parameters.lr.max=0.1"),
        ("=3", "must be key=value, such as trials=50 or parameters.lr.max=0.1"),
        ("a..b=3", "must be key=value, such as trials=50 or parameters.lr.max=0.1"),
        ("method.name=3", "method is tpe, and has no keys to set"),
        ("parameters.lr.max.x=3", "parameters.lr.max is 0.3, and has no keys to set"),
        ("seed={a: 1, a: 2}", "a: stands there twice; the first is in line 1"),
        ("run_cap=0", "run_cap: must be 1 or more, not 0"),
    ],
)
def test_bad_setting(setting, problem):
    """A problem with a setting names the setting as its place instead of a line."""
    with pytest.raises(SpecError) as error:
        parse(setting)
    assert str(error.value) == f"--set {setting}: {problem}"


def test_setting_that_is_no_yaml():
    """A value that is no YAML is refused with the setting it stands in."""
    with pytest.raises(SpecError, match=r"--set seed=\[1: not valid YAML"):
        parse("seed=[1")
