"""The page of a report: whole whatever the study holds, closed to the network, and escaped."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_study import asked, begun, finished, reported, session, some, spec_of, told, write

from sweep.journal.event import (
    AttemptFailed,
    CheckpointSaved,
    DriverStopped,
    Event,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialRestored,
    TrialState,
)
from sweep.report.page import SECTIONS, page
from sweep.report.subject import Subject
from sweep.spec import StudySpec

EVIL = "<script>alert('x')</script>&\"\x00"
VOID = {"meta", "br"}


class Document(HTMLParser):
    """What a parser makes of a page; raises where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def said(self) -> str:
        return "\n".join(self.text)


def read(root: Path, spec: StudySpec, events: Sequence[Event]) -> tuple[str, Document]:
    text = page([Subject.read(write(root, spec, events))])
    return text, Document(text)


def test_page_has_all_sections_with_headings_and_links(tmp_path: Path) -> None:
    """Each has a heading of its own, a link that leads there, and every drawing says what it is."""
    _, document = read(tmp_path, spec_of(), list(some(12)))
    ids = [attributes.get("id") for _, attributes in document.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert [each["id"] for each in document.having("section")] == list(SECTIONS)
    assert {f"#{name}" for name in SECTIONS} < {each["href"] for each in document.having("a")}
    assert all(each["aria-labelledby"] in ids for each in document.having("section"))
    assert len(document.having("h1")) == 1
    assert len(document.having("h2")) == len(SECTIONS)
    assert document.having("html") == [{"lang": "en"}]
    drawings = [each for each in document.having("svg") if each.get("role") == "img"]
    assert drawings
    assert all(each["aria-label"] for each in drawings)
    assert "12 of 12 (12 complete)" in document.said
    assert "program: odd:returns_loss" in document.said
    assert "sweep run s.yaml" in document.said


def test_page_loads_nothing(tmp_path: Path) -> None:
    """No address, no file, and a policy that forbids them."""
    text, document = read(tmp_path, spec_of(), list(some(3)))
    assert not re.search(r"(https?:|url\(|@import|//[a-z]+\.)", text)
    for _, attributes in document.tags:
        assert not attributes.keys() & {"src", "srcset", "data", "action", "poster"}
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(each for each in document.having("meta") if "http-equiv" in each)
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_everything_of_a_study_is_escaped(tmp_path: Path) -> None:
    """A value, names, a traceback and a description are text, whatever they hold."""
    spec = spec_of(
        description=EVIL.rstrip("\x00"),
        metric={"name": "<b>loss"},
    )
    events = [
        session(1),
        asked(0, **{"x": 0.5, "<i>y": EVIL}),
        begun(0),
        reported(0, 0, **{"<b>loss": 1.0}),
        finished(0, 1.0),
        asked(1, **{"x": 0.6, "<i>y": "</style><b>"}),
        begun(1),
        AttemptFailed(trial=1, attempt=1, reason=EVIL, error=f"Traceback\n  {EVIL}"),
        finished(1, None, TrialState.FAILED, reason=EVIL, error=f"Traceback\n  {EVIL}"),
    ]
    text, document = read(tmp_path, spec, events)
    assert len(document.having("script")) == 1
    assert not document.having("b")
    assert not document.having("i")
    assert "alert('x')" in document.said
    assert "1 failed attempt, 1 kind." in document.said
    assert "\x00" not in text
    text.encode()


def test_study_without_trials_has_a_page(tmp_path: Path) -> None:
    """Before the first trial, and before the first session."""
    for name, events in (("one", []), ("two", [session(1)])):
        _, document = read(tmp_path, spec_of(name=name), events)
        assert "No trial has a result yet." in document.said
        assert "Nothing has run yet." in document.said
        assert "10 completed trials are needed, and there are 0" in document.said


def test_what_is_not_finite_is_left_out_of_drawings(tmp_path: Path) -> None:
    """Reports of NaN and infinities, and huge ones, put no such thing into a coordinate."""
    events: list[Event] = [session(1)]
    for trial, value in enumerate([math.nan, math.inf, -math.inf, 1e308, -1e308, 0.0, 1e-320]):
        events += [asked(trial, x=0.1 * trial), begun(trial)]
        events += [reported(trial, 0, loss=value), reported(trial, 1, loss=1.0)]
        events += [finished(trial, value if math.isfinite(value) else 2.0)]
    _, document = read(tmp_path, spec_of(), events)
    drawn = " ".join(str(each.get("d")) for each in document.having("path"))
    drawn += " ".join(f"{each['cx']} {each['cy']}" for each in document.having("circle"))
    assert "nan" not in drawn
    assert "inf" not in drawn


def test_kill_resume_pause_and_promotion_are_drawn(tmp_path: Path) -> None:
    """A driver that was killed, the trial that went on, and one that was paused and promoted."""
    asha = {"type": "asha", "min_resource": 1, "max_resource": 9}
    record = {"manifest": "m", "kind": "epoch", "bytes": 10, "new_bytes": 10}
    events = [
        session(1),
        asked(0, x=0.1),
        begun(0),
        reported(0, 0, rung=1, loss=1.0),
        CheckpointSaved(trial=0, attempt=1, step=0, checkpoint="0@1", record=record),
        TrialPaused(trial=0, attempt=1, step=0, value=1.0, checkpoint="0@1", rung=1),
        asked(1, x=0.2),
        begun(1),
        reported(1, 0, loss=2.0),
        session(2),
        begun(1, 2, 2),
        TrialRestored(trial=1, attempt=2, step=0, checkpoint=None, skipped=[]),
        reported(1, 1, 2, loss=1.5),
        TrialPromoted(trial=0, rung=1),
        begun(0, 2, 2),
        finished(1, 1.5, TrialState.PRUNED, 2),
    ]
    _, document = read(tmp_path, spec_of(early_terminate=asha), events)
    tips = [each.get("data-tip") or "" for _, each in document.tags]
    assert any("the one before was killed" in tip for tip in tips)
    assert "trial 1, attempt 1: killed after 1.0s" in tips
    assert "trial 0, attempt 1: paused after 3.0s" in tips
    assert "trial 0 promoted beyond rung 1" in tips
    assert "trial 1 goes on (attempt 2)" in tips
    assert any(tip.endswith("resumed here") for tip in tips)
    assert "killed" in document.said


def test_one_trial_has_its_parameters(tmp_path: Path) -> None:
    """With nothing to compare it with, too; constants are left out."""
    spec = spec_of(parameters={"x": {"min": 0.0, "max": 1.0}, "c": {"value": 7}})
    events = [session(1), asked(0, x=0.25, c=7), begun(0), finished(0, 1.0), told(0, 0, 1.0)]
    _, document = read(tmp_path, spec, events)
    assert "loss 1 in trial 0: x = 0.25" in document.said
    assert "No trial has a result yet." not in document.said
    said = [each.get("aria-label") or "" for _, each in document.tags]
    assert any("loss against x, 1 trial" in each for each in said), said
    constant = spec_of(name="constant", parameters={"c": {"value": 7}})
    events = [session(1), asked(0, c=7), begun(0), finished(0, 1.0), told(0, 0, 1.0)]
    _, document = read(tmp_path, constant, events)
    assert document.text.count("No parameter is searched.") == 2


def test_several_objectives_give_the_front(tmp_path: Path) -> None:
    """Its members are those that the journal names; one that exceeds a bound is told apart."""
    spec = spec_of(metric=[{"name": "loss"}, {"name": "size"}], constraints=["size <= 5"])
    events: list[Event] = [session(1)]
    for trial, values in enumerate([[1.0, 3.0], [2.0, 2.0], [3.0, 9.0]]):
        events += [asked(trial, x=0.1 * trial), begun(trial)]
        events += [finished(trial, values[0], values=values, violations=[values[1] - 5])]
        events += [told(trial, trial, values[0], values=values, entered=trial < 2)]
    _, document = read(tmp_path, spec, events)
    assert "2 trials on the Pareto front" in document.said
    assert document.text.count("complete, on the front") == 2
    assert "All trials, the best by loss first" in document.said
    assert "exceeds a constraint" in document.said
    drawn = [each for each in document.having("path") if each.get("class") == "mark best"]
    assert sum("trial" in (each["data-tip"] or "") for each in drawn if "data-tip" in each) == 2


def test_fork_has_a_page(tmp_path: Path) -> None:
    """One that waits for a run, outside of the space."""
    record = {"manifest": "m", "kind": "epoch", "bytes": 10, "new_bytes": 0}
    fork = TrialForked(
        trial=1,
        parent=0,
        source="0@1",
        step=0,
        checkpoint="1@1",
        record=record,
        params={"x": 7.0},
        latents={},
        inside=False,
    )
    saved = CheckpointSaved(trial=0, attempt=1, step=0, checkpoint="0@1", record=record)
    events = [session(1), asked(0, x=0.1), begun(0), saved, finished(0, 1.0)]
    _, document = read(tmp_path, spec_of(), [*events, DriverStopped(session=1, reason="x"), fork])
    assert "2 of 4 (1 complete, 1 interrupted; 1 fork among them)" in document.said


def test_many_trials_are_thinned_and_the_page_says_so(tmp_path: Path) -> None:
    """What is drawn has a bound, and the reader is told how much is not."""
    text, document = read(tmp_path, spec_of(trials=3000), list(some(3000, reports=1)))
    assert len(text) < 2_000_000
    assert "1,500 of 3,000 trials are drawn" in document.said
    assert "800 of 3,000 trials are drawn" in document.said
    assert "200 of 3,000 trials are drawn" in document.said
    assert "The best 100 of 3,000 trials" in document.said


def test_importances_name_the_parameter_that_matters(tmp_path: Path) -> None:
    """Enough complete trials have them, and few are called a rough estimate."""
    _, document = read(tmp_path, spec_of(), list(some(30)))
    assert "PED-ANOVA, from 30 completed trials" in document.said
    assert "100.0%" in document.said
    assert "rough estimate" in document.said


def charts(document: Document) -> list[str]:
    """What is said of each drawing."""
    return [str(each["aria-label"]) for each in document.having("svg") if "aria-label" in each]


def test_the_incumbent_is_drawn_by_trials_and_by_time(tmp_path: Path) -> None:
    """Two charts, of the same steps."""
    events = [*list(some(6))[:-1], session(2), asked(6, x=0.5), begun(6), finished(6, -1.0)]
    _, document = read(tmp_path, spec_of(), events)
    assert [said for said in charts(document) if said.startswith("loss of 7 finished trials")] == [
        "loss of 7 finished trials by finished trials; the best is -1",
        "loss of 7 finished trials by time of the drivers; the best is -1",
    ]
    paths = [each["d"] or "" for each in document.having("path") if each["class"] == "line best"]
    assert [path.count("V") for path in paths if "H" in path] == [1, 1]  # after the first trial


def test_studies_are_compared(tmp_path: Path) -> None:
    """Those of one metric share a chart by trials and one by time, with a legend; no other does."""
    specs = [spec_of(name=name) for name in ("a", "b")]
    specs.append(spec_of(name="c", metric={"name": "loss", "goal": "maximize"}))
    subjects = [
        Subject.read(write(tmp_path, spec, list(some(count))))
        for spec, count in zip(specs, (9, 4, 3), strict=True)
    ]
    document = Document(page(subjects))
    assert [said for said in charts(document) if " of 2 studies" in said] == [
        "best loss so far (minimize) of 2 studies by finished trials",
        "best loss so far (minimize) of 2 studies by time of the drivers",
    ]
    assert document.text.count("a: 0") == document.text.count("b: 0") == 2
    assert "Comparison" in document.text
    assert "Comparison" not in Document(page(subjects[1:])).text


def test_studies_share_a_page(tmp_path: Path) -> None:
    """Each has its own article, and no identifier is there twice."""
    subjects = [
        Subject.read(write(tmp_path, spec_of(name=name), list(some(2)))) for name in ("a", "b")
    ]
    document = Document(page(subjects))
    ids = [attributes["id"] for _, attributes in document.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(document.having("article")) == 2


@pytest.mark.parametrize("name", ["page.css", "page.js"])
def test_resources_hold_no_end_of_their_element(name: str) -> None:
    """They stand in the page as they are."""
    import sweep.report

    content = (Path(sweep.report.__file__).parent / name).read_text()
    assert "</" not in content


def test_narrow_attempts_share_a_bar_and_failures_stay_seen(tmp_path: Path) -> None:
    """No slot looks idle that was not, and what went wrong is in front."""
    events = list(some(2500, reports=0))[:-1]
    failure = AttemptFailed(trial=2500, attempt=1, reason="no luck", error="Traceback")
    events += [asked(2500, x=0.5), begun(2500), failure]
    _, document = read(tmp_path, spec_of(), events)
    bars = [each for each in document.having("rect") if "data-tip" in each]
    assert len(bars) < 2000
    assert any("attempts, most complete" in (each["data-tip"] or "") for each in bars)
    assert any(each["class"] == "bar failed" for each in bars)
    assert "those too narrow to tell apart share one" in document.said
