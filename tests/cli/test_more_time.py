"""Studies that have reached their timeout, and `--set` for those that exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Project

from sweep.journal.journal import read_state
from sweep.paths import StudyPaths

TIMED_OUT = 124


@pytest.fixture
def out_of_time(project: Project) -> Path:
    """The spec of a study that has reached its timeout with one of 20 trials done."""
    spec = project.spec("s", program="mended:slow", trials=20, timeout="0.4s", seed=1)
    done = project.call("run", "--inline", spec)
    assert done.returncode == TIMED_OUT, done.stderr
    assert "for more time: sweep resume s --set timeout=0.8s (or without a limit" in done.stdout
    return spec


def test_a_resume_says_how_to_go_on(project: Project, out_of_time: Path) -> None:
    """Each way to go on says how to raise the timeout, and does not claim success."""
    more = "for more time: sweep resume s --set timeout=0.8s"
    for arguments in (["resume", "s"], ["resume"], ["run", "--inline", str(out_of_time)]):
        done = project.call(*arguments)
        assert (done.returncode, more in done.stdout) == (TIMED_OUT, True), arguments
    document = json.loads(project.call("resume", "s", "--json").stdout.splitlines()[-1])
    assert document["reason"] == "timeout"


def test_a_resume_with_more_time(project: Project, out_of_time: Path) -> None:
    """The advice works: the study is complete, and a later resume knows the new timeout."""
    (project.root / "mended").touch()
    done = project.call("resume", "--inline", "s", "--set", "timeout=null")
    assert done.returncode == 0, done.stderr
    assert "s: timeout: 0.4 -> none\n" in done.stdout
    assert "20 trials (20 complete)" in done.stdout
    assert read_state(StudyPaths.of(project.store, "s").journal).spec["timeout"] is None
    assert project.call("resume", "s").returncode == 0
    assert project.call("replay", "s").returncode == 0


def test_more_trials(project: Project) -> None:
    """A resume takes what a run takes: more trials, say; the space stays as it was accepted."""
    spec = project.spec("s", parameters={"x": {"min": 0.0, "max": 1.0}, "n": {"value": 3}})
    project.call("run", "--inline", spec)
    spec.unlink()
    done = project.call("resume", "--inline", "s", "--set", "trials=5", "--json")
    assert done.returncode == 0, done.stderr
    first, *_, last = map(json.loads, done.stdout.splitlines())
    assert first["changes"] == [{"path": "trials", "old": "3", "new": "5"}]
    assert last["states"] == {"COMPLETE": 5}
    assert project.call("replay", "s").returncode == 0


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("trails=5", 2, "--set trails=5: trails: unknown key; did you mean trials?"),
        ("name=other", 2, "sweep rename s other"),
        ("parameters.x.max=2.0", 2, "--accept-changes"),
        ("metric.goal=maximize", 2, "its results would not fit"),
    ],
)
def test_what_cannot_be_set(project: Project, setting: str, code: int, said: str) -> None:
    """A setting that makes no sense, or another study of it, is refused, and nothing is written."""
    project.call("run", "--inline", project.spec("s"))
    before = read_state(StudyPaths.of(project.store, "s").journal).seq
    done = project.call("resume", "s", "--set", setting)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert read_state(StudyPaths.of(project.store, "s").journal).seq == before


def test_a_setting_needs_a_study(project: Project) -> None:
    """A setting for all studies at once is refused."""
    assert project.call("resume", "--set", "trials=5").returncode == 2


def test_a_retry_beyond_the_timeout_is_kept(project: Project) -> None:
    """What was to be retried when the timeout was reached runs as soon as there is more time."""
    spec = project.spec("s", program="mended:train", trials=2, retries=0)
    assert project.call("run", "--inline", spec).returncode == 1
    (project.root / "mended").touch()
    changed = project.call("resume", "--inline", "s", "--set", "trials=3", "--set", "timeout=0.001")
    assert changed.returncode == TIMED_OUT
    assert project.call("retry", "--inline", "s").returncode == TIMED_OUT
    assert project.call("resume", "--inline", "s", "--set", "timeout=null").returncode == 0
    assert project.call("replay", "s").returncode == 0
