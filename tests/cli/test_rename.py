"""`sweep rename`: journal, directory and mirror have the new name, and the study runs on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, until

import sweep
from sweep.driver import renaming
from sweep.journal.journal import read_state
from sweep.paths import StudyPaths

HYPERBAND = {"type": "hyperband", "reduction_factor": 2, "mode": "stop", "max_resource": 4}


def begun(project: Project, **content: Any) -> Path:
    (project.root / "mended").touch()
    spec = project.spec("old", program="mended:train", trials=4, **content)
    assert project.call("run", "--inline", spec).returncode == 0
    return spec


def studies(project: Project) -> list[str]:
    return [each["study"] for each in json.loads(project.call("ls", "--json").stdout)]


@pytest.mark.parametrize("pruner", [None, HYPERBAND])
def test_a_study_runs_on(project: Project, pruner: dict[str, Any] | None) -> None:
    """By its new name alone it is known, resumed and replayed, also where a pruner uses names."""
    spec = begun(project, early_terminate=pruner)
    before = sweep.open_study(project.store / "old").trials
    done = project.call("rename", "old", "new")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "old: is called new now; in its YAML: name: new\n"
    assert studies(project) == ["new"]
    assert sweep.open_study(project.store / "new").trials.equals(before)
    assert "name: new\n" in (project.store / "new" / "spec.yaml").read_text()
    more = project.call("run", "--inline", spec, "--set", "name=new", "--set", "trials=8")
    assert more.returncode == 0, more.stderr
    assert "new: goes on: 4 of 8 trials are finished" in more.stdout
    replayed = project.call("replay", "new")
    assert replayed.returncode == 0, replayed.stdout
    assert project.call("verify", "new").returncode == 0


def test_a_mirror_that_is_a_directory(project: Project) -> None:
    """It is renamed with the study, has all of it, and brings it back."""
    mirror = project.root / "mirror"
    begun(project, checkpoint={"mirror": str(mirror), "every": {"epochs": 1}})
    done = project.call("rename", "old", "new", "--json")
    assert json.loads(done.stdout)["behind"] is None, done.stderr
    assert [path.name for path in mirror.iterdir()] == ["new"]
    pulled = project.call("pull", str(mirror / "new"), "--store", "elsewhere")
    assert pulled.returncode == 0, pulled.stderr
    there = read_state(StudyPaths.of(project.root / "elsewhere", "new").journal)
    assert there.spec["name"] == "new"
    assert len(there.trials) == 4


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("taken", 2, "is there already"),
        ("old", 2, "has that name already"),
        ("a/b", 2, "cannot name a directory"),
        (".hidden", 2, "cannot name a directory"),
    ],
)
def test_what_is_refused(project: Project, name: str, code: int, said: str) -> None:
    """A name that is taken, or is none, changes nothing."""
    begun(project)
    project.call("run", "--inline", project.spec("taken"))
    before = read_state(StudyPaths.of(project.store, "old").journal).seq
    done = project.call("rename", "old", name)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert read_state(StudyPaths.of(project.store, "old").journal).seq == before


def test_a_running_study_is_refused(project: Project) -> None:
    """While a driver runs it, a study keeps its name."""
    driver = project.start("run", "--inline", project.spec("s", program="odd:sleeps", trials=1))
    paths = StudyPaths.of(project.store, "s")
    until(lambda: paths.begun() and read_state(paths.journal).running)
    done = project.call("rename", "s", "new")
    assert (done.returncode, f"process {driver.pid}" in done.stderr) == (3, True)
    assert studies(project) == ["s"]


def test_a_kill_in_between(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the journal has the name, the study still runs, and the same call ends it."""
    begun(project)

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(renaming, "_move", killed)
        with pytest.raises(KeyboardInterrupt):
            renaming.rename_study(StudyPaths.of(project.store, "old"), "new")
    assert studies(project) == ["old"]
    assert project.call("resume", "--inline", "old", "--set", "trials=5").returncode == 0
    assert project.call("rename", "old", "new").returncode == 0
    assert studies(project) == ["new"]
    assert project.call("replay", "new").returncode == 0
