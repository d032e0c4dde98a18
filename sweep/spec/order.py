"""In which order results count: as they come, or by their turns (``deterministic: true``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from sweep.spec.problem import Problem, wrong
from sweep.spec.suggestion import brief

WINDOW = 8
"""The default of ``window``. The same on every machine: what a study finds depends on it."""


def _lookahead(given: Any) -> Any:
    if given != "auto" and not isinstance(given, bool):
        raise wrong(f"must be auto, true or false, not {brief(given)}")
    return given


Lookahead = Annotated[
    bool | Literal["auto"],
    BeforeValidator(_lookahead),
    WithJsonSchema({"enum": ["auto", True, False]}),
]


def order_problems(window: int | None, concurrency: int | None) -> Iterator[Problem]:
    """What does not go together with results in the order of turns (``window`` is None without)."""
    if window is not None and concurrency is not None and concurrency > window:
        message = (
            f"of {window} lets {window} trials run at once, and concurrency is {concurrency}: "
            f"write {2 * concurrency}"
        )
        yield Problem(("window",), message)
