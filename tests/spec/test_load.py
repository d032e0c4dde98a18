"""Good specs, and the exact lines that bad ones are answered with."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest
from spec_text import BASE, SPACE, parameter, problems

from sweep.spec import (
    AshaPruning,
    CheckpointSpec,
    Distribution,
    Every,
    Goal,
    Keep,
    MedianPruning,
    Resources,
    StudySpec,
    dump_spec,
    load_spec,
    parse_spec,
)


def test_full_spec(tmp_path):
    """Every key of a spec arrives as what it means."""
    path = tmp_path / "digits.yaml"
    path.write_text(
        dedent(
            """\
            # a comment
            description: what it is for
            program: package.module:train
            method: bayes
            metric: {name: loss}
            run_cap: 50
            concurrency: 2
            timeout: 1h30m
            resources: {cpu: 2, gpu: 0.5, memory: 4GB}
            checkpoint:
              every: {epochs: 2, minutes: 10}
              keep: {last: 2, best: 3}
            early_terminate: {type: asha, min_resource: 3, reduction_factor: 2}
            retries: 0
            seed: 7
            parameters:
              lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}
              optimizer: {values: [sgd, adam, on]}
              momentum: {min: 0.0, max: 0.99, when: {optimizer: sgd}}
            """
        )
    )
    spec = load_spec(path)
    assert (spec.name, spec.description) == ("digits", "what it is for")
    assert (spec.program, spec.method.name, spec.trials) == ("package.module:train", "tpe", 50)
    assert (spec.objective.name, spec.objective.goal) == ("loss", Goal.MINIMIZE)
    assert (spec.concurrency, spec.timeout, spec.retries, spec.seed) == (2, 5400.0, 0, 7)
    assert spec.resources == Resources(cpu=2, gpu=0.5, memory=4_000_000_000)
    assert spec.checkpoint == CheckpointSpec(
        every=Every(epochs=2, minutes=10), keep=Keep(last=2, best=3)
    )
    assert spec.early_terminate == AshaPruning(type="asha", min_resource=3, reduction_factor=2)
    assert spec.parameters["lr"].min == 1e-4
    assert spec.parameters["optimizer"].values == ("sgd", "adam", "on")
    assert spec.parameters["momentum"].when == {"optimizer": ("sgd",)}
    assert list(spec.parameters) == ["lr", "optimizer", "momentum"]


def test_keep():
    """Every rule of retention has its key."""
    keep = (
        "checkpoint: {keep: {last: 2, best: 0, every_nth: 5, incumbents: 3, final: false, "
        "unsuccessful: none, bytes: 20GB, age: 7d}}"
    )
    spec = parse_spec(BASE + SPACE + keep, "chars.yaml")
    assert spec.checkpoint.keep == Keep(
        last=2,
        best=0,
        every_nth=5,
        incumbents=3,
        final=False,
        unsuccessful="none",
        bytes=20_000_000_000,
        age=7 * 86400,
    )


def test_defaults():
    """What is not written has the documented default."""
    spec = parse_spec(BASE + SPACE + "early_terminate: {type: median}", "runs/chars.v2.yaml")
    assert spec.name == "chars.v2"
    assert (spec.concurrency, spec.timeout, spec.retries, spec.seed) == (None, None, 1, 0)
    assert (spec.resources.cpu, spec.resources.gpu, spec.resources.memory) == (1, 0, None)
    assert spec.checkpoint.every == Every(epochs=1)
    assert spec.checkpoint.keep == Keep(last=1, best=1)
    assert spec.early_terminate == MedianPruning(
        type="median", startup_trials=5, warmup_steps=0, interval_steps=1
    )


def test_grid_needs_no_trials():
    """A grid has an end of its own, and a larger number of trials does no harm."""
    text = "program: a:b\nmethod: grid\nmetric: {name: x}\nparameters: {k: {min: 1, max: 3}}\n"
    assert parse_spec(text).trials is None
    assert parse_spec(text + "trials: 9").trials == 9
    assert parse_spec(text).space.grid_size == 3


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("{value: null}", "constant"),
        ("{value: {a: [1, 2]}}", "constant"),
        ("{values: [1, a, null, 2.5, [3]]}", "categorical"),
        ("{values: [a, b], probabilities: [0.25, 0.75]}", "categorical_w_probabilities"),
        ("{min: 1, max: 5}", "int_uniform"),
        ("{min: 5, max: 5}", "int_uniform"),
        ("{min: 1, max: 5.0}", "uniform"),
        ("{min: 0, max: 1, distribution: uniform}", "uniform"),
        ("{min: 0, max: 10, q: 2, distribution: q_uniform}", "q_uniform"),
        ("{min: -9.2, max: -2.3, distribution: log_uniform}", "log_uniform"),
        ("{min: 0, max: 5, distribution: log_uniform}", "log_uniform"),
        ("{min: 1e-4, max: 1, distribution: log_uniform_values}", "log_uniform_values"),
        ("{min: 0, max: 4, q: 2, distribution: q_log_uniform}", "q_log_uniform"),
        ("{min: 8, max: 64, q: 8, distribution: q_log_uniform_values}", "q_log_uniform_values"),
        ("{min: 0, max: 9, distribution: inv_log_uniform}", "inv_log_uniform"),
        ("{min: 1, max: 9, distribution: inv_log_uniform_values}", "inv_log_uniform_values"),
        ("{min: 1, max: 9, distribution: int_log_uniform_values}", "int_log_uniform_values"),
        ("{distribution: normal}", "normal"),
        ("{distribution: q_normal, mu: 5, sigma: 3, q: 0.5}", "q_normal"),
        ("{distribution: log_normal, mu: -3}", "log_normal"),
        ("{distribution: q_log_normal}", "q_log_normal"),
        ("{distribution: beta, a: 2, b: 5}", "beta"),
        ("{distribution: q_beta, q: 0.1}", "q_beta"),
    ],
)
def test_distribution(text, distribution):
    """Each of W&B's forms is read as the distribution that W&B takes it for."""
    assert parameter(text).distribution is Distribution(distribution)


def test_defaults_of_distributions():
    """Unwritten numbers of a distribution have W&B's defaults."""
    assert parameter("{distribution: q_normal}") == parameter(
        "{distribution: q_normal, mu: 0, sigma: 1, q: 1}"
    )
    assert parameter("{distribution: beta}") == parameter("{distribution: beta, a: 1, b: 1}")


def test_frozen():
    """A spec and its parts cannot be changed."""
    spec = parse_spec(BASE + SPACE)
    with pytest.raises(ValueError, match="frozen"):
        spec.trials = 3
    with pytest.raises(ValueError, match="frozen"):
        spec.parameters["lr"].min = 3


def test_light_import():
    """Importing the package loads none of the libraries that cost start-up time."""
    heavy = {"ray", "torch", "optuna", "pandas", "pyarrow", "plotly", "scipy", "numpy", "ruamel"}
    code = f"import sys, sweep.spec; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_space_function_stands_for_the_parameters():
    """It is what the YAML says, and what is written down reads back to the same."""
    spec = parse_spec(BASE + "space: spaces:define\n", "digits.yaml")
    assert (spec.space_function, spec.parameters) == ("spaces:define", {})
    assert parse_spec(dump_spec(spec), "digits.yaml") == spec
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec
    assert "parameters" not in dump_spec(spec)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            BASE + SPACE + "space: a:b\n",
            "5: parameters: cannot stand beside space, whose function suggests parameters: "
            "keep one",
        ),
        (BASE + "space: a.b\n", "5: space: must be package.module:function, not a.b"),
        (BASE + "space: 3\n", '5: space: must be text: write it in quotes, "3"'),
        (
            BASE.replace("tpe", "grid") + "space: a:b\n",
            "5: space: has no end that method grid could come to: write parameters, or choose "
            "another method",
        ),
    ],
)
def test_a_space_function_that_does_not_fit(text, problem):
    assert problems(text) == [f"digits.yaml:{problem}"]
