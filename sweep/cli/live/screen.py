"""What keeps the view of a run on the terminal, at a bounded cost."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live

from sweep.cli.live.picture import lines
from sweep.cli.live.slots import Slots
from sweep.cli.live.view import Subject, view
from sweep.cli.theme import themed_console

REFRESH_S = 0.25
"""A picture is drawn this often at most."""

SHARE = 0.02
"""A picture that takes longer than this part of the time is drawn less often."""


class Screen:
    """Keeps a picture of the newest state below what is printed.

    It is drawn in the caller's loop: so it shows one moment, and needs no lock. What that costs is
    measured, and the next picture waits until it was `SHARE` of the time at most.

    Attributes:
        lengths: of the lines of the last picture.
    """

    def __init__(self, console: Console | None = None) -> None:
        """On the standard output, or on ``console``."""
        self._live = Live(
            console=console or themed_console(),
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )
        self._slots = Slots()
        self._due = 0.0
        self.lengths: list[int] = []

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    @property
    def due(self) -> bool:
        """Whether it is time for a picture."""
        return self.next_in <= 0

    @property
    def next_in(self) -> float:
        """Seconds until the next picture."""
        return self._due - time.monotonic()

    def draw(self, subjects: Mapping[str, Subject], now: float | None = None) -> None:
        """Show how ``subjects`` stand ``now``, in unix seconds as their journals count them."""
        begun = time.monotonic()
        console = self._live.console
        width, room = console.width, console.height - 1  # the cursor's line
        shown = view(list(subjects.values()), self._slots, time.time() if now is None else now)
        drawn = lines(shown, width, room, plain=console.options.ascii_only)
        self._unfold(width)
        self._live.update(Group(*drawn), refresh=True)
        self.lengths = [line.cell_len for line in drawn]
        ended = time.monotonic()
        self._due = ended + max(REFRESH_S, (ended - begun) / SHARE)

    def _unfold(self, width: int) -> None:
        """Wipe a picture whose lines the terminal has folded, since it was made narrower.

        rich knows how many lines it has drawn, not how many they have become.
        """
        rows = sum(max(1, -(-length // width)) for length in self.lengths)
        if rows > len(self.lengths):
            down = "\n" * (len(self.lengths) - 1)
            self._live.console.file.write(f"\x1b[{rows - 1}F\x1b[J{down}")

    def print_above(self, line: str) -> None:
        self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)
