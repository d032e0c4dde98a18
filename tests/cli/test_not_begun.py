"""A study that was killed in its first instant: named alike by every command, and no damage."""

from __future__ import annotations

import json

import pytest
from conftest import Project

COMMANDS = [
    ("show", "s"),
    ("show", "s/0"),
    ("best", "s"),
    ("resume", "s"),
    ("replay", "s"),
    ("gc", "s"),
    ("gc", "s", "--dry-run"),
    ("verify", "s"),
    ("verify", "s", "--repair"),
    ("migrate", "s"),
    ("migrate", "s", "--dry-run"),
    ("fork", "s/0"),
    ("export", "s/0", "--to", "model.pt"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("journal", [True, False], ids=["an empty journal", "an empty directory"])
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_every_command_says_so(
    project: Project, command: tuple[str, ...], journal: bool, form: tuple[str, ...]
) -> None:
    """One line on the standard error, exit code 3, nothing printed and nothing written."""
    root = project.store / "s"
    (root / "journal" if journal else root).mkdir(parents=True)
    before = sorted(project.root.rglob("*"))
    done = project.call(*command, *form)
    assert done.returncode == 3
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    begin = "the study has not begun; run its YAML again"
    says = begin if journal else "no study 's'; there is none; give another --store?"
    assert says in line
    assert sorted(project.root.rglob("*")) == before


def test_a_list_of_studies_says_so(project: Project) -> None:
    """`sweep ls` has it as a study that has not begun, and `sweep resume` passes over it."""
    (project.store / "s" / "journal").mkdir(parents=True)
    assert "not begun" in project.call("ls").stdout
    assert json.loads(project.call("ls", "--json").stdout) == [
        {"study": "s", "status": "not begun"}
    ]
    assert project.call("resume").returncode == 0


def test_a_lost_journal_is_damage(project: Project) -> None:
    """Where a checkpoint says that there was more, `sweep verify` finds what is missing."""
    spec = project.spec("s", program="odd:raises_once", trials=1)
    assert project.run("run", "--inline", spec).returncode == 0
    for segment in (project.store / "s" / "journal").glob("*.parquet"):
        segment.unlink()
    done = project.call("verify", "s")
    assert done.returncode == 1
    assert "is empty, but there are checkpoints" in done.stdout
