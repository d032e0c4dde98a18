"""The exact lines that bad keys and sections are answered with."""

from __future__ import annotations

import pytest
from spec_text import BASE, SPACE, problems

from sweep.errors import SpecError
from sweep.spec import (
    parse_spec,
)


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
        ("deterministic: yes", "deterministic: must be true or false, not yes"),
        ("window: 0", "window: must be 1 or more, not 0"),
        ("lookahead: maybe", "lookahead: must be auto, true or false, not maybe"),
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
            "early_terminate: {type: hyperband}",
            "early_terminate.max_resource: is required: the steps of a whole trial (only "
            "brackets: 1 goes without)",
        ),
        (
            "early_terminate: {type: medium}",
            "early_terminate.type: medium is not supported; did you mean median?",
        ),
        (
            "early_terminate: {warmup_steps: 1}",
            "early_terminate.type: is required: there is median, percentile, threshold, wilcoxon, "
            "asha, hyperband and patient",
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
        ("spaec: a:b", "spaec: unknown key; did you mean space?"),
        (
            "scheduler: {engine: wandb}",
            "scheduler: is W&B's: write a sampler as method, and its search space as space",
        ),
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
        (
            "method: tpe",
            "method: 3",
            "2: method: must be tpe, gp, cmaes, nsga2, nsga3, qmc, random, pbt, grid, brute "
            "or bayes, or module:factory, not 3",
        ),
        ("method: tpe\n", "", "1: method: is required"),
        (
            "trials: 20\n",
            "",
            "1: trials: is required: only methods grid and brute have an end of their own",
        ),
        ("trials: 20", "run_cap: 1.5", "4: run_cap: must be a whole number, not 1.5"),
        ("goal: maximize", "goal: max", "3: metric.goal: there is no max; did you mean maximize?"),
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


@pytest.mark.parametrize(("window", "line"), [("window: 4\n", 8), ("", 1)])
def test_window_below_the_slots(window, line):
    """Slots that a window could never fill are refused, whether it is written or not."""
    given = f"{BASE}{SPACE}deterministic: true\nconcurrency: 12\n{window}"
    lag = 4 if window else 8
    message = f"of {lag} lets {lag} trials run at once, and concurrency is 12: write 24"
    assert problems(given) == [f"digits.yaml:{line}: window: {message}"]


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
        "digits.yaml:1: trials: is required: only methods grid and brute have an end of their own",
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
