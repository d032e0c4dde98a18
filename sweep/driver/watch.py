"""Follows the nodes of a cluster in a thread, so that a head that is silent holds nothing up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from sweep.driver.node import Node

INTERVAL_S = 1.0
"""From one look to the next."""


class NodeWatch:
    """Looks at the nodes again and again.

    Attributes:
        nodes: those that were alive at the last look that was answered; the same object while they
            are the same.
    """

    def __init__(self, look: Callable[[], Sequence[Node]]) -> None:
        """``look`` gives the nodes that are alive; whatever it raises is silence."""
        self._look = look
        self.nodes: Sequence[Node] = look()
        self._heard = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nodes", daemon=True)
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """Seconds since a look was answered."""
        return time.monotonic() - self._heard

    def close(self) -> None:
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(INTERVAL_S):
            try:
                nodes = self._look()
            except Exception:  # noqa: BLE001  Ray, gRPC and sockets each have errors of their own
                continue
            self._heard = time.monotonic()
            if nodes != self.nodes:
                self.nodes = nodes
