"""`sweep ls`: what drivers have left, and what the journal says where that is old or gone."""

from __future__ import annotations

import json
import shutil
from typing import Any

from conftest import Project

from sweep.driver import summary


def listed(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.call("ls", "--json").stdout)
    return found


def test_a_summary_says_what_the_journal_says(project: Project, monkeypatch: Any) -> None:
    """A study is listed alike with what its driver has left and without; journals are not read."""
    metric = [{"name": "loss"}, {"name": "x", "goal": "maximize"}]
    assert project.call("run", "--inline", project.spec("one", trials=3)).returncode == 0
    two = project.spec("two", program="both:train", metric=metric)
    program = "def train(trial):\n    trial.report(loss=trial.params.x, x=trial.params.x)\n"
    (project.root / "both.py").write_text(program)
    assert project.call("run", "--inline", two).returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr(summary, "summary", None)
        kept = listed(project)
    assert [each["status"] for each in kept] == ["complete", "complete"]
    assert [each["study"] for each in kept] == ["one", "two"]
    for name in ("one", "two"):
        shutil.rmtree(project.store / name / "tables")
    assert listed(project) == kept


def test_an_old_summary_does_not_count(project: Project) -> None:
    """After a fork, which no driver has run yet, the study is listed as it is now."""
    spec = project.spec("s", program="exact:train", trials=2, parameters=PARAMETERS)
    assert project.call("run", "--inline", spec).returncode == 0
    assert listed(project)[0]["trials"] == 2
    forked = project.call("fork", "s/0", "--set", "lr=0.02", "--set", "epochs=5", "--force")
    assert forked.returncode == 0, forked.stderr
    (found,) = listed(project)
    assert (found["trials"], found["status"]) == (3, "queued")


def test_a_copied_study_has_the_name_of_its_directory(project: Project) -> None:
    """That is what other commands know it by."""
    assert project.call("run", "--inline", project.spec("s")).returncode == 0
    shutil.copytree(project.store / "s", project.store / "copy")
    assert [each["study"] for each in listed(project)] == ["copy", "s"]


def test_a_foreign_summary_is_passed_over(project: Project) -> None:
    """One that is torn, of another version, or no summary at all."""
    assert project.call("run", "--inline", project.spec("s")).returncode == 0
    kept, file = listed(project), project.store / "s" / "tables" / "summary.json"
    whole = json.loads(file.read_text())
    for content in ("{", "[]", json.dumps(whole | {"format": 99})):
        file.write_text(content)
        assert listed(project) == kept


PARAMETERS = {"width": {"value": 4}, "epochs": {"value": 3}, "lr": {"min": 0.01, "max": 0.1}}
