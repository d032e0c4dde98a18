"""The rules of a population: states in, verdicts, successions and turns out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.journal.event import (
    AttemptStopped,
    CheckpointSaved,
    DriverStarted,
    Entry,
    Event,
    StudyCreated,
    TrialDispatched,
    TrialFinished,
    TrialReported,
    TrialState,
)
from sweep.journal.fold import apply
from sweep.journal.row import decode, encode
from sweep.journal.state import StudyState
from sweep.search import population
from sweep.search.fork import forked, vary
from sweep.search.population import EXPLOITED, Population
from sweep.search.replay import replay
from sweep.search.rules import CURRENT, Rules
from sweep.search.search import Search
from sweep.spec import StudySpec

PARAMETERS = {"lr": {"min": 0.0, "max": 1.0}, "width": {"min": 1, "max": 64}}


def spec_of(trials: int = 4, goal: str = "minimize", **options: Any) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": "s",
            "program": "m:f",
            "method": {"name": "pbt", "perturbation_interval": 2, **options},
            "metric": {"name": "loss", "goal": goal},
            "parameters": PARAMETERS,
            "trials": trials,
            "seed": 5,
        }
    )


class Study:
    """A journal in memory, its fold, and the rules."""

    def __init__(self, spec: StudySpec, rules: int = CURRENT) -> None:
        self.spec, self.state, self.entries = spec, StudyState(), list[Entry]()
        self.search, self.sessions = Search(spec), 0
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))
        self.start(rules)

    def start(self, rules: int = CURRENT) -> None:
        """A driver begins; what its predecessor had running waits."""
        self.sessions += 1
        self.record(DriverStarted(session=self.sessions, host="", pid=1, versions={}, rules=rules))

    @property
    def rules(self) -> Population:
        assert self.search.population is not None
        return self.search.population

    def record(self, event: Event) -> None:
        entry = Entry(seq=len(self.entries), time=float(len(self.entries)), event=event)
        entry = decode(encode(entry))
        self.entries.append(entry)
        apply(self.state, entry)
        self.search.apply(entry.event)

    def begin(self) -> int:
        asked = self.search.ask(self.state)
        self.record(asked)
        self.run(asked.trial)
        return asked.trial

    def run(self, number: int) -> None:
        attempt = self.state.trials[number].attempts + 1
        self.record(TrialDispatched(trial=number, attempt=attempt, session=1, checkpoint=None))

    def report(self, number: int, step: int, value: float, *, last: bool = False) -> bool | None:
        trial = self.state.trials[number]
        verdict = self.rules.judge(self.state, trial, step, value, last=last)
        self.record(
            TrialReported(
                trial=number,
                attempt=1,
                step=step,
                value=value,
                metrics={"loss": value},
                prune=verdict,
                last=last,
            )
        )
        return verdict

    def save(self, number: int, step: int, kind: str = "periodic", content: str = "full") -> str:
        name = f"{number}@{step + 1}.0"
        record = {"kind": kind, "content": content}
        self.record(
            CheckpointSaved(trial=number, attempt=1, step=step, checkpoint=name, record=record)
        )
        return name

    def end(self, number: int, state: TrialState = TrialState.PRUNED) -> None:
        failed = state is TrialState.FAILED
        value = self.state.trials[number].reports[max(self.state.trials[number].reports)].value
        self.record(
            TrialFinished(
                trial=number,
                attempt=1,
                state=state,
                value=None if failed or value is None or math.isnan(value) else value,
                checkpoint=None,
                reason=EXPLOITED if state is TrialState.PRUNED else None,
            )
        )
        for due in self.state.due(in_order=self.spec.deterministic):
            self.record(self.search.tell(self.state, self.state.trials[due]))

    def exploit(self, number: int) -> int:
        found = self.rules.succession(self.state, number)
        assert found is not None
        trial, metrics = len(self.state.trials), {}
        parent = self.state.trials[found.parent]
        step = parent.checkpoints[found.source].step
        at = parent.reports.get(step or 0)
        if at is not None and at.value is not None:
            metrics = {"loss": at.value}
        record = {"id": f"{trial}@f", "trial": trial, "step": step, "kind": "fork"}
        varied = vary(self.spec.space, found.params, {})
        self.record(
            forked(
                found.parent, found.source, record | {"metrics": metrics}, varied, exploits=number
            )
        )
        return trial


def members(study: Study, *values: float, step: int = 1) -> None:
    """Members that have reported these values, each at ``step`` and saved there."""
    for value in values:
        number = study.begin()
        study.report(number, step, value)
        study.save(number, step)


@pytest.mark.parametrize(
    ("others", "mine", "verdict"),
    [
        ((1, 2, 3), 4.0, True),
        ((1, 2, 3), 2.5, False),
        ((1, 2, 3), 0.0, False),
        ((1, 2, 3), math.nan, True),
        ((1, 2, 3), math.inf, True),
        ((4, 4, 4), 4.0, False),
        ((math.nan, math.nan, math.nan), math.nan, False),
        ((1, 2, math.nan), 4.0, False),
        ((1, 2), 4.0, False),
        ((), 4.0, False),
    ],
)
def test_the_worst_quarter_makes_way(others: tuple[float, ...], mine: float, verdict: bool) -> None:
    """Of four members one, where it is worse than the best; of fewer nobody."""
    study = Study(spec_of())
    members(study, *others)
    number = [study.begin() for _ in range(4 - len(others))][-1]
    assert study.report(number, 0, mine) is None
    assert study.report(number, 1, mine) is verdict


def test_of_eight_members_two_are_the_worst_and_the_goal_counts() -> None:
    study = Study(spec_of(8, goal="maximize"))
    members(study, 1, 2, 3, 4, 5, 6, 7)
    number = study.begin()
    judged = [
        study.rules.judge(study.state, study.state.trials[number], 1, value, last=False)
        for value in (0.5, 1.5, 2.5)
    ]
    assert judged == [True, True, False]


def test_only_ends_of_intervals_are_judged() -> None:
    """After two, four and six steps, or at the next report; not at the end of the trial."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    number = study.begin()
    verdicts = [study.report(number, step, 2.5) for step in (0, 1, 2, 4, 5)]
    assert verdicts == [None, False, None, False, False]
    assert study.report(number, 7, 99.0, last=True) is None


def test_only_values_of_the_same_step_count() -> None:
    """Neither those of members that are further, nor of those that are behind."""
    study = Study(spec_of())
    members(study, 5, 5, 5)
    for number in range(3):
        study.report(number, 9, 0.0)
        study.save(number, 9)
    number = study.begin()
    assert study.report(number, 1, 4.0) is False
    assert study.report(number, 7, 4.0) is False
    assert study.report(number, 9, 4.0) is True


def test_an_older_session_compares_with_the_latest_values() -> None:
    """What an older sweep has judged is replayed by its own rules, to the session that ends them.

    Whoever is ahead was judged against those behind: that is why there are others now.
    """
    study = Study(spec_of(), Rules.LATEST)
    members(study, 1, 2, 3)
    number = study.begin()
    assert study.report(number, 3, 4.0) is True
    study.end(number)
    study.exploit(number)
    study.start()
    for other in (0, 1, 2, 4):
        study.run(other)
    assert [study.report(other, 5, 9.0 + other) for other in range(3)] == [False] * 3
    found = replay(study.entries, {})
    assert found.passed, found.deviations
    assert found.exploits == 1
    entries = list(study.entries)
    entries[1] = replace(entries[1], event=replace(entries[1].event, rules=CURRENT))
    assert "verdict at step 3" in [each.what for each in replay(entries, {}).deviations]


def test_a_verdict_is_given_again() -> None:
    """What the journal holds stays, whatever the others have reported since."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    number = study.begin()
    assert study.report(number, 1, 9.0) is True
    for other in range(3):
        study.report(other, 1, 99.0)
    assert study.report(number, 1, 9.0) is True


@pytest.mark.parametrize("why", ["complete", "ending", "unsaved", "light", "judged", "behind"])
def test_a_parent_must_be_able_to_give(why: str) -> None:
    """The best are those that are not over, and have saved what is worth going on from."""
    study = Study(spec_of())
    number = study.begin()
    study.report(number, 0, 1.0)
    study.report(number, 1, 1.0)
    if why == "behind":
        study.save(number, -1)  # before its first step
    elif why != "unsaved":
        study.save(number, 1, content="light" if why == "light" else "full")
    if why == "judged":
        study.state.trials[number].judge(1, prune=True)
    members(study, 2, 3)
    if why == "ending":
        study.report(number, 2, 1.0, last=True)
    if why == "complete":
        study.end(number, TrialState.COMPLETE)
    last = study.begin()
    assert study.report(last, 1, 4.0) is True  # there is a next best one
    study.end(last)
    found = study.rules.succession(study.state, last)
    assert found is not None
    assert found.parent == 1


def test_nobody_makes_way_where_nobody_can_give() -> None:
    """Where all others are over, or have saved nothing, a member goes on."""
    study = Study(spec_of())
    for value in (1, 2, 3):
        study.report(study.begin(), 1, value)
    assert study.report(study.begin(), 1, 4.0) is False


def test_the_place_is_taken_by_a_fork_of_the_best() -> None:
    """Off its newest checkpoint, with parameters near its own; the replay derives the same."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    study.save(0, 2)
    number = study.begin()
    study.report(number, 1, 4.0)
    assert study.rules.vacant(study.state) == []
    study.save(number, 1, "pruned")
    study.end(number)
    assert study.rules.vacant(study.state) == [number]
    found = study.rules.succession(study.state, number)
    assert found is not None
    assert (found.exploits, found.parent, found.source) == (number, 0, "0@3.0")
    child = study.exploit(number)
    assert study.state.trials[number].successor == child
    assert study.rules.vacant(study.state) == []
    assert study.rules.succession(study.state, number) is None
    assert study.state.asked == 4
    result = replay(study.entries, {})
    assert result.passed, result.deviations
    assert (result.exploits, result.forks, result.suggestions) == (1, 1, 4)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("trial_forked", {"parent": 1, "source": "1@2.0"}),
        ("trial_forked", {"source": "0@2.0"}),
        ("trial_forked", {"exploits": 2}),
        ("trial_forked", {"params": {"lr": 0.5, "width": 3}}),
        ("trial_reported", {"prune": False}),
    ],
)
def test_a_changed_decision_is_found_by_replay(kind: str, change: dict[str, Any]) -> None:
    study = Study(spec_of())
    members(study, 1, 2, 3)
    study.save(0, 2)
    number = study.begin()
    study.report(number, 1, 4.0)
    study.end(number)
    study.exploit(number)
    entries = list(study.entries)
    place = max(at for at, entry in enumerate(entries) if entry.event.type == kind)
    event = entries[place].event
    entries[place] = replace(entries[place], event=replace(event, **change))
    assert not replay(entries[: place + 1], {}).passed


def test_forks_of_one_checkpoint_differ() -> None:
    """With the same parameters, or those of the parent, they would train alike to the last bit."""
    spec = spec_of(8, perturbation_factors=[0.5, 2.0], resample_probability=0.0)
    lone = {"lr": {"min": 0.0, "max": 1.0}}
    spec = StudySpec.model_validate(spec.model_dump(mode="json") | {"parameters": lone})
    for seed in range(5):
        study = Study(spec.model_copy(update={"seed": seed}))
        members(study, 1, 9, 9, 9, 9, 9, 9)
        children = []
        for number in (study.begin(), 1):
            study.state.trials[number].judge(1, prune=True)
            study.report(number, 1, 99.0)
            study.end(number)
            study.state.trials[number].successor = None
            found = study.rules.succession(study.state, number)
            assert found is not None
            children.append((found.parent, tuple(found.params.values())))
            study.exploit(number)
        assert len(set(children)) == 2
        assert all(study.state.trials[at].params["lr"] != lr for at, (lr,) in children)


def test_a_fork_is_compared_an_interval_after_it_began() -> None:
    """What it has inherited is its parent's: the value at that step is of the one replaced."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    number = study.begin()
    study.report(number, 1, 4.0)
    study.end(number)
    child = study.exploit(number)
    trial = study.state.trials[child]
    assert trial.fork is not None
    assert trial.fork.step == 1
    assert study.rules._values(study.state, 1, without=0) == {1: 2.0, 2: 3.0, 3: 4.0}
    for other in range(3):
        study.report(other, 3, 1.0)
        study.save(other, 3)
    study.run(child)
    assert study.report(child, 2, 9.0) is None
    assert study.report(child, 3, 9.0) is True


def test_one_that_makes_room_is_judged_when_it_is_its_turn_again() -> None:
    """On one slot the first to come is held against those that come after it, too."""
    study = Study(spec_of())
    for value in (9.0, 1.0, 2.0):
        number = study.begin()
        assert study.report(number, 1, value) is None
        assert study.rules.makes_room(study.state, study.state.trials[number], 1, None)
        study.save(number, 1, "stop")
        study.record(AttemptStopped(trial=number, attempt=1))
    number = study.begin()
    assert study.report(number, 1, 3.0) is False  # all have come
    first = study.state.trials[0]
    assert study.rules.awaits_verdict(study.state, first)
    assert not study.rules.may_run(study.state, first)
    assert study.rules.judgement(study.state, first) == (1, True)
    assert study.rules.judgement(study.state, study.state.trials[1]) == (1, False)
    assert study.rules.judgement(study.state, study.state.trials[number]) is None


def test_a_place_is_not_taken_for_ever() -> None:
    """Also where trials begin anew at each fork, so that steps alone would bound nothing."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    number = study.begin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(population, "GENERATIONS", 1)
        assert study.report(number, 1, 4.0) is True
        study.end(number)
        child = study.exploit(number)
        study.run(child)
        for other in range(3):
            study.report(other, 3, 1.0)
            study.save(other, 3)
        assert study.report(child, 3, 9.0) is False


def test_what_another_method_pruned_is_not_replaced() -> None:
    """Of a study whose method was changed: only who made way in the population has a successor."""
    study = Study(spec_of())
    members(study, 1, 2, 3)
    number = study.begin()
    study.report(number, 1, 4.0)
    study.end(number)
    assert study.rules.vacant(study.state) == [number]
    study.state.trials[number].reason = None
    assert study.rules.vacant(study.state) == []
    assert study.rules.succession(study.state, number) is None


def test_nobody_worse_takes_a_place() -> None:
    """Where the better ones have ended meanwhile, the place stays vacant."""
    study = Study(spec_of())
    members(study, 1, 2, 5)
    number = study.begin()
    assert study.report(number, 1, 5.0) is True
    study.end(number)
    for other in (0, 1):
        study.end(other, TrialState.COMPLETE)
    assert study.rules.vacant(study.state) == []
    assert study.rules.succession(study.state, number) is None


def test_turns_go_to_those_furthest_behind() -> None:
    """By what is saved; one that only has to end comes first."""
    study = Study(spec_of())
    members(study, 1, 1, 1, step=3)
    study.begin()
    turns = [study.rules.turn(trial) for trial in study.state.trials.values()]
    assert turns == [(2, 0), (2, 1), (2, 2), (0, 3)]
    study.report(1, 4, 1.0, last=True)
    assert study.rules.turn(study.state.trials[1]) == (-1, 1)
    study.save(2, 4, "final")
    assert study.rules.turn(study.state.trials[2]) == (-1, 2)


@pytest.mark.parametrize(
    ("stands", "step", "asked", "makes_room"),
    [(1, 1, 3, True), (1, 1, 4, True), (0, 0, 4, False), (3, 1, 4, True)],
)
def test_a_member_makes_room_for_those_behind_it(
    stands: int, step: int, asked: int, makes_room: bool
) -> None:
    """And for members that have not begun; never for one whose turn is after its own."""
    study = Study(spec_of())
    members(study, 1, 1, 1, 1, step=0)
    study.start()
    study.run(stands)
    study.state.asked = asked
    trial = study.state.trials[stands]
    assert study.rules.makes_room(study.state, trial, step, False) is makes_room


values = st.floats(-3, 3) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(values, min_size=1, max_size=9), values, st.sampled_from([0.1, 0.25, 0.34, 0.5]))
@settings(deadline=None, max_examples=50)
def test_whoever_makes_way_is_replaced_by_a_better_one(
    others: list[float], mine: float, quantile: float
) -> None:
    """However the values are: at most the quantile makes way, and each for one that is better."""
    study = Study(spec_of(10, quantile_fraction=quantile))
    members(study, *others)
    number = [study.begin() for _ in range(10 - len(others))][-1]
    if not study.report(number, 1, mine):
        return
    worse = sum(other > mine or (math.isnan(other) and not math.isnan(mine)) for other in others)
    assert worse < math.floor(quantile * (len(others) + 1) + 1e-9)
    study.end(number)
    found = study.rules.succession(study.state, number)
    assert found is not None
    parent = others[found.parent]
    assert parent < mine or (math.isnan(mine) and not math.isnan(parent))
    assert vary(study.spec.space, found.params, {}).inside


def test_the_first_members_are_those_of_random() -> None:
    """The same seed gives what method random gives."""
    study = Study(spec_of())
    alike = StudySpec.model_validate(study.spec.model_dump(mode="json") | {"method": "random"})
    plain = Study(alike)
    for _ in range(3):
        ours, theirs = study.begin(), plain.begin()
        assert study.state.trials[ours].params == plain.state.trials[theirs].params
