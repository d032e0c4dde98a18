"""What matters most is what a report shows first, of however many parameters and metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from report_study import FLOAT, asked, begun, finished, reported, session, spec_of, told, write

from sweep.journal.event import DriverStopped, Event
from sweep.journal.journal import read_state
from sweep.report.page import page
from sweep.report.section.curve import METRICS
from sweep.report.subject import Subject
from sweep.search.importance import importances_of

NAMES = [f"model.part.p{place}" for place in range(30)]


def events(trials: int, decisive: str, several: bool = False) -> list[Event]:
    """Trials whose value is that of one parameter; the others are noise."""
    made: list[Event] = [session(1)]
    for trial in range(trials):
        params = {name: (trial * (0.1 + 0.037 * at)) % 1 for at, name in enumerate(NAMES)}
        ask: Any = asked(trial, **params)
        for name, value in params.items():
            ask.latents[name] = [value, *FLOAT]
        value = params[decisive]
        values = [value, 1 - params[NAMES[3]]] if several else None
        made += [ask, begun(trial), reported(trial, 0, loss=value, speed=2.0, memory=float(trial))]
        made += [finished(trial, value, values=values), told(trial, trial, value)]
    return [*made, DriverStopped(session=1, reason="complete")]


def subject_of(tmp_path: Path, made: list[Event], **content: Any) -> Subject:
    parameters = {name: {"min": 0.0, "max": 1.0} for name in NAMES}
    return Subject.read(write(tmp_path, spec_of(parameters=parameters, **content), made))


def section(text: str, name: str) -> str:
    return text[text.index(f'<section id="{name}"') :].partition("</section>")[0]


def test_what_matters_most_is_shown_first(tmp_path: Path) -> None:
    """The last of 30 parameters decides: it is the first one of the table, the axes, the slices and
    the bars, by its name without what all begin with."""
    subject = subject_of(tmp_path, events(60, NAMES[29]))
    assert subject.ordered[0] == NAMES[29]
    assert sorted(subject.ordered) == sorted(NAMES)
    text = page([subject])
    heads = re.findall(r"<th[^>]*>(?:<button[^>]*>)?([^<]+)", section(text, "trials"))
    assert heads[heads.index("loss") + 1] == "p29"
    captions = re.findall(r"<figcaption[^>]*>([^<]+)", section(text, "slices"))
    assert captions[0] == "p29"
    axes = re.findall(r'class="[^"]*name[^"]*"[^>]*>([^<]+)<', section(text, "coordinates"))
    assert axes[0] == "p29"
    assert section(text, "importance").index(">p29<") < section(text, "importance").index(">p1<")
    for name in ("trials", "coordinates", "slices", "importance"):
        assert "model.part." in section(text, name), name  # said once, as what is left out


def test_without_importances_the_space_orders(tmp_path: Path) -> None:
    """Where too few trials are complete, the order is that of the space, and the page says why."""
    subject = subject_of(tmp_path, events(9, NAMES[29]))
    assert subject.ordered == NAMES
    assert "10 completed trials are needed, and there are 9" in section(
        page([subject]), "importance"
    )


def test_each_metric_has_a_curve(tmp_path: Path) -> None:
    """The objective's comes first; a metric too many is named."""
    made = events(12, NAMES[0])
    text = section(page([subject_of(tmp_path, made)]), "curves")
    assert re.findall(r"<figcaption[^>]*>([^<]+)", text) == [
        "loss by step",
        "speed by step",
        "memory by step",
    ]
    many = {f"m{place:02d}": float(place) for place in range(METRICS + 3)}
    more = [*made[:-1], asked(12, **{NAMES[0]: 0.5}), begun(12), reported(12, 0, **many)]
    text = section(page([subject_of(tmp_path / "more", more)]), "curves")
    assert text.count("<figcaption") == METRICS
    assert "Not drawn: m13, m14, m15, m16, m17, m18" in text


def test_each_objective_has_importances(tmp_path: Path) -> None:
    """Of several objectives there are bars for each, and for the front; a state gives the same."""
    metrics = [{"name": "loss"}, {"name": "speed", "goal": "maximize"}]
    subject = subject_of(tmp_path, events(60, NAMES[29], several=True), metric=metrics)
    found = subject.importances
    assert isinstance(found, dict)
    assert list(found) == ["loss", "speed", "reaching the Pareto front"]
    assert next(iter(found["loss"])) == NAMES[29]
    assert next(iter(found["speed"])) == NAMES[3]
    state = read_state(subject.paths.journal)
    for place, name in enumerate(("loss", "speed")):
        assert importances_of(subject.spec, state, place) == found[name]
    assert importances_of(subject.spec, state) == found["reaching the Pareto front"]
