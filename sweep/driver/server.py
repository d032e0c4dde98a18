"""The port to what holds workers on nodes: in practice Ray, see `sweep.driver.cluster`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sweep.driver.node import Node
from sweep.spec import Resources


@dataclass(frozen=True, slots=True)
class Death:
    """What has died of a server, in words. ``orderly``: workers can still be reached, and save."""

    what: str
    orderly: bool = False


class LostError(Exception):
    """A call has no result: the worker, its node, or the way to it is gone.

    Raised by `Server.result` and handled in the pool; no user sees it.
    """

    def __init__(self, reason: str, detail: str = "", *, blameless: bool = False) -> None:
        """``reason`` in a line; ``detail`` is all that the server says; ``blameless`` where it is
        certain that nothing which the worker ran is at fault."""
        super().__init__(reason)
        self.reason, self.detail, self.blameless = reason, detail, blameless


class Server(Protocol):
    """Starts workers and carries calls to them. No method blocks for long, whatever has died.

    Attributes:
        restartable: whether the server is the driver's own, to be started again when it died.
        where: what messages call it.
    """

    restartable: bool
    where: str

    def start(self) -> None:
        """Raises `ResourceError` or `BackendError` where it cannot be reached or started."""

    def stop(self) -> None:
        """Leave it; end it, with all workers, where it is the driver's own."""

    @property
    def answers(self) -> bool:
        """False where it has been silent for a moment: nothing must be asked of it."""

    def died(self) -> Death | None:
        """What has died that nothing can go on without, if so."""

    def nodes(self) -> Sequence[Node]:
        """The nodes that are alive; the same object where nothing has changed."""

    def actor(self, resources: Resources) -> Any:
        """The handle of a new worker, which is placed once there is room for it."""

    def seen(self, project: str) -> str:
        """How workers see the directory ``project``; empty: as their own directory."""

    def wait(self, calls: Sequence[Any], timeout: float) -> Sequence[Any]:
        """The first of ``calls`` that has a result, waiting up to ``timeout`` seconds."""

    def result(self, call: Any) -> Any:
        """What a call has returned. Raises `LostError` where it never will."""

    def end(self, actor: Any) -> None:
        """End a worker at once."""
