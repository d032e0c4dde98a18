"""`sweep logs`: what trials printed, of all attempts, also while they run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Project, until

from sweep.cli.logs import Tail
from sweep.journal.event import TrialAsked, TrialFinished, TrialState
from sweep.journal.maintenance import maintenance
from sweep.paths import StudyPaths


def with_logs(project: Project, trials: int = 2) -> StudyPaths:
    """A complete study of which workers would have left these logs."""
    assert project.call("run", "--inline", project.spec("s", trials=trials)).returncode == 0
    paths = StudyPaths.of(project.store, "s")
    paths.log(0).parent.mkdir()
    paths.log(0).write_bytes(b"first attempt\nhalf a l")
    with paths.log(0).open("ab") as file:
        file.write(b"ine\nsecond attempt \xff\nno end")
    paths.log(1).write_text("other\n")
    return paths


def test_a_trial(project: Project) -> None:
    """All of its attempts are printed, to the last line; so are the last few lines alone."""
    with_logs(project)
    whole = "first attempt\nhalf a line\nsecond attempt \ufffd\nno end\n"
    assert project.call("logs", "s/0").stdout == whole
    assert project.call("logs", "s/0", "-n", "2").stdout == "second attempt \ufffd\nno end\n"
    assert project.call("logs", "s/0", "-n", "0").stdout == ""
    assert project.call("logs", "s/0", "-f").stdout == whole
    lines = [json.loads(line) for line in project.call("logs", "s/1", "--json").stdout.splitlines()]
    assert lines == [{"trial": 1, "line": "other"}]


def test_a_study(project: Project) -> None:
    """The logs of all trials are printed in their order, each under its title."""
    with_logs(project)
    printed = project.call("logs", "s", "-n", "1").stdout
    assert printed == "==> trial 0 <==\nno end\n\n==> trial 1 <==\nother\n"


def test_what_has_no_log(project: Project) -> None:
    """A trial that is none, or has printed to no file, is named; the exit code says so."""
    paths = with_logs(project, trials=3)
    for name, said in (("s/9", "has no trial 9"), ("s/2", "s/2: there is no log")):
        done = project.call("logs", name)
        assert (done.returncode, said in done.stderr) == (3, True)
    for number in (0, 1):
        paths.log(number).unlink()
    assert project.call("logs", "s").returncode == 3


@pytest.mark.parametrize("follows", ["s/0", "s"])
def test_it_follows_a_running_trial(project: Project, follows: str) -> None:
    """Lines come as they are written, with the next attempt's, until the trial is over."""
    project.call("run", "--inline", project.spec("s", trials=1))
    paths = StudyPaths.of(project.store, "s")
    with maintenance(paths, "test") as held:
        asked = held.state.trials[0].asked
        assert isinstance(asked, TrialAsked)
        held.record(TrialAsked(**{n: getattr(asked, n) for n in asked.__slots__} | {"trial": 1}))
        number = follows.replace("/0", "/1")
        paths.log(1).parent.mkdir()
        paths.log(1).write_text("one\n")
        process = project.start("logs", number, "-f", "--json")
        seen = [json.loads(process.stdout.readline())]
        with paths.log(1).open("a") as file:
            file.write("tw")
            file.flush()
            file.write("o\nrest")
        seen.append(json.loads(process.stdout.readline()))
        held.record(
            TrialFinished(trial=1, attempt=1, state=TrialState.FAILED, value=None, checkpoint=None)
        )
        if follows != "s":  # of a study, the log is followed as long as somebody runs it
            assert process.wait(30) == 0
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    seen += map(json.loads, rest.splitlines())
    assert [each["line"] for each in seen] == ["one", "two", "rest"]


def test_a_log_that_was_begun_anew(tmp_path: Path) -> None:
    """Where a log was cut to bound its size, it is read from its new beginning."""
    path = tmp_path / "00000.log"
    path.write_text("a long line\n")
    tail = Tail(0, path)
    assert tail.new(last=False) == ["a long line"]
    path.write_text("short\n")
    assert tail.new(last=True) == ["short"]


@pytest.mark.long
def test_a_worker_is_followed(project: Project) -> None:
    """On Ray, the prints of a real trial come while it runs, and it ends with the trial."""
    spec = project.spec("s", program="mended:prints", trials=1)
    driver = project.start("run", spec)
    paths = StudyPaths.of(project.store, "s")
    until(lambda: paths.log(0).exists() and paths.begun())
    process = project.start("logs", "s/0", "-f")
    assert process.stdout.readline() == "line 0\n"
    (project.root / "go").touch()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1] == "done"
    assert driver.wait(60) == 0
