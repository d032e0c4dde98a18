"""A slot: one long-lived worker, the call that is under way, and the attempt that it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sweep.driver.backend import Key
from sweep.driver.node import Placed
from sweep.driver.worker import Order, pack
from sweep.spec import Resources


@dataclass(slots=True, eq=False)
class Slot:
    """A worker that was asked for. No trial is bound to it before Ray has placed it.

    Attributes:
        actor: the worker's handle.
        pending: the call that is under way; the first one says where the worker is.
        node: the node that it is placed on, None while it waits for one.
        key: the attempt that it runs, None where it is idle.
        leaving: whether its attempt was told to save and leave.
    """

    actor: Any
    resources: Resources
    project: str
    pending: Any
    node: str | None = None
    key: Key | None = None
    leaving: bool = False
    orders: list[Order] = field(default_factory=list)
    asked: float = field(default_factory=time.monotonic)

    @property
    def idle(self) -> bool:
        """Whether it can run a trial now."""
        return self.node is not None and self.key is None

    @property
    def placed(self) -> Placed:
        return Placed(self.node, self.resources)

    def order(self, order: Order) -> None:
        """Send ``order`` with the next call, or by itself where one is under way."""
        if self.pending is None:
            self.orders.append(order)
        else:
            self.actor.submit.remote(pack([order]))

    def call(self) -> None:
        """See that a call is under way."""
        if self.pending is None:
            self.pending = self.actor.exchange.remote(pack(self.orders))
            self.orders = []

    def serves(self, resources: Resources, project: str) -> bool:
        return self.resources == resources and self.project == project
