"""Elements of HTML and SVG. What is no `Markup` is text, and is escaped wherever it is put."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What no document may hold: control characters and halves of pairs."""

_VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING = Markup()


def escaped(value: Any) -> str:
    """Any value as text of a document, or of an attribute in double quotes."""
    return html.escape(_UNFIT.sub("\ufffd", str(value)))


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """``<tag attributes>children</tag>``.

    Attributes that are None are left out; ``class_`` is ``class`` and ``data_tip`` ``data-tip``.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{join(children)}</{tag}>")


def join(children: Iterable[Any], between: str = "") -> Markup:
    """All of ``children``, one behind another."""
    return Markup(
        between.join(each if isinstance(each, Markup) else escaped(each) for each in children)
    )
