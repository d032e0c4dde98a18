"""What a study does about trials that fail: what the sampler is told, and when the study halts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from sweep.spec.field import whole
from sweep.spec.problem import wrong
from sweep.spec.suggestion import brief


class Failing(StrEnum):
    """What the sampler is told of a trial that has failed."""

    WORST = "worst"
    """It counts as worse than all results, so that its neighbourhood is avoided."""
    IGNORE = "ignore"
    """Nothing."""


def _max_failures(given: Any) -> Any:
    if given in ("alike", "none"):
        return given
    number = None if given is None or isinstance(given, str) else whole(given)
    if number is None or number < 1:
        raise wrong(f"must be alike, none or a whole number from 1 on, not {brief(given)}")
    return number


MaxFailures = Annotated[
    int | Literal["alike", "none"],
    BeforeValidator(_max_failures),
    WithJsonSchema({"anyOf": [{"enum": ["alike", "none"]}, {"type": "integer", "minimum": 1}]}),
]
