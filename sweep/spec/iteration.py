"""W&B's names for rungs: ``min_iter``, ``max_iter``, ``s``, ``eta`` and ``strict``.

What W&B calls the brackets of its hyperband are the rungs of one bracket here: from ``min_iter`` on
each is ``eta`` times the one before, without an end; or there are ``s`` of them below ``max_iter``,
which is then ``eta`` times the highest. (W&B rounds each of those down by itself: ``max_iter: 100,
s: 2, eta: 4`` is 6 and 25 there, and 6 and 24 here.) As there, ``s`` says nothing beside
``min_iter`` alone, and ``min_iter`` nothing beside ``max_iter`` and ``s``. ``strict`` lets only the
best go on, which is what is always done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.spec.field import whole
from sweep.spec.problem import Problem, wrongs
from sweep.spec.suggestion import brief

SYNONYMS: Mapping[str, str] = {
    "min_iter": "min_resource",
    "max_iter": "max_resource",
    "eta": "reduction_factor",
}
"""W&B's name of a key, and ours."""

OTHERS = ("s", "strict")
"""Further keys of W&B's."""

_COUNT = {"type": "integer", "minimum": 1}

SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "min_iter": _COUNT | {"description": "W&B's name of min_resource."},
    "max_iter": _COUNT | {"description": "W&B's name of max_resource."},
    "eta": {"type": "integer", "minimum": 2, "description": "W&B's name of reduction_factor."},
    "s": {
        "type": "integer",
        "minimum": 0,
        "description": "With max_iter: how many rungs lie below it; without it, it says nothing.",
    },
    "strict": {"type": "boolean", "description": "W&B's; only the best ever go on here."},
}
"""What an editor should know of each key."""


def read_iterations(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """``given`` in our words, where it is in W&B's.

    Raises:
        PydanticCustomError: a key is wrong, or stands beside another that means the same.
    """
    theirs = [key for key in (*SYNONYMS, *OTHERS) if key in given]
    if not theirs:
        return given
    twice = [key for key in theirs if SYNONYMS.get(key) in given]
    if twice:
        raise wrongs([Problem((key,), f"means the same as {SYNONYMS[key]}") for key in twice])
    rungs = [key for key in theirs if key in ("min_iter", "max_iter", "s")]
    for key in theirs:
        _check(key, given[key])
    read = {SYNONYMS.get(key, key): value for key, value in given.items() if key not in OTHERS}
    if "s" in given and not ("min_iter" in given and "max_iter" not in given):
        read |= _below_top(given)
    elif "max_iter" in given and "min_iter" not in given and given["type"] == "hyperband":
        message = "is required with max_iter: how many rungs lie below it; or give min_iter"
        raise wrongs([Problem(("s",), message)])
    if rungs and given["type"] == "hyperband":
        read.setdefault("brackets", 1)
    return read


def _below_top(given: Mapping[str, Any]) -> dict[str, int]:
    if "max_iter" not in given:
        message = "needs max_iter, below which so many rungs lie; or write min_iter, the first rung"
        raise wrongs([Problem(("s",), message)])
    top, factor = whole(given["max_iter"]), whole(given.get("eta", 3))
    rungs = whole(given["s"])
    if not rungs:
        raise wrongs([Problem(("s",), "must be 1 or more with max_iter, not 0")])
    while factor**rungs > top:
        rungs -= 1  # as W&B leaves out what lies below the first iteration
    if not rungs:
        raise wrongs([Problem(("max_iter",), f"must be {factor} or more, not {top}")])
    lowest = top // factor**rungs
    return {"min_resource": lowest, "max_resource": lowest * factor**rungs}


def _check(key: str, value: Any) -> None:
    if key == "strict":
        if not isinstance(value, bool):
            raise wrongs([Problem((key,), f"must be true or false, not {brief(value)}")])
        return
    number = value if not isinstance(value, float) or not value.is_integer() else int(value)
    least = {"eta": 2, "s": 0}.get(key, 1)
    if isinstance(number, bool) or not isinstance(number, int):
        raise wrongs([Problem((key,), f"must be a whole number, not {brief(value)}")])
    if number < least:
        raise wrongs([Problem((key,), f"must be {least} or more, not {brief(value)}")])
