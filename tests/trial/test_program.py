"""From a name to a function, or one clear line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from trial_harness import Runner

from sweep.errors import ProgramError
from sweep.trial.attempt import load_program
from sweep.trial.outcome import Outcome


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(project: Path, name: str, text: str) -> str:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(project)


def test_function_of_a_package(tmp_path: Path) -> None:
    """A function is found in a folder of the project, with and without an __init__.py."""
    project = write(tmp_path, "experiments/cnn.py", "def train(trial): return 1")
    assert load_program("experiments.cnn:train", project)(None) == 1
    assert sys.path[0] == project
    load_program("experiments.cnn:train", project)
    assert sys.path.count(project) == 1


def test_attribute_of_an_object(tmp_path: Path) -> None:
    """The function may be a method or whatever is callable."""
    project = write(
        tmp_path, "classy.py", "class Net:\n  @staticmethod\n  def fit(trial): return 2"
    )
    assert load_program("classy:Net.fit", project)(None) == 2


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("broken", "must read module:function"),
        ("broken:", "must read module:function"),
        (":train", "must read module:function"),
        ("nowhere.cnn:train", "there is no module 'nowhere' in {project}"),
        ("good.deeper:train", "there is no module 'good.deeper' in {project}"),
        ("good:trian", "good ({project}/good.py) has no 'trian'; did you mean train?"),
        ("good:NUMBER", "NUMBER is int, not a function"),
        ("good:none", "its parameters are (); it must take one argument, the trial"),
        ("good:two", "its parameters are (trial, other); it must take one argument"),
        ("needs:train", "importing needs failed: ModuleNotFoundError: No module named 'not_there'"),
        ("raises:train", "importing raises failed: ValueError: first ({project}/raises.py:2)"),
        ("exits:train", "importing exits failed: SystemExit: 3 ({project}/exits.py:2)"),
        ("syntax:train", "importing syntax failed: SyntaxError: "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, program: str, line: str) -> None:
    """Whatever is wrong with a program, one line says what and where."""
    write(
        tmp_path,
        "good.py",
        "NUMBER = 1\ndef train(trial): pass\ndef none(): pass\ndef two(trial, other): pass",
    )
    write(tmp_path, "needs.py", "import not_there")
    write(tmp_path, "raises.py", "\nraise ValueError('first\\nsecond')")
    write(tmp_path, "exits.py", "import sys\nsys.exit(3)")
    write(tmp_path, "syntax.py", "def")
    with pytest.raises(ProgramError) as caught:
        load_program(program, str(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"program {program!r}: ")
    assert line.format(project=tmp_path) in message
    assert "\n" not in message


def test_same_name_in_another_project(tmp_path: Path) -> None:
    """A worker that has run one project takes the next one's module of the same name."""
    one = write(tmp_path / "one", "jobs/cnn.py", "def train(trial): return 1")
    two = write(tmp_path / "two", "jobs/cnn.py", "def train(trial): return 2")
    assert load_program("jobs.cnn:train", one)(None) == 1
    assert load_program("jobs.cnn:train", two)(None) == 2
    again = load_program("jobs.cnn:train", two)
    assert load_program("jobs.cnn:train", two) is again


def test_attempt_of_a_broken_program_fails(tmp_path: Path) -> None:
    """A worker that cannot import the program ends the attempt with the users' traceback."""
    project = write(tmp_path, "broken_job.py", "def helper():\n    1 / 0\nhelper()")
    link = Runner(tmp_path / "store", "broken_job:train", project=project).run()
    assert link.ended.outcome is Outcome.FAILED
    assert link.ended.reason is not None
    assert "importing broken_job failed: ZeroDivisionError" in link.ended.reason
    assert link.ended.error is not None
    assert link.ended.error.splitlines()[1].startswith(f'  File "{tmp_path}/broken_job.py"')
