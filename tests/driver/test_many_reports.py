"""A trial with very many reports: each costs the driver what the first did."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from sweep.driver.bench import Bench
from sweep.driver.plan import Limits
from sweep.journal.event import Entry, Event, StudyCreated, TrialAsked, TrialDispatched
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.search.search import Search
from sweep.spec import StudySpec
from sweep.trial.message import Reported


class Book:
    """A logbook in memory, which search and state follow."""

    def __init__(self, spec: StudySpec) -> None:
        self.state, self.search = StudyState(), Search(spec)
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))

    def record(self, *events: Event) -> None:
        for event in events:
            apply(self.state, Entry(seq=self.state.seq + 1, time=self.state.seq + 2.0, event=event))
            self.search.apply(event)


@pytest.mark.parametrize("ahead", [False, True], ids=["", "beside a suggestion made ahead"])
@pytest.mark.parametrize("several", [False, True], ids=["", "several objectives"])
def test_a_report_allocates_the_same_however_many_came_before(ahead: bool, several: bool) -> None:
    """Nothing of what was reported is copied: the hundred after 20,000 take what the first do."""
    metric: Any = [{"name": "loss"}, {"name": "size"}] if several else {"name": "loss"}
    spec = StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": "random",
            "metric": metric,
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
            "trials": 3,
        }
    )
    book = Book(spec)
    bench = Bench(spec, book.search, book, Limits.of(spec))  # type: ignore[arg-type]
    asked = book.search.ask(book.state)
    assert isinstance(asked, TrialAsked)
    book.record(asked, TrialDispatched(trial=0, attempt=1, session=1, checkpoint=None))
    trial = book.state.trials[0]

    def report(first: int, count: int) -> None:
        for step in range(first, first + count):
            bench.reported(trial, Reported(step=step, metrics={"loss": 1 / (step + 1), "size": 1}))

    def allocated(first: int) -> int:
        suggestion = book.search.ahead(book.state) if ahead else None
        largest = 0
        for step in range(first, first + 100):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            report(step, 1)
            largest += tracemalloc.get_traced_memory()[1] - before
        del suggestion
        return largest

    tracemalloc.start()
    report(0, 100)
    few = allocated(100)
    tracemalloc.stop()
    report(200, 20_000)
    tracemalloc.start()
    many = allocated(20_200)
    tracemalloc.stop()
    assert many < 20 * few  # copies of all of them would be some 300 times as much
