"""The time of a study: that of its drivers, one behind another."""

from __future__ import annotations

from sweep.report.subject import Subject


class Clock:
    """The time in which a driver ran: sessions one behind another, without what lies between."""

    def __init__(self, subject: Subject) -> None:
        self._began: list[float] = []
        self._before: list[float] = []
        self.total = 0.0
        for session in subject.chronicle.sessions:
            self._began.append(session.began)
            self._before.append(self.total)
            self.total += max(0.0, session.ended - session.began)

    def at(self, time: float) -> float:
        """Seconds of the drivers before ``time``."""
        place = max((i for i, began in enumerate(self._began) if began <= time), default=0)
        end = self._before[place + 1] if place + 1 < len(self._before) else self.total
        return min(end, self._before[place] + max(0.0, time - self._began[place]))
