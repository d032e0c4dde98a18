"""The readable copy of a spec."""

from __future__ import annotations

import pytest
from hypothesis import given
from spec_strategy import calm, specs

from sweep.spec import StudySpec, dump_spec, parse_spec


@calm
@given(specs())
def test_round_trip(written):
    """A dumped spec is read back as an equal one, with its parameters in the same order."""
    spec = StudySpec.model_validate(written)
    again = parse_spec(dump_spec(spec), "other.yaml")
    assert again == spec
    assert list(again.parameters) == list(spec.parameters)


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\n", "\r\n"])
def test_ends_of_lines_in_text(end):
    """Every character that YAML may take for the end of a line comes back, in keys and values."""
    text = f"a{end}b {end} c"
    spec = StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": "random",
            "metric": {"name": "loss", "goal": "minimize"},
            "description": text,
            "parameters": {"x": {"values": [text, {text: end}]}},
            "trials": 1,
        }
    )
    assert parse_spec(dump_spec(spec), "other.yaml") == spec


def test_readable():
    """A dumped spec has a line per parameter and no more words than it needs."""
    spec = parse_spec(
        """\
program: digits:train
method: bayes
metric: {name: loss}
run_cap: 9
timeout: 1h
parameters:
  lr: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  layers: {min: 1, max: 3}
  opt: {values: [sgd, on, "1e-3"]}
  m: {min: 0, max: 1, distribution: uniform, when: {opt: [sgd]}}
""",
        "digits.yaml",
    )
    assert (
        dump_spec(spec)
        == """\
name: digits
program: digits:train
method: tpe
metric: {name: loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 1e-05, max: 0.1}
  layers: {min: 1, max: 3}
  opt: {values: [sgd, on, '1e-3']}
  m: {distribution: uniform, min: 0, max: 1, when: {opt: sgd}}
trials: 9
duplicates: rerun
timeout: 3600
resources: {cpu: 1, gpu: 0}
checkpoint:
  every: {epochs: 1}
  final: full
  in_flight: wait
  keep: {last: 1, best: 1, every_incumbent: false, final: true, unsuccessful: last}
retries: 1
on_failure: worst
on_nan: worst
max_failures: alike
strict_code: false
seed: 0
deterministic: false
window: 8
lookahead: auto
"""
    )
