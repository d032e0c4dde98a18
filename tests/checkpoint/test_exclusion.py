"""Leaving parts of a state out, and putting fresh ones back."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from sweep.checkpoint.exclusion import completed, excluded, without


def states() -> dict:
    model = OrderedDict({"a.weight": 1, "a.running_mean": 2, "b.running_mean": 3})
    model._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]
    return {"model": model, "optimizer": {"state": {0: {"step": 4, "mean": 5}}, "groups": [6]}}


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("*.running_mean", [("model", "a.running_mean"), ("model", "b.running_mean")]),
        ("model.b.*", [("model", "b.running_mean")]),
        ("optimizer.state*.mean", [("optimizer", "state", 0, "mean")]),
        ("*].mean", [("optimizer", "state", 0, "mean")]),
        ("optimizer", [("optimizer",)]),
        ("running_mean", []),
    ],
)
def test_table(pattern: str, parts: list) -> None:
    """Patterns match whole paths; the outermost part that matches goes as a whole."""
    assert excluded(states(), [pattern]) == parts


def test_the_original_is_untouched_and_restored() -> None:
    """What is left out is gone from the copy alone, and comes back from a fresh state."""
    given = states()
    parts = excluded(given, ["*mean"])
    pruned = without(given, parts)
    assert given == states()
    assert pruned == {
        "model": {"a.weight": 1},
        "optimizer": {"state": {0: {"step": 4}}, "groups": [6]},
    }
    assert pruned["model"]._metadata == {"": {"version": 2}}
    fresh = states()
    fresh["model"]["a.running_mean"] = 20
    whole = completed(pruned, fresh, parts)
    assert whole["model"]["a.running_mean"] == 20
    assert whole["optimizer"] == states()["optimizer"]


def test_what_the_fresh_state_lacks_stays_out() -> None:
    """Nothing is made up where the object has no such part yet, and what belongs to it goes with
    it: an Adam that holds the step of a parameter, and no mean, fails at its next step."""
    given = states()
    parts = excluded(given, ["*].mean"])
    found = completed(without(given, parts), {"optimizer": {"state": {}}}, parts)
    assert found == {**given, "optimizer": {**given["optimizer"], "state": {}}}
