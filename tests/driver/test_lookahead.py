"""Lookahead: a suggestion that was prepared follows from the journal like any other."""

from __future__ import annotations

import random
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from test_every_event import goes_on_from_every_prefix, run
from test_plan import asked, dispatched, finished, limits, state_of

from sweep.driver.lookahead import Lookahead, pays
from sweep.driver.plan import preparable
from sweep.errors import ProgramError
from sweep.journal.event import (
    CheckpointSaved,
    Entry,
    Event,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialReported,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState
from sweep.search.replay import replay
from sweep.search.search import Search
from sweep.spec import StudySpec

TRIALS = 14
METHODS: list[Any] = [
    {"name": "tpe", "n_startup_trials": 3},
    {"name": "cmaes", "n_startup_trials": 2, "popsize": 4},
    {"name": "nsga2", "population_size": 4},
    {"name": "gp", "n_startup_trials": 8},
    "qmc",
    "brute",
]


def spec_of(method: Any, **more: Any) -> StudySpec:
    x = {"min": 0, "max": 30} if method == "brute" else {"min": 0.0, "max": 1.0}
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": method,
            "metric": {"name": "loss"},
            "parameters": {"x": x, "y": x},
            "trials": TRIALS,
            "early_terminate": {"type": "median", "startup_trials": 2},
        }
        | more
    )


class Ahead:
    """A study in memory whose suggestions are prepared while two of its trials run."""

    def __init__(self, spec: StudySpec, wanted: Any = True) -> None:
        self.entries, self.state = list[Entry](), StudyState()
        self.search = Search(spec)
        self.lookahead = Lookahead(self.search, wanted)
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))

    def record(self, event: Event) -> None:
        entry = Entry(seq=len(self.entries), time=float(len(self.entries)), event=event)
        self.entries.append(entry)
        apply(self.state, entry)
        self.search.apply(event)

    def begin(self) -> None:
        """Ask, dispatch, and prepare the next one."""
        event = self.lookahead.ask(self.state)
        self.record(event)
        self.record(TrialDispatched(trial=event.trial, attempt=1, session=1, checkpoint=None))

    def report(self, number: int, step: int) -> None:
        trial = self.state.trials[number]
        value = trial.params["x"] + 1 / (step + 1)
        prune, wrote = self.search.judge(trial, step, value)
        metrics = {"loss": value}
        self.record(
            TrialReported(
                trial=number,
                attempt=1,
                step=step,
                value=value,
                metrics=metrics,
                prune=prune,
                wrote=wrote,
            )
        )

    def finish(self, number: int) -> None:
        trial = self.state.trials[number]
        value = trial.reports[max(trial.reports)].value
        pruned = trial.pruned_at is not None
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        self.record(
            TrialFinished(trial=number, attempt=1, state=state, value=value, checkpoint=None)
        )
        self.record(self.search.tell(self.state, trial))


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("order", [{}, {"deterministic": True, "window": 4}], ids=["", "ordered"])
def test_prepared_suggestions_are_replayed(method: Any, order: dict[str, Any]) -> None:
    """Reports, verdicts and results come between a suggestion and its record; replay derives it."""
    study, chooser = Ahead(spec_of(method, **order)), random.Random(3)
    study.begin()
    while len(study.state.trials) < TRIALS:
        study.begin()
        study.lookahead.begin(study.state)
        number = chooser.choice(
            sorted(study.state.running)[:1] if order else [*study.state.running]
        )
        for step in range(2):
            study.report(number, step)
        study.finish(number)
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]
    gaps = [
        entry.seq - 1 - entry.event.saw
        for entry in study.entries
        if isinstance(entry.event, TrialAsked) and entry.event.saw is not None
    ]
    assert gaps == [4] * (TRIALS - 2)


def test_what_a_suggestion_did_not_see_is_found() -> None:
    """A prepared suggestion that names another event does not follow from it."""
    study = Ahead(spec_of(METHODS[0]))
    for number in range(8):
        study.begin()
        study.lookahead.begin(study.state)
        study.report(number, 0)
        study.finish(number)
    last = max(i for i, entry in enumerate(study.entries) if isinstance(entry.event, TrialAsked))
    event = study.entries[last].event
    assert isinstance(event, TrialAsked)
    assert event.saw is not None
    for saw in (event.saw + 3, last + 1, None):
        entries = [*study.entries]
        entries[last] = replace(entries[last], event=replace(event, saw=saw))
        assert not replay(entries, {}).passed, saw


def test_a_number_that_a_fork_has_taken_is_asked_anew() -> None:
    """A suggestion is dropped where its number is gone; what is asked then knows the fork."""
    study = Ahead(spec_of(METHODS[0], early_terminate=None))
    study.begin()
    record = {"id": "0@1.0", "trial": 0, "manifest": "m", "kind": "periodic"}
    study.record(CheckpointSaved(trial=0, attempt=1, step=1, checkpoint="0@1.0", record=record))
    study.lookahead.begin(study.state)
    study.record(
        TrialForked(
            trial=1,
            parent=0,
            source="0@1.0",
            step=1,
            checkpoint="1@1.0",
            record=record,
            params=study.state.trials[0].params | {"x": 5.0},
            latents={},
            inside=False,
        )
    )
    study.begin()
    event = study.state.trials[2].asked
    assert isinstance(event, TrialAsked)
    assert (event.saw, event.running) == (None, [0, 1])
    assert replay(study.entries, {}).passed


def test_nothing_is_prepared_beyond_the_total_or_while_a_trial_waits() -> None:
    """One suggestion ahead, none beyond `trials`, and none out of the order of numbers."""
    two = [asked(0), dispatched(0), asked(1), dispatched(1)]
    assert preparable(state_of(two), limits(total=3))
    assert not preparable(state_of(two), limits(total=2))
    assert not preparable(state_of([*two, asked(2)]), limits(total=9))
    assert not preparable(state_of(two), limits(lag=2))
    assert preparable(state_of([*two, finished(0)]), limits(lag=2))


def slow(study: Ahead, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have asks seem to take ``seconds``."""
    clock = iter(range(10_000))
    monkeypatch.setattr("sweep.driver.lookahead.time.perf_counter", lambda: seconds * next(clock))


@pytest.mark.parametrize(
    ("ask_s", "in_flight", "prepares"), [(0.5, 2, True), (0.01, 2, False), (0.5, 1, False)]
)
def test_auto_prepares_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, ask_s: float, in_flight: int, prepares: bool
) -> None:
    """From 2 % of a trial's time on (here: 2 and 4 s), and never where one trial runs alone."""
    study = Ahead(spec_of("random"), "auto")
    slow(study, monkeypatch, ask_s)
    for _ in range(in_flight):
        study.begin()
    study.report(0, 0)
    study.finish(0)
    study.begin()
    assert study.state.trials[0].duration in (4.0, 2.0)
    study.lookahead.begin(study.state)
    study.report(in_flight, 0)
    study.begin()
    event = study.state.trials[in_flight + 1].asked
    assert isinstance(event, TrialAsked)
    assert (event.saw is not None) == prepares
    study.lookahead.close()


def test_what_pays() -> None:
    """A notable part is more than 2 % of a trial."""
    assert pays(0.03, 1.0)
    assert not pays(0.01, 1.0)


def test_an_error_while_preparing_is_raised_where_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the sampler raises in the thread reaches the driver; after it, an ask is made anew."""
    study = Ahead(spec_of("random", early_terminate=None))
    study.begin()

    def fails(self: Ahead, standing: Any) -> TrialAsked:
        assert threading.current_thread().name == "lookahead"
        raise ProgramError("method 'm:f': raised ValueError: no")

    with monkeypatch.context() as patch:
        patch.setattr(Search, "_propose", fails)
        study.lookahead.begin(study.state)
        with pytest.raises(ProgramError, match="raised ValueError: no"):
            study.lookahead.ask(study.state)
    study.begin()
    study.lookahead.close()


def test_one_thread_prepares_all() -> None:
    """It waits for what comes next, and is gone when the study is closed."""
    study, before = Ahead(spec_of("random")), set(threading.enumerate())
    found = set[threading.Thread]()
    for number in range(6):
        study.begin()
        study.lookahead.begin(study.state)
        found |= set(threading.enumerate()) - before
        study.report(number, 0)
        study.finish(number)
    assert [each.name for each in found] == ["lookahead"]
    study.lookahead.close()
    assert found.isdisjoint(threading.enumerate())


def test_what_a_suggestion_copies_does_not_grow_with_the_study() -> None:
    """To prepare one after 16 times as many trials allocates hardly more."""

    def allocated(trials: int) -> int:
        study = Ahead(spec_of("random", early_terminate=None, trials=10_000))
        for number in range(trials):
            study.begin()
            study.record(finished(number))
            study.record(study.search.tell(study.state, study.state.trials[number]))
        tracemalloc.start()
        study.lookahead.begin(study.state)
        study.lookahead.ask(study.state)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        study.lookahead.close()
        return peak

    allocated(1)  # what is made once
    assert allocated(4000) < 1.5 * allocated(250)


def asks_of(store: Path) -> list[TrialAsked]:
    events = [entry.event for entry in read_entries(store / "s" / "journal")]
    return [event for event in events if isinstance(event, TrialAsked)]


def test_a_study_with_lookahead(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial but the first is prepared while the one before it runs, none beyond the end."""
    monkeypatch.chdir(project.root)
    spec = project.spec("s", method="tpe", trials=4, lookahead=True)
    assert run(spec, project.store) == 0
    asks = asks_of(project.store)
    assert [event.trial for event in asks] == [0, 1, 2, 3]
    assert [event.running for event in asks] == [[], [0], [1], [2]]
    assert [event.saw is not None for event in asks] == [False, True, True, True]
    assert replay(read_entries(project.store / "s" / "journal"), {}).passed


@pytest.mark.long
@pytest.mark.parametrize(
    "more", [{}, {"deterministic": True, "window": 2, "method": "tpe"}], ids=str
)
def test_every_prefix_goes_on_to_the_same_tables(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, Any],
) -> None:
    """Killed after any commit: nothing that was prepared is lost, repeated or asked twice."""
    spec = project.spec("s", program="shapes:epochs", trials=4, lookahead=True, **more)
    goes_on_from_every_prefix(project, monkeypatch, spec, derived=True)
    for prefix in (project.root / "copies").iterdir():
        assert len(asks_of(prefix)) == 4
    capsys.readouterr()
