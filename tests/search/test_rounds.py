"""A population under `deterministic: true`: members wait for each other, and order is all."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from test_population import Study, spec_of

from sweep.driver.plan import Ask, Conclude, Dispatch, Exploit, Judge, Limits, is_complete, plan
from sweep.journal.event import (
    AttemptFailed,
    AttemptStopped,
    TrialJudged,
    TrialRestored,
    TrialState,
)
from sweep.journal.state import Trial
from sweep.search.replay import replay
from sweep.search.search import Search
from sweep.spec import StudySpec

EPOCHS = 9
FAILS = 1
"""The trial that fails in its third step."""


def ordered(**values: Any) -> StudySpec:
    spec = spec_of(6, quantile_fraction=0.34)
    return spec.model_copy(update={"deterministic": True} | values)


class Rounds:
    """A study in memory on ``slots``, whose members advance in the order that ``timing`` gives."""

    def __init__(self, spec: StudySpec, slots: int, timing: int, kills: float = 0.0) -> None:
        self.study, self.limits, self.slots = Study(spec), Limits.of(spec), slots
        self.chooser, self.kills, self.killed = random.Random(timing), kills, 0
        self.fails: int | None = FAILS
        self.executed = self.taken_back = 0

    def value(self, trial: Trial, step: int) -> float:
        """What a trial reports at a step."""
        return float(abs(trial.params["lr"] - 0.3) + trial.params["width"] / (step + 1))

    def run(self) -> Study:
        study = self.study
        while not is_complete(study.state, self.limits):
            executing = [each.number for each in study.state.running.values() if each.executing]
            actions = plan(study.state, self.slots - len(executing), self.limits, 0.0)
            match actions[:1]:
                case [Ask()]:
                    study.record(study.search.ask(study.state))
                case [Dispatch(trial=number)]:
                    study.run(number)
                    self._restore(number)
                case [Judge(trial=number)]:
                    found = study.rules.judgement(study.state, study.state.trials[number])
                    assert found is not None
                    study.record(TrialJudged(trial=number, step=found[0], prune=found[1]))
                case [Exploit(trial=number)]:
                    study.exploit(number)
                case [Conclude(trial=number, state=state)]:
                    study.end(number, state)
                case _ if self.chooser.random() < self.kills:
                    self._kill()
                case _:
                    self._advance(self.chooser.choice(executing))
        return study

    def _restore(self, number: int) -> None:
        """It goes on from what it has saved last."""
        trial = self.study.state.trials[number]
        step = trial.kept[-1].step if trial.kept else None
        self.taken_back += sum(step is None or each > step for each in trial.reports)
        self.study.record(
            TrialRestored(
                trial=number, attempt=trial.attempts, step=step, checkpoint=None, skipped=[]
            )
        )

    def _kill(self) -> None:
        """All that is not in the journal is lost."""
        self.killed += 1
        self.study.search = Search(self.study.spec)
        for entry in self.study.entries:
            self.study.search.apply(entry.event)
        self.study.start()

    def _advance(self, number: int) -> None:
        """The next report of a member, after which it may save, wait, fail or end."""
        study, trial = self.study, self.study.state.trials[number]
        begun = trial.fork.step if trial.fork is not None else None
        step = max(trial.reports, default=-1 if begun is None else begun) + 1
        last = step == EPOCHS - 1
        self.executed += 1
        verdict = study.report(number, step, self.value(trial, step), last=last)
        if last:
            study.save(number, step, "final")
            study.end(number, TrialState.COMPLETE)
        elif verdict:
            study.save(number, step, "pruned")
            study.end(number)
        elif number == self.fails and step == 2:
            study.record(AttemptFailed(trial=number, attempt=1, reason="", error=""))
            study.end(number, TrialState.FAILED)
        elif study.rules.makes_room(study.state, trial, step, verdict):
            study.save(number, step, "stop")
            study.record(AttemptStopped(trial=number, attempt=trial.attempts))
        elif self.chooser.random() < 0.5:
            study.save(number, step)


def outcome(study: Study) -> Any:
    """All that was asked, reported, judged and forked, without its order and times."""
    told = [(each.trial, each.value, each.best_trial) for each in study.state.iterations]
    return told, [
        (
            trial.params,
            trial.fork and (trial.fork.parent, trial.fork.source, trial.fork.exploits),
            trial.state,
            trial.value,
            trial.verdicts,
            {step: report.value for step, report in sorted(trial.reports.items())},
        )
        for trial in study.state.trials.values()
    ]


def test_slots_timing_and_kills_do_not_matter() -> None:
    """1, 2 and 6 slots, other orders of events and kills give the same members; they replay."""
    alone = Rounds(ordered(), 1, 0).run()
    expected = outcome(alone)
    assert alone.state.forks >= 4
    assert alone.state.counts[TrialState.FAILED] == 1
    for slots, timing in ((2, 2), (4, 3), (6, 4), (6, 5)):
        other = Rounds(ordered(), slots, timing, kills=0.1)
        study = other.run()
        assert outcome(study) == expected, (slots, timing)
        assert other.killed
        found = replay(study.entries, {})
        assert found.passed, found.deviations[:3]
        assert found.exploits == alone.state.forks


def test_without_it_timing_matters() -> None:
    """What the test above would not show if order never mattered."""
    spec = ordered(deterministic=False)
    assert outcome(Rounds(spec, 4, 3).run()) != outcome(Rounds(spec, 4, 4).run())


def test_a_changed_verdict_is_found_by_replay() -> None:
    """It follows from the values of the round."""
    study = Rounds(ordered(), 2, 1).run()
    at = next(i for i, e in enumerate(study.entries) if isinstance(e.event, TrialJudged))
    entry = study.entries[at]
    changed = TrialJudged(
        trial=entry.event.trial, step=entry.event.step, prune=not entry.event.prune
    )
    study.entries[at] = type(entry)(seq=entry.seq, time=entry.time, event=changed)
    found = replay(study.entries[: at + 1], {})
    assert [each.what for each in found.deviations] == ["verdict"]


def test_who_went_on_unjudged_is_found_by_replay() -> None:
    """A verdict that was taken out leaves a member that did not wait for it."""
    study = Rounds(ordered(), 2, 1).run()
    events = [entry.event for entry in study.entries]
    verdicts = [each for each in events if isinstance(each, TrialJudged)]
    left_out = next(each for each in verdicts if not each.prune)
    events.remove(left_out)
    entries = [replace(study.entries[i], seq=i, event=each) for i, each in enumerate(events)]
    found = replay(entries, {}).deviations
    assert (left_out.trial, "wait for others") in [(each.trial, each.what) for each in found]


def test_values_of_later_steps_do_not_count() -> None:
    """A member that is further, since there are more trials now, is taken as it was at the step."""
    study = Study(ordered(trials=4))
    for values in ({1: 5.0, 3: 0.0}, {1: 6.0, 3: 0.0}, {1: 7.0, 3: 0.0}, {1: 5.5}):
        number = study.begin()
        for step, value in values.items():
            study.report(number, step, value)
            study.save(number, step, "stop")
        study.record(AttemptStopped(trial=number, attempt=1))
    assert study.rules.unjudged(study.state) == [3]
    assert study.rules.judgement(study.state, study.state.trials[3]) == (1, False)


def test_nobody_is_judged_before_all_have_come() -> None:
    """Each verdict comes when no member runs, and all stand at the end of the same interval."""
    study = Rounds(ordered(), 4, 7).run()
    judged = Study(study.spec)
    rounds = []
    for entry in study.entries[2:]:
        if isinstance(entry.event, TrialJudged):
            running = judged.state.running.values()
            assert not any(trial.executing for trial in running)
            rounds.append((entry.event.step + 1) // 2)
        judged.record(entry.event)
    assert rounds == sorted(rounds)
    assert set(rounds) == {1, 2, 3, 4}


@pytest.mark.parametrize("slots", [1, 6])
def test_every_member_comes_to_its_end(slots: int) -> None:
    """A member that made way has a successor, unless nobody was better; six end by themselves."""
    study = Rounds(ordered(), slots, 3).run()
    counts = study.state.counts
    assert counts[TrialState.COMPLETE] + counts[TrialState.FAILED] == 6
    assert counts[TrialState.PRUNED] == study.state.forks
