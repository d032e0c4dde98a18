"""Promotions: who is paused, who goes on, and that both follow from the journal."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from test_search import Study, spec_of

from sweep.driver.plan import Ask, Conclude, Dispatch, Limits, Promote, is_complete, plan
from sweep.journal.event import (
    DriverStarted,
    Entry,
    SpecChanged,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialState,
)
from sweep.search.replay import replay
from sweep.search.rules import CURRENT, Rules
from sweep.spec import StudySpec

ASHA = {"type": "asha", "reduction_factor": 3, "max_resource": 9}
HYPERBAND = {"type": "hyperband", "max_resource": 9}


class Paused(Study):
    """A study in memory whose trials are paused."""

    def report(self, number: int, step: int, value: float) -> bool:
        """Whether the trial must leave its slot."""
        trial = self.state.trials[number]
        rung = self.search.promotion.rung(trial, step)
        self.record(
            TrialReported(
                trial=number,
                attempt=0,
                step=step,
                value=value,
                metrics={"loss": value},
                prune=None,
                rung=rung,
            )
        )
        if rung is None:
            return False
        if self.search.promotion.at_once(number):
            self.record(TrialPromoted(trial=number, rung=rung))
            return False
        self.record(
            TrialPaused(trial=number, attempt=0, step=step, value=value, checkpoint=None, rung=rung)
        )
        return True

    def promote(self) -> int:
        chosen = self.search.promotion.next(exhausted=False)
        assert chosen is not None
        self.record(TrialPromoted(trial=chosen.trial, rung=chosen.rung))
        return chosen.trial

    @property
    def next(self) -> int | None:
        chosen = self.search.promotion.next(exhausted=False)
        return None if chosen is None else chosen.trial


def begun(study: Paused, *values: float) -> list[bool]:
    """New trials report one value each; whether each must leave."""
    return [study.report(study.ask(), 0, value) for value in values]


def test_first_promotions_by_hand() -> None:
    """Of three at the first rung the best goes on, of six the second best, too."""
    study = Paused(spec_of("random", ASHA))
    assert begun(study, 3.0, 2.0) == [True, True]
    assert study.next is None  # one of two is more than a third
    assert begun(study, 5.0) == [True]
    assert study.promote() == 1
    assert study.next is None
    assert begun(study, 4.0, 6.0) == [True, True]
    assert begun(study, 1.0) == [False]  # the best of six: it need not leave its slot
    assert study.next is None  # trial 1 and trial 5 are the best two
    assert begun(study, 7.0, 8.0, 9.0) == [True] * 3
    assert study.promote() == 0  # the third of nine


def test_highest_rung_gives_first() -> None:
    """Among rungs that have a promotable trial the highest one is taken."""
    study = Paused(spec_of("random", ASHA))
    begun(study, *(float(number) for number in range(9)))
    assert [study.promote() for _ in range(3)] == [0, 1, 2]
    assert [study.report(number, 2, number) for number in (0, 1, 2)] == [True] * 3
    begun(study, 9.0, 10.0, 11.0)
    assert study.search.promotion.next(exhausted=False) == (0, 3)
    study.promote()
    assert study.search.promotion.next(exhausted=False) == (3, 1)


@pytest.mark.parametrize(("goal", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_goal_and_nan(goal: str, sign: float) -> None:
    """Best means what the goal says, NaN is never promoted, and of equals the first one is."""
    study, nan = Paused(spec_of("random", ASHA, goal)), float("nan")
    begun(study, nan, sign * 2, sign * 3, sign * 2, sign * 3, nan)
    assert [study.promote(), study.promote(), study.next] == [1, 3, None]
    nothing = Paused(spec_of("random", ASHA, goal))
    begun(nothing, *[nan] * 6)
    assert nothing.next is None


def test_trials_that_are_over_count_at_their_rungs() -> None:
    """A trial that failed or ended by itself after it reached a rung is one of those there."""
    study = Paused(spec_of("random", ASHA))
    begun(study, 3.0, 2.0)
    number = study.ask()
    trial = study.state.trials[number]
    rung = study.search.promotion.rung(trial, 0)
    study.record(
        TrialReported(trial=number, attempt=0, step=0, value=9.0, metrics={}, prune=None, rung=rung)
    )
    study.finish(number, TrialState.FAILED)
    assert study.promote() == 1


def test_nothing_holds_trials_back_without_rungs() -> None:
    """Where early_terminate is taken away, paused trials go on, and a journal says so."""
    study = Paused(spec_of("random", ASHA))
    begun(study, 3.0, 2.0)
    changed = spec_of("random", None)
    study.record(SpecChanged(spec=changed.model_dump(mode="json"), project="", changes=["x"]))
    assert [study.promote(), study.promote(), study.next] == [1, 0, None]
    assert not study.report(1, 1, 1.0)
    assert replay(study.entries, {}).passed


def simulate(spec: StudySpec, trials: int, slots: int, *, rebuild: bool = False) -> Paused:
    """Run a study as the planner says; trials take different times, and some fail."""
    study, chooser = Paused(spec), random.Random(2)
    limits = Limits(total=trials, concurrency=slots, timeout=None, retries=0)
    running: dict[int, int] = {}
    while True:
        if rebuild:
            study.rebuild()
        while not is_complete(study.state, limits):
            before = len(study.entries)
            candidate = study.search.promotion.next(exhausted=False)
            for action in plan(study.state, slots - len(running), limits, 0.0, candidate)[:1]:
                match action:
                    case Ask():
                        study.ask()
                    case Promote():
                        study.promote()
                    case Dispatch(trial=number):
                        trial = study.state.trials[number]
                        study.record(
                            TrialDispatched(
                                trial=number, attempt=trial.attempts + 1, session=1, checkpoint=None
                            )
                        )
                        running[number] = 0 if trial.step is None else trial.step + 1
                    case Conclude(trial=number, state=state):
                        study.finish(number, state)
            if len(study.entries) == before:
                break
        if not running:
            return study
        number = chooser.choice(sorted(running))
        step = running[number]
        value = (number * 37 % 101) / 101 + 1 / (step + 1)
        left = study.report(number, step, value)
        if not left and number % 17 == 16 and step == 1:
            study.finish(number, TrialState.FAILED)
            left = True
        elif not left and step == 8:
            study.finish(number)
            left = True
        running[number] += 1
        if left:
            del running[number]


def assert_invariants(study: Paused, factor: int) -> None:
    """At each promotion the trial is in the best 1/eta of those that reached the rung by then."""
    reached: dict[tuple[int, int | None], dict[int, float]] = {}
    promoted: set[tuple[int, int]] = set()
    asked: dict[int, Any] = {}
    for entry in study.entries:
        event = entry.event
        if event.type == "trial_asked":
            asked[event.trial] = event.bracket
        if isinstance(event, TrialReported) and event.rung is not None:
            assert event.value is not None
            reached.setdefault((event.rung, asked[event.trial]), {})[event.trial] = event.value
        if isinstance(event, TrialPromoted):
            values = reached[event.rung, asked[event.trial]]
            best = sorted(values, key=lambda number: (values[number], list(values).index(number)))
            assert event.trial in best[: len(values) // factor]
            assert (event.trial, event.rung) not in promoted
            promoted.add((event.trial, event.rung))


@pytest.mark.parametrize("slots", [1, 7])
@pytest.mark.parametrize("pruner", [ASHA, HYPERBAND], ids=["asha", "hyperband"])
def test_two_hundred_trials(pruner: dict[str, Any], slots: int) -> None:
    """Every promotion is one of the paper's, none comes twice, and the study completes."""
    study = simulate(spec_of("random", pruner), 200, slots)
    assert_invariants(study, 3)
    counts = study.state.counts
    assert sum(counts.values()) == study.state.finished == 200
    assert counts[TrialState.COMPLETE] >= 10
    assert counts[TrialState.PRUNED] > 100 if pruner is ASHA else counts[TrialState.PRUNED] > 30
    found = replay(study.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.promotions >= 50
    assert found.pauses > 50


@pytest.mark.parametrize("pruner", [ASHA, HYPERBAND], ids=["asha", "hyperband"])
def test_rebuilt_promotion_decides_identically(pruner: dict[str, Any]) -> None:
    """Promotions after a kill are those of a study that never stopped."""
    spec = spec_of("tpe", pruner)
    kept, rebuilt = simulate(spec, 24, 3), simulate(spec, 24, 3, rebuild=True)
    assert kept.entries == rebuilt.entries


def test_paused_trials_are_over_once_nothing_can_promote_them() -> None:
    """The trials that are left paused are the last to be finished, with their last value."""
    study = simulate(spec_of("random", ASHA), 12, 2)
    ends = [each.event for each in study.entries if isinstance(each.event, TrialFinished)]
    states = [end.state for end in ends]
    assert states == sorted(states, key=lambda state: state is TrialState.PRUNED)
    assert all(end.value is not None for end in ends if end.state is TrialState.PRUNED)


def test_sampler_learns_from_paused_trials() -> None:
    """To TPE a paused trial is a result: what is proposed next depends on its value."""
    method = {"name": "tpe", "n_startup_trials": 4}
    values = [5.0, 3.0, 2.5, 2.0, 4.0, 6.0]
    one, other = Paused(spec_of(method, ASHA)), Paused(spec_of(method, ASHA))
    begun(one, *values)
    begun(other, *(8.0 - value for value in values))
    later = [study.search.ask(study.state).params for study in (one, other)]
    assert later[0] != later[1]
    fresh = Paused(spec_of(method, None))
    for value in values:
        fresh.report(fresh.ask(), 0, value)
    assert fresh.search.ask(fresh.state).params not in later  # those that run tell it nothing


LATE = {"type": "asha", "min_resource": 32, "reduction_factor": 2}


def curve(step: int, level: float) -> float:
    """A loss that falls with training, so that whoever has had more of it looks better."""
    return level + 1 - step / 100


@pytest.mark.parametrize("rules", list(Rules))
def test_whoever_reports_seldom_is_compared_at_equal_steps(rules: Rules) -> None:
    """At rung 32 the value of step 39 says nothing against a better trial's of step 34."""
    study = Paused(spec_of("random", LATE), rules)
    seldom, often = study.ask(), study.ask()
    for step in (9, 19, 29, 39):
        left = study.report(seldom, step, curve(step, 0.03))
    assert left
    left = [study.report(often, step, curve(step, 0.0)) for step in range(4, 39, 5)]
    equal = rules >= Rules.EQUAL_STEPS
    assert curve(39, 0.03) < curve(34, 0.0)
    assert left == [False] * 7 if equal else left == [False] * 6 + [True]
    assert study.next == (None if equal else seldom)  # the better one goes on at once
    found = replay(study.entries, {})
    assert found.passed, found.deviations


def test_a_trial_without_an_earlier_report_waits_for_others_of_its_step() -> None:
    """It is neither held against values of earlier steps, nor are they against its own."""
    study = Paused(spec_of("random", LATE))
    late = study.ask()
    assert study.report(late, 39, curve(39, 0.03))
    early = study.ask()
    for step in (19, 34):
        study.report(early, step, curve(step, 0.0))
    assert study.next is None  # each is alone at its step
    other = study.ask()
    assert not study.report(other, 39, curve(39, 0.02))  # the better one of two at that step
    assert study.next is None


def test_rules_change_in_the_middle_of_a_study() -> None:
    """A resume by a newer sweep compares what an older one has paused at equal steps."""
    study = Paused(spec_of("random", LATE), Rules.LATEST)
    seldom, often = study.ask(), study.ask()
    for step in (29, 39):
        study.report(seldom, step, curve(step, 0.03))
    for step in (29, 34):
        study.report(often, step, curve(step, 0.0))
    assert study.next == seldom
    study.record(DriverStarted(session=2, host="", pid=1, versions={}, rules=CURRENT))
    assert study.next == often
    study.promote()
    study.rebuild()
    assert study.next is None
    found = replay(study.entries, {})
    assert found.passed, found.deviations


def changed(entries: list[Entry], kind: type, **values: Any) -> list[Entry]:
    """The entries with the last one of ``kind`` changed."""
    last = max(each.seq for each in entries if isinstance(each.event, kind))
    event = replace(entries[last].event, **values)
    return [*entries[:last], replace(entries[last], event=event), *entries[last + 1 :]]


def test_replay_finds_a_decision_that_was_not_due() -> None:
    """A rung, a pause, or a promotion that does not follow from the journal is named."""
    study = Paused(spec_of("random", ASHA))
    begun(study, 3.0, 2.0, 5.0)
    study.promote()
    assert replay(study.entries, {}).passed
    wrong: list[tuple[str, list[Entry]]] = [
        ("promotion", changed(study.entries, TrialPromoted, trial=0)),
        ("step", changed(study.entries[:-1], TrialPaused, step=1)),
        ("rung at step 0", changed(study.entries[:-2], TrialReported, rung=None)),
        (
            "promotion at once",
            changed(study.entries[:-1], TrialReported, value=1.0, metrics={"loss": 1.0}),
        ),
    ]
    for what, entries in wrong:
        assert what in [each.what for each in replay(entries, {}).deviations]
    left_out = Paused(spec_of("random", ASHA))
    begun(left_out, 3.0, 2.0, 5.0, 6.0)  # trial 1 could have gone on before trial 3 was asked
    assert [each.what for each in replay(left_out.entries, {}).deviations] == [
        "promotion before it"
    ]
