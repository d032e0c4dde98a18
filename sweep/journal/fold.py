"""The fold: a journal's entries become the state of the study.

`apply` is the only way in which a state changes. The running driver, a resume, the tables and
`sweep show` all go through it, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sweep.errors import JournalError
from sweep.journal.attempt import Attempt, End
from sweep.journal.event import (
    PREAMBLE,
    TRANSITIONS,
    AttemptFailed,
    AttemptInterrupted,
    AttemptStopped,
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointRetired,
    CheckpointSaved,
    DriverStarted,
    DriverStopped,
    Entry,
    HistoryAdded,
    SpaceExhausted,
    SpecChanged,
    StudyCreated,
    TrialAsked,
    TrialDispatched,
    TrialFinished,
    TrialForked,
    TrialJudged,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRestored,
    TrialRetried,
    TrialState,
    TrialStopped,
    TrialTold,
)
from sweep.journal.measured import with_measured
from sweep.journal.state import Checkpoint, Iteration, Report, StudyState, Trial


def fold(entries: Iterable[Entry]) -> StudyState:
    """The state after ``entries``."""
    state = StudyState()
    for entry in entries:
        apply(state, entry)
    return state


def apply(state: StudyState, entry: Entry) -> None:
    """Advance ``state`` by one entry.

    Raises:
        JournalError: the entry cannot follow what came before it.
    """
    if entry.seq != state.seq + 1:
        raise JournalError(f"event {entry.seq} follows event {state.seq}: the journal has a hole")
    event = entry.event
    if state.idling.slots and state.spec.get("deterministic"):
        executing = sum(trial.executing for trial in state.running.values())
        state.idling.passed(entry.time - state.time, executing)
    try:
        _APPLY[event.type](state, event, entry.time)
    except KeyError as error:
        raise JournalError(
            f"event {entry.seq} ({event.type}) names {error}, which the journal does not know"
        ) from error
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        raise JournalError(
            f"event {entry.seq} ({event.type}) cannot be what was written: {error}"
        ) from error
    state.seq = entry.seq
    state.time = entry.time
    if event.type not in PREAMBLE:
        state.heard = entry.time


def _created(state: StudyState, event: StudyCreated, time: float) -> None:
    state.spec, state.project, state.created = event.spec, event.project, time


def _changed(state: StudyState, event: SpecChanged, time: float) -> None:
    if any(state.spec.get(name) != event.spec.get(name) for name in _EXHAUSTIBLE):
        state.exhausted = None
    state.spec, state.project = event.spec, event.project
    left_out = {each[0]: each[1] for each in event.left_out}
    for number, trial in state.trials.items():
        trial.left_out = left_out.get(number)


_EXHAUSTIBLE = ("parameters", "space", "method", "duplicates")
"""What of a spec decides whether every combination was tried."""


def _exhausted(state: StudyState, event: SpaceExhausted, time: float) -> None:
    state.exhausted = event.tried


def _history_added(state: StudyState, event: HistoryAdded, time: float) -> None:
    state.histories.append(event)


def _driver_started(state: StudyState, event: DriverStarted, time: float) -> None:
    _end_session(state)
    state.session, state.stopped, state.sessions = event, None, event.session
    state.session_started = time
    state.rules = event.rules
    state.sources = state.sources | event.sources
    state.idling.begin(event.slots)
    state.setbacks.clear()
    for trial in state.running.values():
        trial.setbacks = 0


def _driver_stopped(state: StudyState, event: DriverStopped, time: float) -> None:
    state.heard = time
    _end_session(state)
    state.stopped = event


def _end_session(state: StudyState) -> None:
    """A session that was killed lasted until it was last heard of."""
    if state.session is not None and state.stopped is None:
        state.active_s += state.heard - state.session_started
    for trial in state.running.values():
        _end_attempt(trial, state.heard, End.KILLED)


def _end_attempt(trial: Trial, time: float, end: End) -> None:
    if trial.executing and trial.dispatched is not None:
        trial.duration += time - trial.dispatched
        trial.executions[-1].ended, trial.executions[-1].end = time, end
    trial.executing = False
    trial.updated = time


def _asked(state: StudyState, event: TrialAsked, time: float) -> None:
    trial = _begin(state, event, time)
    trial.bracket = event.bracket
    state.asked += 1
    state.idling.began()


def _forked(state: StudyState, event: TrialForked, time: float) -> None:
    parent = state.trials[event.parent]
    trial = _begin(state, event, time)
    trial.bracket = parent.bracket
    source = parent.checkpoints[event.source].record
    record = {**event.record, "measured": source["measured"]}  # it is the same state
    trial.checkpoints[event.checkpoint] = Checkpoint(
        event.checkpoint, event.trial, 0, event.step, record, time
    )
    if event.exploits is not None:
        state.idling.began()
        state.trials[event.exploits].successor = event.trial


def _begin(state: StudyState, event: TrialAsked | TrialForked, time: float) -> Trial:
    if event.trial != len(state.trials):
        raise JournalError(f"trial {event.trial} was begun after trial {len(state.trials) - 1}")
    trial = Trial(number=event.trial, asked=event, started=time, updated=time, turn=state.turns)
    state.turns += 1
    state.trials[event.trial] = state.running[event.trial] = trial
    state.counts[TrialState.RUNNING] += 1
    return trial


def _dispatched(state: StudyState, event: TrialDispatched, time: float) -> None:
    trial = state.running[event.trial]
    again = trial.failures + len(trial.interrupted)
    if trial.attempts > again:  # it has waited to go on, not to be tried again
        state.idling.began()
    trial.attempts, trial.executing = event.attempt, True
    trial.dispatched = trial.updated = time
    trial.executions.append(
        Attempt(
            event.trial,
            event.attempt,
            time,
            time,
            session=event.session,
            checkpoint=event.checkpoint,
        )
    )


def _restored(state: StudyState, event: TrialRestored, time: float) -> None:
    trial = state.running[event.trial]
    kept = rolled_back(trial.reports, event)
    _lose(trial, [report for step, report in trial.reports.items() if step not in kept])
    trial.reports = kept
    if trial.executions:
        trial.executions[-1].checkpoint = event.checkpoint
    if event.lost and len(trial.executions) > 1:  # steps within epochs, which no report tells of
        before = trial.executions[-2]
        before.lost = max(before.lost, event.lost)
    for checkpoint, why in event.skipped:
        trial.checkpoints[checkpoint].damaged = why
    trial.updated = time


def _lose(trial: Trial, reports: list[Report]) -> None:
    """Note which attempt had made the ``reports`` that will be made again."""
    by_number = {attempt.number: attempt for attempt in trial.executions}
    for report in reports:
        if report.attempt in by_number:
            by_number[report.attempt].lost += 1


def rolled_back(reports: Mapping[int, Report], event: TrialRestored) -> dict[int, Report]:
    """Those ``reports`` of a trial that the checkpoint contains from which it goes on."""
    keep = -1 if event.step is None else event.step
    return {step: report for step, report in reports.items() if step <= keep}


def merge_report(reports: dict[int, Report], event: TrialReported, time: float) -> None:
    """Put what a trial has reported among its ``reports``."""
    report = reports.get(event.step)
    if report is None:
        report = reports[event.step] = Report(event.step, event.attempt, time, None, {})
    # What an older attempt has left at this step is contained in the checkpoint it went on from.
    report.metrics.update(event.metrics)
    report.attempt, report.time, report.last = event.attempt, time, event.last
    report.value = event.value if event.value is not None else report.value


def _reported(state: StudyState, event: TrialReported, time: float) -> None:
    trial = state.running[event.trial]
    known = trial.reports.get(event.step)
    if trial.executions and (known is None or known.attempt != event.attempt):
        trial.executions[-1].steps += 1
    merge_report(trial.reports, event, time)
    if event.step > trial.furthest:
        trial.furthest = event.step
        _got_further(state, trial)
    if event.prune is not None:
        trial.judge(event.step, prune=event.prune)
        trial.told_to_end = event.attempt if event.prune else trial.told_to_end
    if event.rung is not None:
        trial.rungs[event.rung] = event.step
    trial.updated = time


def _judged(state: StudyState, event: TrialJudged, time: float) -> None:
    trial = state.running[event.trial]
    trial.reports[event.step]  # must have been made
    trial.judge(event.step, prune=event.prune)
    trial.updated = time


def _paused(state: StudyState, event: TrialPaused, time: float) -> None:
    trial = state.running[event.trial]
    trial.rungs[event.rung]  # must have been reached
    _end_attempt(trial, time, End.PAUSED)
    _got_further(state, trial)
    _enter(state, trial, TrialState.PAUSED)
    state.paused[event.trial] = state.running.pop(event.trial)


def _promoted(state: StudyState, event: TrialPromoted, time: float) -> None:
    trial = state.trials[event.trial]
    trial.rungs[event.rung]  # must have been reached
    if event.trial in state.paused:
        _enter(state, trial, TrialState.RUNNING)
        state.running[event.trial] = state.paused.pop(event.trial)
        trial.turn = state.turns
        state.turns += 1
    trial.promoted, trial.updated = event.rung, time


def _enter(state: StudyState, trial: Trial, entered: TrialState) -> None:
    if entered not in TRANSITIONS[trial.state]:
        raise JournalError(f"trial {trial.number} went from {trial.state} to {entered}")
    state.counts[trial.state] -= 1
    state.counts[entered] += 1
    trial.state = entered


def _saved(state: StudyState, event: CheckpointSaved, time: float) -> None:
    trial = state.trials[event.trial]
    if event.checkpoint not in trial.checkpoints:
        _got_further(state, trial)
    trial.checkpoints.pop(event.checkpoint, None)  # made again after a resume: now the newest
    trial.checkpoints[event.checkpoint] = Checkpoint(
        event.checkpoint,
        event.trial,
        event.attempt,
        event.step,
        with_measured(event.record, trial, state.spec),
        time,
        rung=trial.held_at,
    )
    trial.updated = time


def _retired(state: StudyState, event: CheckpointRetired, time: float) -> None:
    state.trials[event.trial].checkpoints[event.checkpoint].retired = time


def _damaged(state: StudyState, event: CheckpointDamaged, time: float) -> None:
    state.trials[event.trial].checkpoints[event.checkpoint].damaged = event.reason


def _migrated(state: StudyState, event: CheckpointMigrated, time: float) -> None:
    known = state.trials[event.trial].checkpoints[event.checkpoint]
    known.record = {**event.record, "measured": known.record["measured"]}


def _attempt_stopped(state: StudyState, event: AttemptStopped, time: float) -> None:
    _end_attempt(state.running[event.trial], time, End.STOPPED)


def _attempt_failed(state: StudyState, event: AttemptFailed, time: float) -> None:
    trial = state.running[event.trial]
    _end_attempt(trial, time, End.FAILED)
    _got_further(state, trial)
    trial.failed.append(event)
    trial.reason, trial.error = event.reason, event.error


def _attempt_interrupted(state: StudyState, event: AttemptInterrupted, time: float) -> None:
    trial = state.running[event.trial]
    _end_attempt(trial, time, End.INTERRUPTED)
    trial.interrupted.append(event)
    trial.reason, trial.error = event.reason, event.error
    trial.setbacks += 1
    state.setbacks[event.trial] = state.setbacks.get(event.trial, 0) + 1


def _got_further(state: StudyState, trial: Trial) -> None:
    """Something has happened that is no interruption: what trials run on does work."""
    trial.setbacks = 0
    if state.setbacks:
        state.setbacks.clear()


def _finished(state: StudyState, event: TrialFinished, time: float) -> None:
    unfinished = state.paused if event.trial in state.paused else state.running
    trial = unfinished[event.trial]
    _end_attempt(trial, time, _ENDS[event.state])
    _got_further(state, trial)
    _enter(state, trial, event.state)
    trial.value, trial.finished = event.value, time
    trial.values, trial.violations = event.values, event.violations
    trial.checkpoint, trial.metrics = event.checkpoint, event.metrics
    trial.reason, trial.error, trial.cause = event.reason, event.error, event.cause
    del unfinished[event.trial]
    if (event.state is not TrialState.FAILED or event.worst) and trial.searched:
        state.untold.add(event.trial)


_ENDS = {
    TrialState.COMPLETE: End.COMPLETE,
    TrialState.PRUNED: End.PRUNED,
    TrialState.FAILED: End.FAILED,
}
"""What ends an attempt with its trial."""


def _retried(state: StudyState, event: TrialRetried, time: float) -> None:
    over = state.trials[event.trial]
    if over.state is TrialState.PRUNED and not over.stopped:
        raise JournalError(f"trial {event.trial} was pruned, so it cannot be retried")
    trial = replace(  # a snapshot of the state shares the older one
        over,
        reports=dict(over.reports),
        verdicts=dict(over.verdicts),
        rungs=dict(over.rungs),
        executions=[replace(each) for each in over.executions],
        **_UNDONE,
        violations=[],
        metrics={},
        forgiven=len(over.failed),
        excused=len(over.interrupted),
        setbacks=0,
        furthest=-1,
        retried=over.retried + 1,
        turn=state.turns,
        updated=time,
    )
    if event.from_scratch:
        trial.verdicts, trial.prunings, trial.rungs = {}, 0, {}
        trial.promoted = trial.told_to_end = None
    _enter(state, trial, TrialState.RUNNING)
    state.turns += 1
    state.untold.discard(event.trial)
    state.trials[event.trial] = state.running[event.trial] = trial


_UNDONE: dict[str, Any] = {
    "value": None,
    "values": None,
    "finished": None,
    "checkpoint": None,
    "reason": None,
    "error": None,
    "cause": None,
    "stopped": False,
}
"""What an end has set, as it is before one."""


def _stopped(state: StudyState, event: TrialStopped, time: float) -> None:
    unfinished = state.paused if event.trial in state.paused else state.running
    unfinished[event.trial].stopped = True


def _told(state: StudyState, event: TrialTold, time: float) -> None:
    state.trials[event.trial].told = event.iteration
    state.untold.discard(event.trial)
    if event.left:
        state.front = [number for number in state.front if number not in event.left]
    if event.entered:
        state.front.append(event.trial)
    state.iterations.append(
        Iteration(
            number=event.iteration,
            trial=event.trial,
            value=event.value,
            best_trial=event.best_trial,
            best_value=event.best_value,
            best_checkpoint=event.checkpoint,
            time=time,
            front=len(state.front) if state.several else None,
        )
    )


_APPLY: dict[str, Callable[[StudyState, Any, float], None]] = {
    kind.type: function
    for kind, function in (
        (StudyCreated, _created),
        (SpecChanged, _changed),
        (HistoryAdded, _history_added),
        (DriverStarted, _driver_started),
        (DriverStopped, _driver_stopped),
        (TrialAsked, _asked),
        (SpaceExhausted, _exhausted),
        (TrialForked, _forked),
        (TrialDispatched, _dispatched),
        (TrialRestored, _restored),
        (TrialReported, _reported),
        (TrialJudged, _judged),
        (TrialPaused, _paused),
        (TrialPromoted, _promoted),
        (CheckpointSaved, _saved),
        (CheckpointRetired, _retired),
        (CheckpointDamaged, _damaged),
        (CheckpointMigrated, _migrated),
        (AttemptStopped, _attempt_stopped),
        (AttemptFailed, _attempt_failed),
        (AttemptInterrupted, _attempt_interrupted),
        (TrialFinished, _finished),
        (TrialRetried, _retried),
        (TrialStopped, _stopped),
        (TrialTold, _told),
    )
}

HANDLED = frozenset(_APPLY)
"""Types of events for which the fold has a rule: all of them."""
