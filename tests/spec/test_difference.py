"""What differs between two specs, and what of it a study can live with."""

from __future__ import annotations

import pytest
from hypothesis import given
from spec_strategy import calm, specs

from sweep.spec import (
    ABSENT,
    Change,
    StudySpec,
    difference,
    inheriting,
    lasting,
    parse_spec,
    refused,
    successor,
)

TEXT = """\
program: digits:train
method: bayes
metric: {name: loss}
run_cap: 9
timeout: 1h
parameters:
  lr: {distribution: log_uniform_values, min: 0.001, max: 0.1}
  layers: {min: 1, max: 3}
  opt: {values: [sgd, adam]}
  m: {min: 0, max: 1, distribution: uniform, when: {opt: [sgd, adam]}}
"""


def changed(*settings: str) -> list[Change]:
    return difference(parse_spec(TEXT), parse_spec(TEXT, overrides=settings))


@pytest.mark.parametrize(
    ("setting", "lines", "falsifies"),
    [
        ("parameters.lr.max=0.3", ["parameters.lr.max: 0.1 -> 0.3"], True),
        (
            "parameters.opt.values=[adam, sgd]",
            ["parameters.opt.values: [sgd, adam] -> [adam, sgd]"],
            True,
        ),
        (
            "parameters.new.value=1",
            ["parameters.new: absent -> {distribution: constant, value: 1}"],
            True,
        ),
        ("parameters.m.when={opt: sgd}", ["parameters.m.when.opt: [adam, sgd] -> [sgd]"], True),
        ("metric.goal=maximize", ["metric.goal: minimize -> maximize"], True),
        ("method=random", ["method: tpe -> random"], True),
        ("seed=1", ["seed: 0 -> 1"], True),
        ("deterministic=true", ["deterministic: false -> true"], True),
        ("window=16", ["window: 8 -> 16"], True),
        ("lookahead=true", ["lookahead: auto -> true"], False),
        ("trials=20", ["trials: 9 -> 20"], False),
        ("concurrency=2", ["concurrency: none -> 2"], False),
        ("timeout=", ["timeout: 3600.0 -> none"], False),
        ("resources.cpu=2", ["resources.cpu: 1.0 -> 2.0"], False),
        (
            "checkpoint.every={steps: 5}",
            ["checkpoint.every.epochs: 1 -> none", "checkpoint.every.steps: none -> 5"],
            False,
        ),
        (
            "early_terminate={type: median}",
            [
                "early_terminate: none -> {type: median, startup_trials: 5, "
                "warmup_steps: 0, interval_steps: 1, min_trials: 3}"
            ],
            False,
        ),
        ("parameters.m.default=0.5", ["parameters.m.default: absent -> 0.5"], True),
        ("enqueue=[{layers: 2}]", ["enqueue: [] -> [{layers: 2}]"], False),
        ("warm_start=runs/other", ["warm_start: [] -> [runs/other]"], False),
        ("duplicates=reuse", ["duplicates: rerun -> reuse"], False),
        ("retries=0", ["retries: 1 -> 0"], False),
        ("strict_code=true", ["strict_code: false -> true"], False),
        ("program=a.b:c", ["program: digits:train -> a.b:c"], False),
        ("description=words", ["description: none -> words"], False),
    ],
)
def test_change(setting, lines, falsifies):
    """A change is shown at its path; only those of the search itself are refused."""
    changes = changed(setting)
    assert [str(change) for change in changes] == lines
    assert refused(changes) == (changes if falsifies else [])


@pytest.mark.parametrize(
    "setting",
    [
        "method=tpe",
        "trials=9",
        "timeout=3600",
        "metric={goal: minimize, name: loss}",
        "parameters.layers={max: 3, min: 1, distribution: int_uniform}",
        "parameters.lr.max=1e-1",
        "parameters.opt={values: [sgd, adam], distribution: categorical}",
        "parameters.m.when.opt=[adam, sgd]",
        "early_terminate=null",
        "checkpoint={every: {epochs: 1}}",
    ],
)
def test_spelling_is_no_change(setting):
    """Another spelling of the same is no difference."""
    assert changed(setting) == []


def test_other_kind_of_value_is_a_change():
    """true in the place of 1 is a difference, 1.0 is none."""
    old = parse_spec(TEXT, overrides=["parameters.opt.values=[1, 2]", "parameters.m={value: 1}"])
    for value, count in (("1.0", 0), ("true", 1), ("'1'", 1), ("null", 1)):
        settings = ["parameters.opt.values=[1, 2]", f"parameters.m={{value: {value}}}"]
        assert len(difference(old, parse_spec(TEXT, overrides=settings))) == count


@calm
@given(specs(), specs())
def test_no_difference_means_the_same(old, new):
    """Specs differ from themselves in nothing, and equal ones are those without a difference."""
    first, second = StudySpec.model_validate(old), StudySpec.model_validate(new)
    assert difference(first, first) == []
    changes = difference(first, second)
    backwards = difference(second, first)
    assert {(c.path, str(c.old)) for c in changes} == {(c.path, str(c.new)) for c in backwards}


def test_order_of_parameters():
    """The order of parameters is no difference, and the accepted order stays."""
    old = parse_spec(TEXT)
    data = old.model_dump(mode="json")
    data["parameters"] = dict(reversed(data["parameters"].items()))
    new = StudySpec.model_validate({**data, "trials": 99})
    assert [str(change) for change in difference(old, new)] == ["trials: 9 -> 99"]
    going_on = successor(old, new)
    assert going_on.trials == 99
    assert list(going_on.parameters) == list(old.parameters)
    assert [d.name for d in going_on.space.dimensions] == [d.name for d in old.space.dimensions]


def test_only_the_metric_lasts():
    """Of what is refused, all but the metric may be accepted."""
    changes = changed("metric.goal=maximize", "seed=1", "method=random", "parameters.lr.max=0.3")
    assert [change.path for change in lasting(changes)] == ["metric.goal"]


def test_no_successor_of_another_study():
    """A spec that would falsify the study cannot take its place."""
    with pytest.raises(ValueError, match=r"parameters\.lr\.max: 0\.1 -> 0\.3"):
        successor(parse_spec(TEXT), parse_spec(TEXT, overrides=["parameters.lr.max=0.3"]))


def test_removed_parameter():
    """A parameter that is gone is one change, not one for each of its keys."""
    text = TEXT.replace("  layers: {min: 1, max: 3}\n", "")
    (change,) = difference(parse_spec(TEXT), parse_spec(text))
    assert (change.path, change.new) == ("parameters.layers", ABSENT)


@pytest.mark.parametrize(
    ("was", "now", "mode"),
    [
        ("{type: asha, mode: stop}", "{type: asha}", "stop"),
        ("{type: asha, mode: stop}", "{type: asha, eta: 2}", "stop"),
        ("{type: asha, mode: stop}", "{type: asha, mode: pause}", "pause"),
        ("{type: asha}", "{type: asha, mode: stop}", "stop"),
        ("{type: asha}", "{type: asha}", "pause"),
        ("{type: asha, mode: stop}", "{type: asha, max_resource: 9}", "pause"),
        ("{type: hyperband, min_iter: 3, mode: stop}", "{type: asha}", "pause"),
        ("{type: median}", "{type: asha}", "pause"),
    ],
)
def test_mode_is_inherited_where_it_is_not_written(was: str, now: str, mode: str) -> None:
    """A study that stops its trials does so until its spec says otherwise."""
    old, new = (
        parse_spec(TEXT, overrides=[f"early_terminate={written}"]) for written in (was, now)
    )
    assert inheriting(old, new).early_terminate.mode == mode


@pytest.mark.parametrize(
    ("was", "now", "least"),
    [
        ("{type: median, min_trials: 1}", "{type: median, startup_trials: 2}", 1),
        ("{type: percentile, percentile: 30, min_trials: 1}", "{type: median}", 3),
        ("{type: median, min_trials: 1}", "{type: median, min_trials: 4}", 4),
        (
            "{type: patient, patience: 2, then: {type: median, min_trials: 1}}",
            "{type: patient, patience: 3, then: {type: median}}",
            1,
        ),
    ],
)
def test_min_trials_is_inherited_where_it_is_not_written(was: str, now: str, least: int) -> None:
    """A study that an older sweep began goes on with the default that it had."""
    old, new = (parse_spec(TEXT, overrides=[f"early_terminate={each}"]) for each in (was, now))
    found = inheriting(old, new).early_terminate
    assert getattr(found, "then", found).min_trials == least
