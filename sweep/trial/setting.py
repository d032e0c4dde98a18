"""The constants of an attempt, as its assignment gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.checkpoint.policy import Policy, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What does not change during an attempt. Fields as in `sweep.trial.message.Assignment`."""

    trial: int = 0
    attempt: int = 1
    session: int = 0
    seed: int
    """The trial's own seed, of 32 bits."""
    policy: Policy = field(default_factory=Policy)
    scope: Scope = field(default_factory=Scope)
    metric: str = ""
    verdicts: bool = False
    held: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Written into each manifest."""
