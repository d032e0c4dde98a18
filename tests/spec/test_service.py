"""A file of W&B's runs as it is: what only its service knows is read past."""

from __future__ import annotations

import logging

import pytest
from spec_text import BASE, SPACE

from sweep.spec import parse_spec

KEYS = {
    "apiVersion": "0.1",
    "command": "[python, train.py]",
    "controller": "{type: local}",
    "entity": "me",
    "image_uri": "here",
    "job": "some",
    "kind": "sweep",
    "project": "p",
}


@pytest.mark.parametrize("key", KEYS)
def test_keys_of_the_service_are_ignored(key: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each stops nothing, changes nothing, and is named in one line."""
    plain = parse_spec(BASE + SPACE, "digits.yaml")
    caplog.clear()
    assert parse_spec(f"{BASE}{SPACE}{key}: {KEYS[key]}\n", "digits.yaml") == plain
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    line = record.getMessage()
    assert line.startswith(f"digits.yaml:6: {key}: ")
    assert "ignored" in line


@pytest.mark.parametrize("key", ["target: 0.9", "impute: best", "impute_while_running: worst"])
def test_keys_of_the_metric_are_ignored(key: str, caplog: pytest.LogCaptureFixture) -> None:
    text = BASE.replace("goal: maximize", f"goal: maximize, {key}") + SPACE
    assert parse_spec(text, "digits.yaml") == parse_spec(BASE + SPACE, "digits.yaml")
    assert caplog.records[0].getMessage().startswith(f"digits.yaml:3: metric.{key.split(':')[0]}: ")


def test_keys_of_several_metrics_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """In a list of objectives as in a single one."""
    several = "metric: [{name: a, target: 1}, {name: b, impute: best}]"
    parse_spec(BASE.replace("metric: {name: accuracy, goal: maximize}", several) + SPACE)
    said = [record.getMessage().split(": ")[1] for record in caplog.records]
    assert said == ["metric[1].impute", "metric[0].target"]


def test_nothing_is_said_of_a_file_that_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """The errors of a bad file stand alone."""
    with pytest.raises(ValueError, match="trails"):
        parse_spec(f"{BASE}{SPACE}project: p\ntrails: 3\n")
    assert not caplog.records
