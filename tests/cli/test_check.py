"""`sweep check`, and `sweep run --dry-run`: a spec is judged, and nothing is run or written."""

from __future__ import annotations

import json
import sys

import pytest
from conftest import Project


def test_a_spec_that_can_run(project: Project) -> None:
    """It is described in a line; there is no store afterwards."""
    done = project.call("check", project.spec("s"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("s.yaml: ok: s: 3 trials, random over 1 parameter, minimize loss\n")
    assert not project.store.exists()
    assert project.call("run", "--dry-run", "s.yaml").stdout == done.stdout.replace(
        f"{project.root}/", ""
    )
    assert not project.store.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"trails": 3}, "trails: unknown key; did you mean trials?"),
        ({"program": "odd:nothing"}, "has no 'nothing'"),
        ({"program": "nowhere:train"}, "there is no module 'nowhere'"),
        ({"program": "odd:NOT_CALLABLE"}, "is int, not a function"),
        ({"method": "odd:returns_loss"}, "method"),
    ],
)
def test_a_spec_that_cannot(project: Project, content: dict[str, object], said: str) -> None:
    """What is wrong is said as a run says it, and so is the exit code."""
    spec = project.spec("s", **content)
    done = project.call("check", spec)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert project.call("run", "--dry-run", spec).stderr == done.stderr
    document = json.loads(project.call("check", spec, "--json").stdout)
    assert not document["ok"]
    assert any(said in problem for problem in document["problems"])
    assert not project.store.exists()


def test_without_an_import(project: Project) -> None:
    """The program is left alone where one asks for that."""
    (project.root / "loud.py").write_text("raise SystemExit('imported')")
    spec = project.spec("s", program="loud:train")
    assert project.call("check", spec).returncode == 2
    sys.modules.pop("loud", None)
    assert project.call("check", "--no-import", spec).returncode == 0
    assert "loud" not in sys.modules


def test_many_at_once(project: Project) -> None:
    """Each file is judged, in its order, whatever is wrong with others; two names are no match."""
    good, bad = project.spec("good"), project.spec("bad", trials=0)
    twin = project.spec("twin", name="good")
    done = project.call("check", good, bad, twin, "--json")
    assert done.returncode == 2
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["ok"] for each in found] == [False, False, False]
    assert "another of these sweeps is called 'good'" in found[0]["problems"][0]
    assert project.call("check", good, bad).stdout.startswith(str(good))


def test_a_study_that_exists(project: Project) -> None:
    """It says what would be changed and what is left to run, refuses what a run refuses, and the
    journal stays as it is."""
    spec = project.spec("s")
    project.call("run", "--inline", spec)
    before = sorted((project.store / "s").rglob("*"))
    done = project.call("check", spec, "--set", "trials=5")
    assert done.returncode == 0
    assert "s: trials: 3 -> 5\n" in done.stdout
    assert "s: would resume: 3 of 5 trials are finished\n" in done.stdout
    for options in ([], ["--no-import"]):
        other = project.call("check", spec, "--set", "parameters.x.max=2.0", *options)
        assert (other.returncode, "another spec" in other.stderr) == (2, True)
    assert project.call("check", spec, "--set", "seed=3", "--accept-changes").returncode == 0
    assert sorted((project.store / "s").rglob("*")) == before
