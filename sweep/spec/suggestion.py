"""How a value is shown in a message, and what a misspelt word may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_LONG = 60
_WORD = re.compile(r"[^\W\d][\w.:/+-]*")


def plain(value: Any) -> str:
    """A value in one line, close to how it is written in YAML: ``sgd``, ``[1, 2]``, ``none``."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return value if _WORD.fullmatch(value) else repr(value)
        case Mapping():
            return (
                "{" + ", ".join(f"{plain(key)}: {plain(item)}" for key, item in value.items()) + "}"
            )
        case list() | tuple():
            return "[" + ", ".join(plain(item) for item in value) + "]"
    return repr(value)


def brief(value: Any) -> str:
    """As `plain`, cut where it would fill a message."""
    text = plain(value)
    return text if len(text) <= _LONG else text[: _LONG - 3] + "..."


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` most likely stands for, if any is near."""
    known = list(known)
    folded = {name.casefold(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    if near:
        return folded[near[0]]
    beginning = [name for name in known if len(word) > 1 and name.startswith(word.casefold())]
    return beginning[0] if beginning else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, else all of them."""
    known = list(known)
    near = closest(word, known)
    if near is not None:
        return f"did you mean {plain(near)}?"
    return "known: " + ", ".join(map(plain, known)) if known else "there is none"


def listed(words: Iterable[str], conjunction: str = "and") -> str:
    """``a, b and c``."""
    *rest, last = list(words)
    return f"{', '.join(rest)} {conjunction} {last}" if rest else last
