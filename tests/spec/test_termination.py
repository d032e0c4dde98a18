"""``early_terminate:``: a pruner and its options."""

from __future__ import annotations

from typing import Any

import pytest

from sweep.errors import SpecError
from sweep.spec import StudySpec, parse_spec

REST = """
program: a:b
method: tpe
metric: {name: loss}
trials: 9
parameters:
  lr: {values: [1]}
"""


def read(written: str) -> Any:
    spec = parse_spec(f"early_terminate: {written}{REST}", "s.yaml")
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
    return spec.early_terminate


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("{type: median, min_trials: 3}", {"min_trials": 3, "startup_trials": 5}),
        ("{type: percentile, percentile: 25}", {"percentile": 25.0, "warmup_steps": 0}),
        ("{type: threshold, upper: 10}", {"lower": None, "upper": 10}),
        ("{type: wilcoxon, p_threshold: 0.2}", {"p_threshold": 0.2, "startup_steps": 2}),
        ("{type: asha}", {"mode": "pause", "min_resource": 1, "max_resource": None}),
        ("{type: asha, mode: stop}", {"mode": "stop", "reduction_factor": 4}),
        ("{type: hyperband, max_resource: 81}", {"mode": "pause", "possible_brackets": 5}),
        ("{type: hyperband, max_resource: 80}", {"brackets": None, "possible_brackets": 4}),
        ("{type: hyperband, brackets: 1}", {"max_resource": None, "reduction_factor": 3}),
        ("{type: patient, patience: 3}", {"patience": 3, "min_delta": 0.0, "then": None}),
    ],
)
def test_forms(written: str, names: dict[str, Any]) -> None:
    found = read(written)
    assert {name: getattr(found, name) for name in names} == names


def test_patience_before_another_pruner() -> None:
    then = read("{type: patient, patience: 3, then: {type: asha}}").then
    assert (then.reduction_factor, then.mode) == (4, "stop")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{type: percentil}", "type: percentil is not supported; did you mean percentile?"),
        ("{type: [median]}", "type: [median] is not supported; there is median, percentile,"),
        ("{type: percentile}", "s.yaml:1: early_terminate.percentile: is required"),
        (
            "{type: percentile, percentile: 101}",
            "s.yaml:1: early_terminate.percentile: must be 100 or less, not 101",
        ),
        ("{type: threshold}", "needs lower, upper or both"),
        ("{type: threshold, lower: 2, upper: 1}", "lower: is above upper: 2 and 1"),
        ("{type: wilcoxon, p_threshold: 5}", "p_threshold: must be between 0 and 1, not 5"),
        ("{type: patient}", "early_terminate.patience: is required"),
        ("{type: patient, patience: 2, wrapped_pruner: 3}", "wrapped_pruner: is called then here"),
        ("patient", "must be a mapping: write {type: patient}"),
        (
            "{type: patient, patience: 2, then: {type: asha, mode: pause}}",
            "then.mode: must be stop after patience",
        ),
        ("{type: asha, mode: pauze}", "mode: there is no pauze; did you mean pause?"),
        ("{type: asha, min_resource: 4, max_resource: 4}", "must be above the first rung, which"),
        ("{type: asha, mode: stop, max_resource: 9}", "has no meaning with mode: stop"),
        ("{type: hyperband, max_resource: 9, brackets: 4}", "brackets: at most 3 fit, not 4"),
        (
            "{type: hyperband, max_resource: 9, brackets: 2, mode: stop}",
            "brackets: must be 1 or 3 with mode: stop",
        ),
    ],
)
def test_mistakes(written: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(written)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 0
