"""The slots over time: which trial had which, until when, and what ended it."""

from __future__ import annotations

import heapq
from collections import Counter

from sweep.journal.attempt import Attempt, End
from sweep.quantity import counted, duration_text
from sweep.report.chart import WIDTH, Frame, figure, key, label, line, mark, number
from sweep.report.clock import Clock
from sweep.report.element import Markup, element, join
from sweep.report.scale import Numbers
from sweep.report.subject import Subject
from sweep.report.thinning import evenly

TOP = 30
"""Pixels above the first slot."""

LANES = 64
"""So many slots are drawn."""

BARS = 8000
"""About so many bars are drawn: shorter attempts that follow each other share one."""

FAILURES = 1000
"""So many attempts that failed or were killed have a bar of their own in front."""

MARKS = 400
"""So many promotions, and so many resumes, are marked."""


def timeline(subject: Subject) -> Markup:
    """Bars of attempts in lanes, with the beginnings of sessions and what happened to trials."""
    attempts, sessions = subject.chronicle.attempts, subject.chronicle.sessions
    if not attempts:
        return element("p", "Nothing has run yet.")
    clock, lanes = Clock(subject), _lanes(attempts)
    count = min(LANES, max(lanes) + 1)
    tall = 22 if count <= 16 else 10
    frame = Frame(height=tall * count + 84, top=TOP)
    x = Numbers(0, clock.total or 1.0, *frame.x, label=duration_text, count=10)
    bars = _bars(attempts, lanes, clock, x, tall)
    heights = {
        (each.trial, each.number): frame.top + lane * tall + tall / 2
        for each, lane in zip(attempts, lanes, strict=True)
        if lane < count
    }
    resumed = [
        each for each in attempts if each.number > 1 and (each.trial, each.number) in heights
    ]
    marks = [
        mark(
            "right",
            x.at(clock.at(each.began)) + 4,
            heights[each.trial, each.number],
            "resume",
            f"trial {each.trial} goes on (attempt {each.number})",
        )
        for each in evenly(resumed, MARKS)
    ]
    marks += [
        mark(
            "up",
            x.at(clock.at(time)),
            frame.y[0] + 24,
            "promoted",
            f"trial {trial} promoted beyond rung {rung}",
        )
        for time, trial, rung in evenly(subject.chronicle.promotions, MARKS)
    ]
    for before, session in zip([None, *sessions], sessions, strict=False):
        at = x.at(clock.at(session.began))
        killed = before is not None and before.reason is None
        tip = f"session {session.number} on {session.host}" + (
            "\nthe one before was killed" if killed else ""
        )
        marks.append(line((at, frame.y[0]), (at, 16), "session", tip))
        if killed:
            marks.append(mark("cross", at, 12, "kill", tip))
    ends = Counter(each.end for each in attempts)
    ticks = element(
        "g",
        line((frame.x[0], frame.y[0]), (frame.x[1], frame.y[0]), "axis"),
        *(label(said, at, frame.y[0] + 16, "middle") for at, said in x.ticks()),
        *(
            label(str(lane + 1), frame.left - 6, frame.top + lane * tall + tall / 2 + 4, "end")
            for lane in range(0, count, 1 if count <= 16 else 8)
        ),
        label("slot", 30, frame.top - 8, "middle", "name"),
        aria_hidden="true",
    )
    notes = ["Time of the drivers; what lies between sessions is left out."]
    if len(bars) < len(attempts):
        notes.append(
            f"{len(bars):,} bars for {len(attempts):,} attempts: those too narrow to tell apart "
            "share one."
        )
    hidden = max(lanes) + 1 - count
    notes += [f"{counted(hidden, 'more slot')} not drawn."] if hidden else []
    more = max(len(resumed), len(subject.chronicle.promotions))
    notes += [f"At most {MARKS} resumes and promotions are marked."] if more > MARKS else []
    said = ", ".join(f"{count} {end}" for end, count in ends.items())
    return figure(
        f"{counted(len(attempts), 'attempt')} in {counted(len(sessions), 'session')}: {said}",
        frame.drawing(f"slots over time: {said}", join(bars), ticks, *marks),
        note=" ".join(notes),
        keys=[
            *(
                key(element("rect", x=1, y=2, width=18, height=10, class_=f"bar {end}"), str(end))
                for end in End
                if ends[end]
            ),
            key(mark("right", 10, 7, "resume"), "resumed"),
            key(mark("up", 10, 7, "promoted"), "promoted"),
            key(mark("cross", 10, 7, "kill"), "driver killed"),
        ],
    )


def _lanes(attempts: list[Attempt]) -> list[int]:
    """A lane for each attempt, the lowest that is free: the journal does not name slots."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    lanes = []
    for each in attempts:
        while busy and busy[0][0] <= each.began:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (max(each.ended, each.began), lane))
        lanes.append(lane)
    return lanes


def _bars(
    attempts: list[Attempt], lanes: list[int], clock: Clock, x: Numbers, tall: int
) -> list[Markup]:
    """A bar for each attempt, or for several in a lane that are too narrow to tell apart."""
    count = min(LANES, max(lanes) + 1)
    least = max(0.6, WIDTH * count / BARS)
    bars = []
    groups: dict[int, list[Attempt]] = {}
    failed = []
    for each, lane in zip(attempts, lanes, strict=True):
        if lane >= count:
            continue
        if each.end in (End.FAILED, End.KILLED, End.INTERRUPTED):
            failed.append((each, lane))
        group = groups.setdefault(lane, [])
        if group and x.at(clock.at(each.ended)) - x.at(clock.at(group[0].began)) > least:
            bars.append(_bar(group, lane, clock, x, tall))
            group.clear()
        group.append(each)
    bars += [_bar(group, lane, clock, x, tall) for lane, group in groups.items()]
    bars += [_bar([each], lane, clock, x, tall) for each, lane in evenly(failed, FAILURES)]
    return bars


def _bar(group: list[Attempt], lane: int, clock: Clock, x: Numbers, tall: int) -> Markup:
    first, last = group[0], group[-1]
    begin, end = x.at(clock.at(first.began)), x.at(clock.at(last.ended))
    kind = Counter(each.end for each in group).most_common(1)[0][0]
    tip = f"trial {first.trial}, attempt {first.number}: {kind} after "
    tip += duration_text(first.ended - first.began)
    return element(
        "rect",
        x=number(begin),
        y=number(TOP + lane * tall + 2),
        width=number(max(0.6, end - begin)),
        height=tall - 4,
        class_=f"bar {kind}",
        data_tip=tip if len(group) == 1 else f"{len(group)} attempts, most {kind}",
    )
