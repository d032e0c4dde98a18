"""Names of parameters where there is little room: short, and still each another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

_SEPARATORS = "./_-:"


def shared_beginning(names: Sequence[str]) -> str:
    """What all ``names`` begin with, up to a separator: ``model.encoder.``, or nothing."""
    if len(set(names)) < 2:
        return ""
    first, last = min(names), max(names)  # whatever these share, those between them share, too
    length = min(len(first), len(last)) - 1  # something must be left of each
    same = next((at for at in range(length) if first[at] != last[at]), length)
    return first[: max(first[:same].rfind(sign) for sign in _SEPARATORS) + 1]


def short_names(names: Sequence[str], width: int) -> dict[str, str]:
    """By name a label of at most ``width`` characters, without what all of them begin with.

    The end of a long one is kept, from a separator on. Labels that would be the same are cut in the
    middle instead; where that does not help either, the whole name is shown.
    """
    cut = len(shared_beginning(names))
    rests = {name: name[cut:] for name in names}
    labels = {name: _ending(rest, width) for name, rest in rests.items()}
    for head in range(1, width - 1):
        clashing = _clashing(labels)
        if not clashing:
            return labels
        labels |= {name: _middle(rests[name], head, width) for name in clashing}
    return labels | {name: rests[name] for name in _clashing(labels)}


def _clashing(labels: dict[str, str]) -> list[str]:
    times = Counter(labels.values())
    return [name for name, label in labels.items() if times[label] > 1]


def _ending(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    for place, sign in enumerate(name):
        if sign in _SEPARATORS and len(name) - place <= width and place + 1 < len(name):
            return f"…{name[place + 1 :]}"
    return f"…{name[len(name) - width + 1 :]}"


def _middle(name: str, head: int, width: int) -> str:
    return name if len(name) <= width else f"{name[:head]}…{name[len(name) - width + head + 1 :]}"
