"""Parts of a picture one below the other, cut where there is no room for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

_LEAST = 3
"""Lines that a part keeps, its names and a last one that counts the rest among them."""


@dataclass(slots=True)
class Section:
    """A line of names, and items of one or more lines. ``noun`` and ``nouns`` say what they are;
    ``beyond`` counts items that nobody made lines of, since they are never shown."""

    noun: str
    nouns: str
    head: Text
    items: list[list[Text]]
    beyond: int = 0

    @property
    def size(self) -> int:
        """Lines in all."""
        return 1 + sum(map(len, self.items)) + self.beyond if self.head.plain else 0

    def lines(self, room: int) -> list[Text]:
        """All in ``room`` lines; what does not fit is counted in the last one."""
        if self.size <= room:
            return [self.head, *(line for item in self.items for line in item)][: self.size]
        found = [self.head]
        shown = 0
        while shown < len(self.items) and len(found) + len(self.items[shown]) < room:
            found += self.items[shown]
            shown += 1
        left = len(self.items) - shown + self.beyond
        noun = self.noun if left == 1 else self.nouns
        more = "more " if shown else ""
        found.append(Text(f"... and {left} {more}{noun}", "sweep.quiet"))
        return found[: max(0, room)]


def fit(sections: Sequence[Section], height: int) -> list[Text]:
    """The sections with a blank line between them, in ``height`` lines at most.

    First items are cut down to a line each, then room is taken from
    the largest section, until all fit.
    """
    there = [section for section in sections if section.size]
    room = height - (len(there) - 1)
    if sum(section.size for section in there) > room:
        for section in there:
            section.items = [item[:1] for item in section.items]
    sizes = [section.size for section in there]
    while sum(sizes) > room and max(sizes) > _LEAST:
        sizes[sizes.index(max(sizes))] -= 1
    found: list[Text] = []
    for section, size in zip(there, sizes, strict=True):
        found += [Text(), *section.lines(size)] if found else section.lines(size)
    return found[: max(0, height)]
