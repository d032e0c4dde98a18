"""The nodes of a cluster, and what fits on them beside what is there: pure functions.

Ray places actors; these say how many it can place at all, so that nothing is started in vain and
nobody waits without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sweep.quantity import bytes_text, counted
from sweep.spec import Resources

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive, with all that it has; ``memory`` in bytes. Nothing new is placed on one
    that is ``draining``."""

    id: str
    cpu: float
    gpu: float = 0.0
    memory: float = 0.0
    draining: bool = False

    def __str__(self) -> str:
        gpu = f" gpu={self.gpu:g}" if self.gpu else ""
        return f"cpu={self.cpu:g}{gpu}"


@dataclass(frozen=True, slots=True)
class Placed:
    """What an actor holds, and where (None: Ray has not placed it yet)."""

    node: str | None
    resources: Resources


def slots(nodes: Iterable[Node], resources: Resources) -> int:
    """How many trials with such ``resources`` fit when nothing runs."""
    return sum(_times(_has(node), resources) for node in nodes if not node.draining)


def fits(nodes: Sequence[Node], placed: Iterable[Placed], wanted: Resources) -> bool:
    """Whether one more trial fits beside those that are ``placed``.

    Those that are not placed yet take the first node with room for them, the largest first.
    """
    free = {node.id: _has(node) for node in nodes if not node.draining}
    homeless = []
    for each in placed:
        if each.node in free:
            free[each.node] = _less(free[each.node], each.resources)
        elif each.node is None:
            homeless.append(each.resources)
    homeless.sort(key=_amounts, reverse=True)
    for resources in homeless:
        home = next((id for id, has in free.items() if _times(has, resources)), None)
        if home is not None:
            free[home] = _less(free[home], resources)
    return any(_times(has, wanted) for has in free.values())


def nodes_text(nodes: Sequence[Node]) -> str:
    """``2 nodes with cpu=4, 1 node with cpu=1 (draining)``."""
    kinds = Counter((str(node), node.draining) for node in nodes)
    parts = [
        f"{counted(count, 'node')} with {what}{' (draining)' if draining else ''}"
        for (what, draining), count in sorted(kinds.items())
    ]
    return ", ".join(parts) or "no node"


def resources_text(resources: Resources) -> str:
    """``cpu=2 gpu=1``: what a trial asks for."""
    parts = [f"cpu={resources.cpu:g}"] if resources.cpu else []
    parts += [f"gpu={resources.gpu:g}"] if resources.gpu else []
    parts += [f"memory={bytes_text(resources.memory)}"] if resources.memory else []
    return " ".join(parts)


Amounts = tuple[float, float, float]


def _amounts(resources: Resources) -> Amounts:
    return resources.cpu, resources.gpu, float(resources.memory or 0)


def _has(node: Node) -> Amounts:
    return node.cpu, node.gpu, node.memory


def _less(has: Amounts, taken: Resources) -> Amounts:
    cpu, gpu, memory = _amounts(taken)
    return has[0] - cpu, has[1] - gpu, has[2] - memory


def _times(has: Amounts, resources: Resources) -> int:
    """How often ``resources`` fit into what a node ``has``."""
    asked = _amounts(resources)
    counts = [
        int(max(0.0, there) / wanted + _EPSILON)
        for there, wanted in zip(has, asked, strict=True)
        if wanted > 0
    ]
    return min(counts, default=1)
