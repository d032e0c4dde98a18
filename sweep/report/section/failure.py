"""What failed, and the traceback of each kind."""

from __future__ import annotations

from sweep.quantity import counted
from sweep.report.chronicle import Failure
from sweep.report.element import Markup, element, join
from sweep.report.scale import shortened
from sweep.report.subject import Subject

KINDS = 50
"""So many kinds of failures are shown, the most frequent ones."""

NAMED = 20
"""So many trials of each are named."""

LONGEST = 20_000
"""Characters of a traceback; the end is what says most."""


def failures(subject: Subject) -> Markup:
    """Failed attempts, those with the same reason together."""
    known = subject.chronicle.failures
    if not known:
        return element("p", "No attempt failed.")
    kinds: dict[str, list[Failure]] = {}
    for failure in known:
        kinds.setdefault(failure.reason, []).append(failure)
    common = sorted(kinds.values(), key=len, reverse=True)
    left = len(common) - KINDS
    said = f"{counted(len(known), 'failed attempt')}, {counted(len(common), 'kind')}."
    said += f" The {KINDS} most frequent kinds are shown, {left} are not." if left > 0 else ""
    return join([element("p", said), *map(_kind, common[:KINDS])])


def _kind(failures: list[Failure]) -> Markup:
    first = failures[0]
    named = ", ".join(f"{each.trial} (attempt {each.attempt})" for each in failures[:NAMED])
    more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    error = first.error.rstrip()
    cut = "…\n" if len(error) > LONGEST else ""
    return element(
        "details",
        element("summary", f"{len(failures)} × {shortened(first.reason, 300)}"),
        element("p", f"Trials: {named}{more}. The first one's traceback:"),
        element("pre", cut + error[-LONGEST:] or "none", tabindex="0"),
    )
