"""What a trial has reported."""

from __future__ import annotations

from collections.abc import Mapping


class Report(dict[str, float]):
    """Metrics by name, and the ``step`` that they were reported at."""

    def __init__(self, step: int, metrics: Mapping[str, float]) -> None:
        super().__init__(metrics)
        self.step = step

    def __repr__(self) -> str:
        return f"Report(step={self.step}, {dict(self)!r})"
