"""What a tracker is to the rest of the program."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from sweep.errors import UsageError
from sweep.integration.account import Told
from sweep.paths import StudyPaths

Marks = dict[str, Any]
"""What a tracker wants to be reminded of when it is opened again, as JSON."""


class Sink(Protocol):
    """One tracker, opened. Of one thread.

    It is told of everything once, in order, except that a kill or a failure may come between its
    `commit` and the note of it: then it is told again what it may have already. Each finds out in
    its own way what it has, so that nothing is there twice.

    Attributes:
        to: where it sends to, for people.
    """

    to: str

    def take(self, told: Told) -> None:
        """Gather what is to be sent. Costs nothing and never fails."""

    def commit(self) -> Marks:
        """Send what was gathered; durable there when this returns. Called again after a failure.

        Raises:
            Forgotten: what was sent before is not there any more.
            Exception: whatever the library raises.
        """


class Forgotten(Exception):  # noqa: N818  no error: all is sent again
    """A tracker has lost what it was sent, and is to be told from the beginning."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The study that is tracked: its name, its place, and what identifies it for ever."""

    name: str
    paths: StudyPaths
    id: str


LIBRARIES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


def check_library(name: str) -> None:
    """Raise `UsageError` where the library that the tracker ``name`` needs is not installed."""
    if find_spec(LIBRARIES[name]) is None:
        raise UsageError(
            f"trackers: {name} needs {LIBRARIES[name]}, which is not installed: "
            "pip install 'sweep[trackers]'"
        )
