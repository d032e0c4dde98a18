"""Good specs, and the exact lines that bad ones are answered with."""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_strategy import calm, specs, values

from sweep.errors import SpecError
from sweep.spec import (
    AshaPruning,
    CheckpointSpec,
    Distribution,
    Every,
    Goal,
    Keep,
    MedianPruning,
    Method,
    Parameter,
    Resources,
    StudySpec,
    load_spec,
    parse_spec,
)

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
    assert (spec.program, spec.method, spec.trials) == ("package.module:train", Method.TPE, 50)
    assert (spec.metric.name, spec.metric.goal) == ("loss", Goal.MINIMIZE)
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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{min: 3, max: 1}", ".min: 3 is above max, which is 1"),
        ("{min: 1}", ".max: is required"),
        ("{max: 1, distribution: uniform}", ".min: is required for uniform"),
        ("{min: a, max: 1}", ".min: must be a number, not a"),
        ("{min: 0.0, max: '1e-3'}", ".max: must be a number, not '1e-3'"),
        ("{min: true, max: 3}", ".min: must be a number, not true"),
        ("{min: 0, max: .inf}", ".max: must be a finite number, not inf"),
        (f"{{min: 0, max: 1{'0' * 400}}}", f".max: must be a finite number, not 1{'0' * 56}..."),
        (
            "{distribution: int_log_uniform_values, min: 1, max: 9007199254740993}",
            ".max: whole numbers beyond 2 ** 53 are not exact: use values",
        ),
        ("{min: , max: 3}", ".min: is required"),
        ("{values: []}", ".values: is empty: needs at least one value"),
        ("{values: 3}", ".values: must be a list, not 3"),
        (
            "{values: [1, 2, 1.0]}",
            ".values[2]: 1.0 stands there twice; to weigh it, write probabilities",
        ),
        ("{values: [1, .nan]}", ".values[1]: must not be NaN: it equals nothing, not even itself"),
        ("{value: 1, values: [1]}", ".values: cannot stand beside value: keep one"),
        ("{values: [1, 2], min: 0}", ".min: cannot stand beside values: keep one"),
        (
            "{values: [1, 2], probabilities: [0.5, 0.4]}",
            ".probabilities: must sum to 1, not 0.9",
        ),
        (
            "{values: [1, 2], probabilities: [1]}",
            ".probabilities: needs one for each value: there are 1 for 2 values",
        ),
        ("{values: [1, 2], probabilities: [-1, 2]}", ".probabilities[0]: must be 0 or more"),
        ("{probabilities: [1]}", ".values: is required"),
        (
            "{distribution: log_uniform_values, min: 0, max: 1}",
            ".min: must be above 0 for a log distribution",
        ),
        (
            "{distribution: q_log_uniform_values, min: -3, max: 0.1}",
            ".min: must be above 0 for a log distribution",
        ),
        (
            "{distribution: log_uniform, min: 0.0001, max: 0.1}",
            ".distribution: bounds are exponents, so values would go from 1.0001 to 1.10517; "
            "for 0.0001 to 0.1 write distribution: log_uniform_values",
        ),
        (
            "{distribution: inv_log_uniform, min: 0.001, max: 0.1}",
            ".distribution: bounds are exponents, so values would go from 0.904837 to 0.999; "
            "for 0.001 to 0.1 write distribution: inv_log_uniform_values",
        ),
        (
            "{distribution: q_log_uniform, min: 16, max: 512}",
            ".distribution: bounds are exponents, so values would go from 8.88611e+06 to "
            "2.28441e+222; for 16 to 512 write distribution: q_log_uniform_values",
        ),
        (
            "{distribution: log_uniform, min: 1, max: 1000}",
            ".max: bounds of log_uniform are exponents of e, and this overflows; "
            "bounds of the values go with distribution: log_uniform_values",
        ),
        (
            "{distribution: log_uniform, min: -1000, max: 0}",
            ".min: bounds of log_uniform are exponents of e, and this overflows; "
            "bounds of the values go with distribution: log_uniform_values",
        ),
        (
            "{distribution: int_uniform, min: 0.5, max: 3}",
            ".min: must be a whole number for int_uniform, not 0.5",
        ),
        (
            "{min: 0, max: 9007199254740993}",
            ".max: whole numbers beyond 2 ** 53 are not exact: use values",
        ),
        (
            "{distribution: uniform, min: -1e308, max: 1e308}",
            ".max: the range is wider than a float can tell",
        ),
        ("{distribution: q_uniform, min: 0, max: 9, q: 0}", ".q: must be above 0, not 0"),
        (
            "{distribution: q_log_uniform, min: -7, max: -1}",
            ".q: rounded to multiples of 1, every value would be 0",
        ),
        ("{min: 0, max: 9, q: 3}", ".q: needs a distribution, such as q_uniform"),
        (
            "{distribution: normal, min: 0}",
            ".min: has no meaning for distribution normal, which takes mu and sigma",
        ),
        (
            "{distribution: normal, sigma: 0}",
            ".sigma: must be above 0, not 0; a constant is written with value",
        ),
        (
            "{distribution: log_normal, mu: 800}",
            ".distribution: values overflow with these numbers",
        ),
        ("{distribution: beta, b: 0}", ".b: must be above 0, not 0"),
        (
            "{distribution: loguniform, min: 1, max: 2}",
            ".distribution: there is no loguniform; did you mean log_uniform?",
        ),
        ("{vaules: [1]}", ".vaules: unknown key; did you mean values?"),
        ("0.1", ": must be a mapping: for a constant write {value: 0.1}"),
        ("[1, 2]", ": must be a mapping: for a choice write {values: [1, 2]}"),
        ("{}", ": needs value, values, or min and max (with a distribution if need be)"),
        ("", ": is empty: fill it in or remove it"),
        (
            "{parameters: {a: {value: 1}}}",
            ".parameters: nested parameters are not supported: write each at the top of parameters",
        ),
        ("{value: 1, when: {}}", None),
        ("{value: 1, when: [a]}", ".when: must be a mapping, not [a]"),
    ],
)
def test_bad_parameter(text, problem):
    """A parameter that makes no sense is refused in one line that names the key."""
    text = f"{BASE}parameters:\n  lr: {text}\n"
    if problem is None:
        assert parse_spec(text)
    else:
        assert problems(text) == [f"digits.yaml:6: parameters.lr{problem}"]


def test_both_bounds_below_zero():
    """Exponents where values belong are pointed to the distribution that takes exponents."""
    text = BASE + "parameters:\n  lr:\n    distribution: log_uniform_values\n"
    text += "    min: -9\n    max: -2\n"
    hint = "must be above 0 for a log distribution (for exponents write log_uniform)"
    assert problems(text) == [
        f"digits.yaml:8: parameters.lr.min: {hint}",
        f"digits.yaml:9: parameters.lr.max: {hint}",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("trails: 3", "trails: unknown key; did you mean trials?"),
        ("run_cap: 3", "run_cap: means the same as trials: keep one"),
        (
            "name: my study",
            "name: 'my study' cannot name a directory: use letters, digits and . _ -, "
            "such as my-study",
        ),
        (
            "name: ../up",
            "name: '../up' cannot name a directory: use letters, digits and . _ -, such as up",
        ),
        ("name: 3", 'name: must be text: write it in quotes, "3"'),
        ("concurrency: 0", "concurrency: must be 1 or more, not 0"),
        ("concurrency: two", "concurrency: must be a whole number, not two"),
        ("concurrency: 1.5", "concurrency: must be a whole number, not 1.5"),
        ("concurrency: true", "concurrency: must be a whole number, not true"),
        (
            "timeout: 5 hours",
            "timeout: must be seconds or a time such as 90s, 30m, 12h or 2d, not '5 hours'",
        ),
        ("timeout: 0s", "timeout: must be above 0, not 0.0"),
        ("retries: -1", "retries: must be 0 or more, not -1"),
        ("strict_code: maybe", "strict_code: must be true or false, not maybe"),
        (
            "seed: 9223372036854775808",
            "seed: must be 9223372036854775807 or less, not 9223372036854775808",
        ),
        ("resources: {cpus: 2}", "resources.cpus: unknown key; did you mean cpu?"),
        ("resources: {cpu: 0}", "resources.cpu: must be above 0 where gpu is 0"),
        ("resources: {gpu: 1.5}", "resources.gpu: must be a whole number above 1, not 1.5"),
        (
            "resources: {memory: 4}",
            "resources.memory: 4 bytes is too little for a process: write a unit, as in 4GB",
        ),
        (
            "resources: {memory: 4G}",
            "resources.memory: must be a size such as 512MiB or 4GB, not '4G'",
        ),
        ("resources:", "resources: is empty: fill it in or remove it"),
        ("checkpoint: {every: {}}", "checkpoint.every: needs epochs, steps or minutes"),
        (
            "checkpoint: {every: {epoch: 1}}",
            "checkpoint.every.epoch: unknown key; did you mean epochs?",
        ),
        ("checkpoint: {every: {minutes: 0}}", "checkpoint.every.minutes: must be above 0, not 0"),
        ("checkpoint: {keep: {last: 0}}", "checkpoint.keep.last: must be 1 or more, not 0"),
        (
            "checkpoint: {keep: {bytes: 4G}}",
            "checkpoint.keep.bytes: must be a size such as 512MiB or 4GB, not '4G'",
        ),
        (
            "checkpoint: {keep: {age: 7w}}",
            "checkpoint.keep.age: must be seconds or a time such as 90s, 30m, 12h or 2d, not '7w'",
        ),
        (
            "checkpoint: {keep: {unsuccessful: lst}}",
            "checkpoint.keep.unsuccessful: there is no lst; did you mean last?",
        ),
        (
            "checkpoint: {keep: {final: 1}}",
            "checkpoint.keep.final: must be true or false, not 1",
        ),
        (
            "checkpoint: {on: val_loss}",
            "checkpoint.on: must be improvement, end or a list of them, not val_loss; for another "
            "metric than the study's write {improvement: val_loss, goal: minimize}",
        ),
        (
            "checkpoint: {on: {improvement: true, goal: minimize}}",
            "checkpoint.on.goal: belongs to a metric: write "
            "{improvement: val_loss, goal: minimize}",
        ),
        (
            "checkpoint: {components: [model]}",
            "checkpoint.components: says what a save on improvement holds, and there is none: add "
            "on: improvement (what a trial goes on from is always saved in full)",
        ),
        (
            "checkpoint: {every: none, on: improvement, components: [model]}",
            "checkpoint.components: with every: none nothing would be saved that a killed trial "
            "can go on from: add every: {epochs: 1}, or remove components",
        ),
        (
            "checkpoint: {on: end, final: none}",
            "checkpoint.final: is none, but on says end: write full or light, or remove end",
        ),
        (
            "checkpoint: {exclude: '*'}",
            "checkpoint.exclude: * leaves nothing to save: write checkpoint: none",
        ),
        ("checkpoint: never", "checkpoint: must be none or a mapping, not never"),
        (
            "checkpoint: {overhead: often}",
            "checkpoint.overhead: must be a share such as 2% or 0.02, not often",
        ),
        ("checkpoint: {overhead: 100%}", "checkpoint.overhead: must be below 1, not 1.0"),
        (
            "checkpoint: {every: never}",
            "checkpoint.every: must be none or a mapping such as {epochs: 1}, not never",
        ),
        (
            "early_terminate: {type: hyperband, min_iter: 3}",
            "early_terminate.type: hyperband is not supported; there is {type: asha, "
            "min_resource: 3, reduction_factor: 3}, which is close, and {type: median}",
        ),
        (
            "early_terminate: {type: medium}",
            "early_terminate.type: medium is not supported: there is median and asha",
        ),
        (
            "early_terminate: {warmup_steps: 1}",
            "early_terminate.type: is required: there is median and asha",
        ),
        ("early_terminate: median", "early_terminate: must be a mapping: write {type: median}"),
        (
            "early_terminate: {type: asha, min_resource: auto}",
            "early_terminate.min_resource: must be a whole number, not auto",
        ),
        (
            "early_terminate: {type: median, warmup: 1}",
            "early_terminate.warmup: unknown key; did you mean warmup_steps?",
        ),
        (
            "command: [python]",
            "command: has no meaning here, where program is a function: remove it",
        ),
        ("project: p", "project: belongs to W&B's service and has no meaning here: remove it"),
        ("entity: me", "entity: belongs to W&B's service and has no meaning here: remove it"),
    ],
)
def test_bad_line(line, problem):
    """A bad line is refused with its number and its path."""
    assert problems(f"{BASE}{SPACE}{line}\n") == [f"digits.yaml:6: {problem}"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "digits:train",
            "train.py",
            "1: program: train.py names a file: write module:function, such as train:main",
        ),
        (
            "digits:train",
            "src/train.py:go",
            "1: program: src/train.py:go names a file: write module:function, such as src.train:go",
        ),
        (
            "digits:train",
            "digits",
            "1: program: digits names no function: write module:function, such as digits:main",
        ),
        ("digits:train", "a b:c", "1: program: must be package.module:function, not 'a b:c'"),
        ("method: tpe", "method: bayse", "2: method: there is no bayse; did you mean bayes?"),
        ("method: tpe", "method: 3", "2: method: must be tpe, random, grid, qmc or bayes, not 3"),
        ("method: tpe\n", "", "1: method: is required"),
        ("trials: 20\n", "", "1: trials: is required: only method grid has an end of its own"),
        ("trials: 20", "run_cap: 1.5", "4: run_cap: must be a whole number, not 1.5"),
        ("goal: maximize", "goal: max", "3: metric.goal: there is no max; did you mean maximize?"),
        (
            "goal: maximize",
            "target: 0.9",
            "3: metric.target: is not supported: remove it (trials and timeout end a study)",
        ),
        (
            "{name: accuracy, goal: maximize}",
            "accuracy",
            "3: metric: must be a mapping, not accuracy",
        ),
        ("name: accuracy, ", "", "3: metric.name: is required"),
        (SPACE, "", "1: parameters: is required"),
        (SPACE, "parameters: {}", "5: parameters: is empty: needs at least one parameter"),
        (SPACE, "parameters: [lr]", "5: parameters: must be a mapping, not [lr]"),
        (
            SPACE,
            "parameters: {a b: {value: 1}}",
            "5: parameters.a b: a parameter's name begins with a letter "
            "and has letters, digits and . _ - only",
        ),
        (
            "method: tpe",
            "method: grid",
            "5: parameters.lr: is continuous, and method grid needs an end: "
            "use values, q_uniform or whole numbers",
        ),
    ],
)
def test_bad_part(old, new, problem):
    """A missing or mistaken part is refused in one line, at the place where it belongs."""
    assert old in BASE + SPACE
    assert problems((BASE + SPACE).replace(old, new)) == [f"digits.yaml:{problem}"]


def test_grid_refuses_probabilities():
    """Probabilities would be ignored by a grid, so they are refused."""
    text = (BASE + SPACE).replace("tpe", "grid")
    text = text.replace("{min: 0.0, max: 1.0}", "{values: [1, 2], probabilities: [0.5, 0.5]}")
    advice = "mean nothing to a grid: remove them or choose another method"
    assert problems(text) == [f"digits.yaml:5: parameters.lr.probabilities: {advice}"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (
            {"b": "{optimiser: sgd}"},
            ["b.when.optimiser: no such parameter; did you mean optimizer?"],
        ),
        (
            {"b": "{optimizer: [sgd, rms]}"},
            ["b.when.optimizer: optimizer is never rms; it is one of [sgd, adamw]"],
        ),
        (
            {"b": "{lr: 0.1}"},
            ["b.when.lr: lr is continuous: a condition needs values to compare with"],
        ),
        ({"b": "{k: 9}"}, ["b.when.k: k is never 9; it is int_uniform from 1 to 3"]),
        ({"b": "{c: 9}"}, ["b.when.c: c is never 9; it is 7"]),
        ({"b": "{optimizer: []}"}, ["b.when.optimizer: needs at least one value"]),
        ({"b": "{b: 1}"}, ["b.when.b: a condition on the parameter itself can never hold"]),
        ({"b": "{d: 1}", "d": "{b: 1}"}, ["b.when.d: a circle of conditions: b -> d -> b"]),
        (
            {"b": "{d: 1}", "d": "{e: 1}", "e": "{b: 1}", "optimizer": "{e: 1}"},
            ["b.when.d: a circle of conditions: b -> d -> e -> b"],
        ),
        (
            {"b": "{d: 1}", "d": "{b: 1}", "e": "{k: 9, oops: 1}"},
            [
                "b.when.d: a circle of conditions: b -> d -> b",
                "e.when.k: k is never 9; it is int_uniform from 1 to 3",
                "e.when.oops: no such parameter; known: optimizer, lr, k, c, b, d",
            ],
        ),
    ],
)
def test_bad_condition(conditions, expected):
    """A condition that can never hold is refused at the line of its parameter."""
    forms = {
        "optimizer": "values: [sgd, adamw]",
        "lr": "min: 0.0, max: 1.0",
        "k": "min: 1, max: 3",
        "c": "value: 7",
        "b": "values: [1, 2]",
        "d": "values: [1, 2]",
        "e": "values: [1, 2]",
    }
    text, lines = BASE + "parameters:\n", {}
    for number, (name, form) in enumerate(forms.items(), start=6):
        when = f", when: {conditions[name]}" if name in conditions else ""
        text += f"  {name}: {{{form}{when}}}\n"
        lines[name] = number
    assert problems(text) == [
        f"digits.yaml:{lines[line.split('.')[0]]}: parameters.{line}" for line in expected
    ]


def test_nested_conditions():
    """A condition may stand on a conditional parameter, and on several at once."""
    spec = parse_spec(
        BASE
        + """\
parameters:
  eps: {min: 0.0, max: 1.0, when: {nesterov: true, optimizer: [sgd, adamw]}}
  nesterov: {values: [true, false], when: {optimizer: sgd}}
  optimizer: {values: [sgd, adamw]}
"""
    )
    assert [each.name for each in spec.space.dimensions] == ["optimizer", "nesterov", "eps"]


def test_all_problems_at_once():
    """Every problem is said, in the order of the file, also those between valid parts."""
    text = """\
program: train.py
method: tpe
metric: {name: loss, gaol: minimize}
parameters:
  lr:
    distribution: log_uniform_values
    min: 0
    max: 0.1
  a: {values: [1, 2], when: {b: 1}}
trails: 3
"""
    assert problems(text, ["seed=x"]) == [
        "digits.yaml:1: program: train.py names a file: write module:function, such as train:main",
        "digits.yaml:1: trials: is required: only method grid has an end of its own",
        "digits.yaml:3: metric.gaol: unknown key; did you mean goal?",
        "digits.yaml:7: parameters.lr.min: must be above 0 for a log distribution",
        "digits.yaml:9: parameters.a.when.b: no such parameter; known: lr",
        "digits.yaml:10: trails: unknown key; did you mean trials?",
        "--set seed=x: seed: must be a whole number, not x",
    ]


def test_unusable_file_name():
    """A file whose name cannot name a study is answered with a name to write."""
    with pytest.raises(SpecError, match="such as my-sweep"):
        parse_spec(BASE + SPACE, "my sweep.yaml")


@calm
@given(specs())
def test_json_round_trip(written):
    """What the journal stores of a spec is read back as the same spec."""
    spec = StudySpec.model_validate(written)
    again = StudySpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec
    assert again.model_dump(mode="json") == spec.model_dump(mode="json")


def answer(data: object) -> object:
    """The spec that ``data`` is, or the lines of the SpecError."""
    try:
        return parse_spec(json.dumps(data), "x.yaml")
    except SpecError as error:
        return str(error).splitlines()


odd = values | st.text(max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=2)


@calm
@given(st.dictionaries(st.sampled_from([*StudySpec.model_fields, "other"]), odd))
def test_any_data_is_a_spec_or_a_spec_error(data):
    """No data, however odd, leads to anything but a spec or a SpecError, a line per problem."""
    found = answer(data)
    assert isinstance(found, StudySpec) or all(line.startswith("x.yaml:1: ") for line in found)


@calm
@given(specs(), odd, st.data())
def test_a_changed_value_is_a_spec_or_a_spec_error(written, value, data):
    """A valid spec with one value replaced by anything is a spec or a SpecError."""
    changed = holder = json.loads(json.dumps(written))
    key = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder)))
    holder[key] = value
    found = answer(changed)
    assert isinstance(found, StudySpec) or all(line.startswith("x.yaml:1: ") for line in found)


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
