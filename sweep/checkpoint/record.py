"""One durable checkpoint, as the journal remembers it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Why a checkpoint was saved."""

    PERIODIC = "periodic"
    """The policy was due."""
    STOP = "stop"
    """The driver asked the trial to leave."""
    PRUNED = "pruned"
    """The driver pruned the trial."""
    FINAL = "final"
    """The function returned."""
    FORK = "fork"
    """Another trial's, from which this one goes on with other parameters."""


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
    """Bytes that were written for it, the manifest included."""
    saved: float
    """Unix time in seconds at which it was durable."""
    parent: str | None = None
    """Id of the checkpoint that the attempt saved before, or started from."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Latest value of each metric reported up to here."""

    def to_json(self) -> dict[str, Any]:
        """A plain dict; a metric may be NaN or infinite, which strict JSON does not know."""
        return dataclasses.asdict(self) | {"kind": str(self.kind), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CheckpointRecord:
        """The record that `to_json` made ``data`` of.

        Raises:
            TypeError: a field is missing or unknown.
            ValueError: the kind is unknown.
        """
        return cls(**{**data, "kind": Kind(data["kind"])})


def identifier(trial: int, epoch: int, global_step: int, kind: Kind) -> str:
    """Name of a position of a trial, such as ``3@7.420``, and ``3@10.600.final`` at the end."""
    return f"{trial}@{epoch}.{global_step}{_suffix(kind)}"


def manifest_name(
    trial: int, epoch: int, global_step: int, kind: Kind, *, session: int, attempt: int
) -> str:
    """Path of a manifest below ``checkpoints/manifests``; no two attempts share one."""
    position = f"{epoch:06d}.{global_step:09d}{_suffix(kind)}"
    return f"{trial:05d}/{position}-s{session:03d}a{attempt:02d}.json"


def _suffix(kind: Kind) -> str:
    return ".final" if kind is Kind.FINAL else ""
