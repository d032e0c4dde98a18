"""`sweep top` flags trials from which nothing was heard for long, by their own pace."""

from __future__ import annotations

import pytest

from sweep.cli.live.picture import lines
from sweep.cli.live.view import RECENT, SILENT_S, SlotLine, View, silence
from sweep.journal.event import TrialAsked
from sweep.journal.state import Report, Trial


def trial(*times: float, begun: float = 0.0, attempt: int = 1) -> Trial:
    """A trial that has reported at these times in its attempt."""
    asked = TrialAsked(trial=0, params={}, latents={}, seed=1, wrote={}, told=0, running=[])
    made = Trial(number=0, asked=asked, started=begun, updated=max([begun, *times]))
    made.attempts, made.dispatched = attempt, begun
    made.reports = {step: Report(step, attempt, at, 1.0, {}) for step, at in enumerate(times)}
    return made


@pytest.mark.parametrize(
    ("made", "usual", "now", "found"),
    [
        (trial(1.0, 2.0, 3.0), None, 3.0 + SILENT_S, None),
        (trial(1.0, 2.0, 3.0), None, 100.0, 97.0),
        (trial(100.0, 200.0), None, 690.0, None),
        (trial(100.0, 200.0), None, 710.0, 510.0),
        (trial(), None, 1e6, None),
        (trial(), 10.0, 49.0, None),
        (trial(), 10.0, 51.0, 51.0),
        (trial(*map(float, range(1000, 1000 + 2 * RECENT))), None, 1200.0, 137.0),
        (trial(1.0, attempt=2, begun=0.0), 1.0, 20.0, None),
    ],
)
def test_what_is_long(made: Trial, usual: float | None, now: float, found: float | None) -> None:
    """It is five times the longest pause of the trial, or of others before its first report."""
    assert silence(made, usual, now) == found


def line(silent_s: float | None) -> SlotLine:
    return SlotLine(
        slot=0, study="s", trial=3, source=None, done=1, steps=9, estimated=False, rate=2.0,
        since_s=99.0, value=1.0, params={}, silent_s=silent_s,
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_is_shown(width: int) -> None:
    """In place of its rate such a trial is called silent; where that is narrow, its name warns."""
    view = View(time=0.0, studies=[], slots=[line(125.0), line(None)], failures=[])
    silent, other = lines(view, width, 20)[-2:]
    assert any(span.style == "sweep.warn" for span in silent.spans)
    assert not any(span.style == "sweep.warn" for span in other.spans)
    if width >= 80:
        assert "silent 2m05s" in silent.plain
    assert "silent" not in other.plain
