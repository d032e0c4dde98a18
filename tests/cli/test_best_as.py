"""`sweep best --as`: the parameters of the best trial, as other programs take them."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from conftest import Project
from ruamel.yaml import YAML

PARAMETERS = {
    "lr": {"value": 0.001},
    "name": {"value": "it's a: #name"},
    "wide": {"value": True},
    "augment": {"parameters": {"shift": {"value": 2}, "modes": {"values": [["a", "b c"]]}}},
}
NESTED = {
    "lr": 0.001,
    "name": "it's a: #name",
    "wide": True,
    "augment": {"shift": 2, "modes": ["a", "b c"]},
}


@pytest.fixture
def study(project: Project) -> Project:
    spec = project.spec("s", program="odd:returns_one", parameters=PARAMETERS, trials=3)
    assert project.call("run", "--inline", spec).returncode == 0
    return project


def test_every_form_reads_back(study: Project) -> None:
    """YAML and JSON read back as the parameters with their groups, arguments as dotted names."""
    assert YAML(typ="safe").load(study.call("best", "s", "--as", "yaml").stdout) == NESTED
    assert json.loads(study.call("best", "s", "--as", "json").stdout) == NESTED
    (line,) = study.call("best", "s", "--as", "args").stdout.splitlines()
    found: dict[str, Any] = dict(each[2:].split("=", 1) for each in shlex.split(line))
    assert found == {
        "lr": "0.001",
        "name": "it's a: #name",
        "wide": "true",
        "augment.shift": "2",
        "augment.modes": '["a", "b c"]',
    }


def test_several(study: Project) -> None:
    """With a number there is a list of so many, or a line of arguments each."""
    assert YAML(typ="safe").load(study.call("best", "s", "-n", "2", "--as", "yaml").stdout) == [
        NESTED,
        NESTED,
    ]
    assert json.loads(study.call("best", "s", "-n", "1", "--as", "json").stdout) == [NESTED]
    assert len(study.call("best", "s", "-n", "3", "--as", "args").stdout.splitlines()) == 3


def test_a_front(project: Project) -> None:
    """Of several objectives there is a list, the whole front."""
    spec = project.spec("s", program="mended:two", metric=[{"name": "a"}, {"name": "b"}], trials=4)
    assert project.call("run", "--inline", spec).returncode == 0
    front = json.loads(project.call("best", "s", "--json").stdout)
    found = json.loads(project.call("best", "s", "--as", "json").stdout)
    assert [each["params"] for each in front] == found


def test_what_cannot_be_given(project: Project) -> None:
    """Without a best trial nothing is printed for other programs, and the exit code says so."""
    project.call("run", "--inline", project.spec("s", program="odd:raises", trials=1, retries=0))
    for form in ("yaml", "json", "args"):
        done = project.call("best", "s", "--as", form)
        assert (done.returncode, done.stdout) == (3, "")
        assert "there is no best trial yet: 1 trial (1 failed)" in done.stderr
    assert project.call("best", "s", "--as", "toml").returncode == 2
