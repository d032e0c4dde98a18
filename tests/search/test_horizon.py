"""`deterministic: true`: what is asked, judged and told follows from numbers, not from timing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from test_search import METHODS, Study, is_gp, loss, spec_of, spelled

from sweep.driver.plan import Ask, Conclude, Dispatch, Limits, Promote, is_complete, plan
from sweep.errors import ProgramError
from sweep.journal.event import (
    DriverStarted,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialPaused,
    TrialPromoted,
    TrialRestored,
    TrialState,
    TrialTold,
)
from sweep.search.replay import replay
from sweep.search.rules import CURRENT
from sweep.spec import StudySpec

PRUNERS: list[dict[str, Any]] = [
    {"type": "median", "startup_trials": 2},
    {"type": "percentile", "percentile": 30, "startup_trials": 1},
    {"type": "asha", "min_resource": 1, "reduction_factor": 2, "mode": "stop"},
    {"type": "hyperband", "max_resource": 4, "reduction_factor": 2, "mode": "stop"},
    {"type": "threshold", "upper": 3.5},
    {"type": "wilcoxon", "p_threshold": 0.5},
    {"type": "patient", "patience": 1, "min_delta": 0.0},
    {"type": "patient", "patience": 0, "then": {"type": "median"}},
    {"type": "asha", "reduction_factor": 2, "max_resource": 5},
    {"type": "hyperband", "reduction_factor": 2, "max_resource": 5},
]
STEPS = 5


def ordered(method: Any, pruner: dict[str, Any] | None = None, **values: Any) -> StudySpec:
    return spec_of(method, pruner).model_copy(
        update={"deterministic": True, "window": 5, "trials": 18} | values
    )


def simulate(
    spec: StudySpec, slots: int, timing: int, kills: float = 0.0, strides: Sequence[int] = (1,)
) -> Study:
    """Run a study on ``slots`` whose trials advance in the random order that ``timing`` gives.

    Trial n reports every so many steps as the n-th of ``strides`` says, and these anew.
    """
    return go_on(Study(spec), slots, timing, kills, strides=strides)


def go_on(
    study: Study,
    slots: int,
    timing: int,
    kills: float = 0.0,
    until: int | None = None,
    strides: Sequence[int] = (1,),
) -> Study:
    """Run it to its end, or ``until`` there are so many turns; its spec may have changed."""
    limits, chooser = Limits.of(StudySpec.model_validate(study.state.spec)), random.Random(timing)
    while not is_complete(study.state, limits) and study.state.turns != until:
        executing = [trial.number for trial in study.state.running.values() if trial.executing]
        exhausted = study.state.asked >= limits.total
        candidate = study.search.promotion.next(exhausted=exhausted)
        actions = plan(study.state, slots - len(executing), limits, 0.0, candidate)
        match actions[:1]:
            case [Ask()]:
                study.ask()
            case [Dispatch(trial=number)]:
                attempt = study.state.trials[number].attempts + 1
                study.record(
                    TrialDispatched(trial=number, attempt=attempt, session=1, checkpoint=None)
                )
            case [Promote(trial=number, rung=rung)]:
                study.record(TrialPromoted(trial=number, rung=rung))
            case [Conclude(trial=number, state=ended)]:
                end(study, number, ended)
            case _ if chooser.random() < kills:
                kill(study, chooser)
            case _:
                number = chooser.choice(executing)
                advance(study, number, strides[number % len(strides)])
    return study


def kill(study: Study, chooser: random.Random) -> None:
    """All that is not in the journal is lost, and trials go back to a checkpoint."""
    study.rebuild()
    study.record(DriverStarted(session=2, host="", pid=1, versions={}, rules=CURRENT))
    for trial in list(study.state.running.values()):
        if trial.reports:
            step = chooser.choice([None, *trial.reports])
            study.record(
                TrialRestored(trial=trial.number, attempt=1, step=step, checkpoint=None, skipped=[])
            )


def advance(study: Study, number: int, stride: int = 1) -> None:
    """The next report of a trial, and its end where that is it. Every seventh fails."""
    trial = study.state.trials[number]
    step = (-1 if trial.step is None else trial.step) + stride - 1
    value = loss(trial.params, step + 1) + 0.4 * math.sin(
        9 * step + number
    )  # now better, now worse
    pruned = study.report(number, step + 1, value)
    if pruned or step + 1 >= STEPS * stride - 1:
        ended = TrialState.PRUNED if pruned else TrialState.COMPLETE
        end(study, number, TrialState.FAILED if number % 7 == 6 else ended)
    elif trial.held_at is not None and step + 1 >= trial.rungs[trial.held_at]:
        at = {"step": trial.rungs[trial.held_at], "rung": trial.held_at, "value": value}
        study.record(TrialPaused(trial=number, attempt=1, checkpoint=None, **at))
        tell(study)


def end(study: Study, number: int, state: TrialState) -> None:
    """Finish a trial with its last value, and tell what is due."""
    trial = study.state.trials[number]
    value = None if state is TrialState.FAILED else trial.reports[max(trial.reports)].value
    study.record(TrialFinished(trial=number, attempt=1, state=state, value=value, checkpoint=None))
    tell(study)


def tell(study: Study) -> None:
    for due in study.state.due(in_order=study.spec.deterministic):
        study.record(study.search.tell(study.state, study.state.trials[due]))


def outcome(study: Study) -> Any:
    """All that was asked, reported, judged and told, without its order and times."""
    state = study.state
    return (
        [trial.asked for trial in state.trials.values()],
        [(trial.state, trial.value, trial.verdicts) for trial in state.trials.values()],
        [
            [trial.reports[step].value for step in sorted(trial.reports)]
            for trial in state.trials.values()
        ],
        [(each.trial, each.value, each.best_trial, each.best_value) for each in state.iterations],
    )


@pytest.mark.parametrize(
    ("method", "pruner"),
    [
        *(
            pytest.param(method, PRUNERS[0], marks=pytest.mark.long if is_gp(method) else ())
            for method in METHODS
        ),
        *(("tpe", pruner) for pruner in PRUNERS[1:]),
        *(
            pytest.param(method, PRUNERS[-1], marks=pytest.mark.long if is_gp(method) else ())
            for method in METHODS
            if method != "tpe"
        ),
        ({"name": "tpe", "n_startup_trials": 3, "constant_liar": True}, None),
    ],
    ids=lambda each: "none" if each is None else spelled(each),
)
def test_slots_timing_and_kills_do_not_matter(method: Any, pruner: dict[str, Any] | None) -> None:
    """1, 2 and 4 slots, other orders of events and kills give the same study, which replays."""
    spec = ordered(method, pruner)
    alone = simulate(spec, 1, 0)
    expected = outcome(alone)
    for slots, timing in ((2, 2), (4, 3)):
        other = simulate(spec, slots, timing, kills=0.1)
        assert outcome(other) == expected, (slots, timing)
    found = replay(other.entries, {})
    assert found.passed, found.deviations[:3]
    if pruner is not None:
        assert 0 < alone.state.counts[TrialState.PRUNED] < 18


@pytest.mark.parametrize("pruner", PRUNERS[-2:], ids=spelled)
def test_trials_that_report_seldom_are_in_order_too(pruner: dict[str, Any]) -> None:
    """They pass rungs and are paused later: who goes on depends on no timing all the same."""
    spec = ordered("tpe", pruner | {"max_resource": 40}, trials=40)
    strides = (1, 5, 2, 4)
    expected = outcome(simulate(spec, 1, 0, strides=strides))
    for slots, timing in ((2, 2), (4, 3)):
        other = simulate(spec, slots, timing, kills=0.1, strides=strides)
        assert outcome(other) == expected, (slots, timing)
    found = replay(other.entries, {})
    assert found.passed, found.deviations[:3]
    assert found.promotions > 10


def test_without_it_timing_matters() -> None:
    """What the test above would not show if order never mattered."""
    spec = ordered("tpe", PRUNERS[0], deterministic=False)
    assert outcome(simulate(spec, 4, 3)) != outcome(simulate(spec, 4, 4))


def test_results_are_told_in_the_order_of_numbers() -> None:
    """A result ahead of its turn waits; none is left over in the end, failed ones apart."""
    study = simulate(ordered("random"), 4, 1)
    ended = [e.event.trial for e in study.entries if isinstance(e.event, TrialFinished)]
    told = [e.event.trial for e in study.entries if isinstance(e.event, TrialTold)]
    assert ended != sorted(ended)
    assert told == [number for number in range(18) if number % 7 != 6]


def test_an_ask_sees_the_results_up_to_the_window() -> None:
    """Trial n is asked with the results up to n - window; those after it run, as it seems."""
    study = simulate(ordered("tpe"), 4, 1)
    for entry in study.entries:
        if isinstance(entry.event, TrialAsked):
            number, newest = entry.event.trial, entry.event.trial - 5
            assert entry.event.running == list(range(max(0, newest + 1), number))
            assert entry.event.told == sum(each % 7 != 6 for each in range(newest + 1))


def test_a_study_that_grows_is_as_one_that_was_large_from_the_start() -> None:
    """More `trials` later: the first of them do not see more for having been waited for."""
    spec = ordered("tpe", PRUNERS[0], trials=12)
    grown, whole = simulate(spec, 4, 1), simulate(ordered("tpe", PRUNERS[0]), 4, 2)
    study = Study(spec)
    study.entries, study.state = grown.entries, grown.state
    study.rebuild()
    study.ask()
    assert study.state.trials[12].asked == whole.state.trials[12].asked


def changed(study: Study, **values: Any) -> None:
    """The study goes on under another spec."""
    spec = StudySpec.model_validate(study.state.spec | values)
    study.record(study.search.accept(spec, "", list(values)))


def test_paused_trials_go_on_in_order_where_no_rung_holds_them_any_more() -> None:
    """`early_terminate` is taken away: as many turns count as it takes, which replays, too."""
    spec = ordered("random", PRUNERS[-2], trials=4)
    ends = []
    for slots in (1, 3):
        study = go_on(Study(spec), slots, slots, until=4)
        while study.state.running:
            advance(study, min(study.state.running))
        assert len(study.state.paused) == 4
        changed(study, early_terminate=None)
        ends.append(outcome(go_on(study, slots, slots)))
        assert study.state.counts[TrialState.COMPLETE] == 4
        found = replay(study.entries, {})
        assert found.passed, found.deviations[:3]
    assert ends[0] == ends[1]


def test_it_may_begin_while_nothing_was_judged() -> None:
    """A study whose first trials have begun, and have said nothing, may still be put in order."""
    study = Study(ordered("random", PRUNERS[-2], deterministic=False, trials=4))
    study.ask()
    changed(study, deterministic=True)
    go_on(study, 2, 1)
    assert replay(study.entries, {}).passed
    back = Study(ordered("random", PRUNERS[-2], trials=4))
    back.ask()
    changed(back, deterministic=False)
    back.report(0, 0, 1.0)
    at = {"step": 0, "rung": 1, "value": 1.0}
    back.record(TrialPaused(trial=0, attempt=1, checkpoint=None, **at))
    changed(back, early_terminate=None)
    assert back.search.promotion.next(exhausted=False) == (0, 1)


def test_members_of_a_population_go_on_in_turns() -> None:
    """Another method is accepted: what a population has begun has turns, as all that comes."""
    population = {"method": {"name": "pbt"}, "trials": 4}
    base = ordered("random").model_dump(mode="json")
    study = Study(StudySpec.model_validate(base | population))
    for step in (0, 1):
        study.report(study.ask(), step, 1.0)
    changed(study, method={"name": "random"}, early_terminate=PRUNERS[-2])
    go_on(study, 2, 1)
    assert study.state.finished == 4
    study = go_on(Study(ordered("random", PRUNERS[-2], trials=4)), 1, 1, until=4)
    while study.state.running:
        advance(study, min(study.state.running))
    changed(study, **population, early_terminate=None)
    assert study.search.promotion.next(exhausted=False) is not None


def test_result_told_out_of_turn_is_found() -> None:
    """Replay derives the order in which results are told, too."""
    study = simulate(ordered("random"), 1, 1)
    told = [i for i, entry in enumerate(study.entries) if isinstance(entry.event, TrialTold)]
    entries = list(study.entries)
    first, second = entries[told[3]], entries[told[4]]
    late = [*entries[: told[3]], *entries[told[3] + 1 : told[4] + 1], first]
    changed = [type(entry)(seq=i, time=float(i), event=entry.event) for i, entry in enumerate(late)]
    assert isinstance(second.event, TrialTold)
    found = replay(changed, {})
    assert any(each.what == "turn" for each in found.deviations)


def test_sampler_that_writes_about_the_study_when_told_is_refused() -> None:
    """What has no place in the order of numbers is one clear line, not a silent difference."""
    study = Study(ordered("test_horizon:Notes"))
    number = study.ask()
    study.report(number, 0, 1.0)
    study.record(
        TrialFinished(trial=0, attempt=1, state=TrialState.COMPLETE, value=1.0, checkpoint=None)
    )
    with pytest.raises(ProgramError, match="writes attributes of the study"):
        study.search.tell(study.state, study.state.trials[0])


def _notes() -> Any:
    import optuna

    class Notes(optuna.samplers.RandomSampler):
        def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
            study._storage.set_study_system_attr(study._study_id, "results", trial.number)

    return Notes


Notes = _notes()
