"""One durable checkpoint, as the journal remembers it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sweep.errors import CheckpointVersionError


class Kind(StrEnum):
    """Why a checkpoint was saved."""

    PERIODIC = "periodic"
    """The policy was due."""
    STOP = "stop"
    """The driver asked the trial to leave."""
    PRUNED = "pruned"
    """The driver pruned the trial."""
    PAUSED = "paused"
    """The driver gave the trial's slot to another one."""
    FINAL = "final"
    """The function returned."""
    MANUAL = "manual"
    """The trial asked for it."""
    IMPROVEMENT = "improvement"
    """A metric was better than ever."""
    FORK = "fork"
    """Another trial's checkpoint, from which this trial starts."""


class Content(StrEnum):
    """How much of the state a checkpoint holds. Only a full one may be restored into training."""

    FULL = "full"
    """All that is tracked, with generators and position."""
    PARTIAL = "partial"
    """Chosen components."""
    LIGHT = "light"
    """Metrics and parameters only."""


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """Where a trial stood when it was saved, and the file that holds it."""

    id: str
    """`identifier` of its position: equal in an interrupted and an uninterrupted run."""
    trial: int
    attempt: int
    session: int
    kind: Kind
    epoch: int
    """Completed epochs; outside ``epochs()`` completed reports."""
    global_step: int
    """Completed calls of ``trial.step()``."""
    step: int | None
    """Step of the last report it contains; None before the first."""
    manifest: str
    """Path of the manifest relative to ``checkpoints/manifests``."""
    digest: str
    """SHA-256 of the manifest file, in hex."""
    bytes: int
    """Size of all it refers to, the manifest included."""
    new_bytes: int
    """Bytes that were written for it, the manifest included; the rest was there already."""
    saved: float
    """Unix time in seconds at which it was durable."""
    parent: str | None = None
    """Id of the checkpoint that the attempt saved before, or started from."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Latest value of each metric reported up to here."""
    measured: tuple[str, ...] | None = None
    """Those metrics that were reported of this very state; the others are of an earlier one. None
    where all were, or where an older version did not say."""
    content: Content = Content.FULL
    shared: tuple[tuple[str, int], ...] = ()
    """Files that other checkpoints may share: a name, which begins with 16 hex digits of the
    content's digest, and the size on the disk in bytes."""

    def value(self, metric: str) -> float | None:
        """What was measured of this state; None where ``metric`` was not, or is NaN."""
        if self.measured is not None and metric not in self.measured:
            return None
        value = self.metrics.get(metric)
        return None if value is None or math.isnan(value) else value

    def to_json(self) -> dict[str, Any]:
        """A plain dict; a metric may be NaN or infinite, which strict JSON does not know."""
        return dataclasses.asdict(self) | {
            "kind": str(self.kind),
            "metrics": dict(self.metrics),
            "measured": None if self.measured is None else list(self.measured),
            "content": str(self.content),
            "shared": [list(file) for file in self.shared],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CheckpointRecord:
        """The record that `to_json` made ``data`` of.

        Raises:
            TypeError: a field is missing.
            CheckpointVersionError: a field, the kind or the content is unknown: a newer version of
                this package wrote it.
        """
        if not data.keys() <= _FIELDS or not (
            data.get("kind") in set(Kind) and data.get("content", Content.FULL) in set(Content)
        ):
            raise CheckpointVersionError(
                f"checkpoint {data.get('id')}: is described in a way that this sweep does not "
                "know: it was written by a newer one; update sweep"
            )
        return cls(
            **{
                **data,
                "kind": Kind(data["kind"]),
                "measured": None if (names := data.get("measured")) is None else tuple(names),
                "content": Content(data.get("content", Content.FULL)),
                "shared": tuple((name, size) for name, size in data.get("shared", ())),
            }
        )


_FIELDS = {field.name for field in dataclasses.fields(CheckpointRecord)}


def identifier(
    trial: int, epoch: int, global_step: int, kind: Kind, content: Content = Content.FULL
) -> str:
    """Name of a position of a trial, such as ``3@7.420``, and ``3@10.600.final`` at the end.

    A partial one is ``3@7.420.partial``, since a full one may be saved at the same position.
    """
    return f"{trial}@{epoch}.{global_step}{_suffix(kind, content)}"


def manifest_name(
    trial: int,
    epoch: int,
    global_step: int,
    kind: Kind,
    *,
    session: int,
    attempt: int,
    content: Content = Content.FULL,
) -> str:
    """Path of a manifest below ``checkpoints/manifests``; no two attempts share one."""
    position = f"{epoch:06d}.{global_step:09d}{_suffix(kind, content)}"
    return f"{trial:05d}/{position}-s{session:03d}a{attempt:02d}.json"


def _suffix(kind: Kind, content: Content) -> str:
    if kind is Kind.FINAL:
        return ".final"
    return ".partial" if content is Content.PARTIAL else ""
