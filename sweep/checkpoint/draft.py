"""A checkpoint that is about to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.checkpoint.record import Content, Kind, identifier, manifest_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What is known of a checkpoint before it is written. Fields as in `CheckpointRecord`."""

    trial: int
    attempt: int
    session: int
    kind: Kind
    epoch: int
    global_step: int
    step: int | None
    parent: str | None
    metrics: Mapping[str, float]
    meta: Mapping[str, Any]
    """See `Manifest.meta`."""
    content: Content = Content.FULL
    measured: tuple[str, ...] | None = None

    @property
    def id(self) -> str:
        return identifier(self.trial, self.epoch, self.global_step, self.kind, self.content)

    @property
    def manifest(self) -> str:
        return manifest_name(
            self.trial,
            self.epoch,
            self.global_step,
            self.kind,
            session=self.session,
            attempt=self.attempt,
            content=self.content,
        )
