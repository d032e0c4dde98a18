"""The ranges that a sampler proposes values from; it knows no others."""

from __future__ import annotations

from dataclasses import dataclass

TAIL = 1e-9
"""How far the latent range (0, 1) keeps off its ends, where inverse CDFs are infinite."""


@dataclass(frozen=True, slots=True)
class Real:
    """Numbers from ``low`` to ``high``, both included; ``log``: proposed evenly in their logs."""

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True, slots=True)
class Integer:
    """Whole numbers from ``low`` to ``high``, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the indices below ``size``."""

    size: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """Nothing to choose: the latent value is None."""


Latent = Real | Integer | Choice | Fixed

UNIT = Real(TAIL, 1 - TAIL)
