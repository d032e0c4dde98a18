"""`sweep show`: a study, or one of its trials, also while a driver runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep.analysis import selection
from sweep.checkpoint.usage import Usage, usage
from sweep.cli.beginning import history_record, history_text, left_out_text, left_out_trials
from sweep.cli.output import Output, duration_text, store_option
from sweep.cli.page import page_of
from sweep.cli.place import find_trial, read_study
from sweep.cli.rungs import rungs_record, rungs_text
from sweep.cli.standing import (
    best_text,
    counts_text,
    exceeded_text,
    searched_names,
    state_text,
    status_of,
    summary_record,
    values_of,
    waited_text,
)
from sweep.driver.mirroring import Lag, read_lag
from sweep.driver.plan import elapsed
from sweep.driver.summary import note_text, spent, total_of, trial_record
from sweep.driver.unsaved import advice, unsaved_attempts
from sweep.driver.waiting import read_waits
from sweep.integration.note import Note, read_note
from sweep.journal.event import AttemptFailed, AttemptInterrupted, TrialState
from sweep.journal.state import Checkpoint, Report, StudyState, Trial
from sweep.journal.table import final_metrics
from sweep.paths import StudyPaths
from sweep.quantity import bytes_text, counted
from sweep.spec import StudySpec
from sweep.spec.suggestion import plain

REASON_WIDTH = 80

GIVEN_UP = "gave up its checkpoint (keep.bytes): a promotion begins it anew"


def show(store: Path, name: str, out: Output, page: int | None = None) -> None:
    """Print a study, or one of its trials; of its trials or its reports the ``page`` (from 1).

    Raises:
        StudyNotFoundError: there is no such study, or no such trial in it.
        UsageError: there is no such page.
    """
    paths, number = find_trial(store, name)
    spec, state = read_study(paths)
    status = status_of(paths, spec, state)
    if number is None:
        if out.as_json:
            out.data(_study_record(paths, spec, state, status))
        else:
            catch_up = f"sweep track {paths.name}{store_option(store)}"
            _print_study(paths, spec, state, status, catch_up, out, page)
        return
    trial = selection.find_trial(state, paths.name, number)
    if out.as_json:
        out.data(_trial_record(paths, trial))
    else:
        _print_trial(paths, spec, trial, status, out, page)


def _study_record(
    paths: StudyPaths, spec: StudySpec, state: StudyState, status: str
) -> dict[str, Any]:
    lag = _lag(paths, spec)
    return summary_record(paths, spec, state) | {
        "status": status,
        "waits": read_waits(paths) if status == "running" else [],
        "total": total_of(spec, state),
        "note": note_text(spec, state),
        "sessions": state.sessions,
        "disk": asdict(usage(paths.checkpoints)),
        "trackers": [note.record(state.seq) for note in _notes(paths, spec)],
        "mirror": None if lag is None else asdict(lag) | {"behind": lag.text(state.seq)},
        "elapsed_s": elapsed(state, state.time),
        "lost": state.idling.share if spec.deterministic else None,
        "warm_start": [history_record(history) for history in state.histories],
        "left_out": left_out_trials(state),
        "rungs": rungs_record(spec),
        "spec": state.spec,
        "trial_records": [trial_record(trial) for trial in state.trials.values()],
    }


def _print_study(
    paths: StudyPaths,
    spec: StudySpec,
    state: StudyState,
    status: str,
    catch_up: str,
    out: Output,
    page: int | None,
) -> None:
    lag, waited = _lag(paths, spec), waited_text(spec, state)
    note = note_text(spec, state)
    rungs = rungs_text(spec)
    out.pairs(
        {
            "study": f"{spec.name} ({status})",
            "program": spec.program,
            "method": plain(spec.model_dump(mode="json")["method"]),
            **({} if rungs is None else {"rungs": rungs}),
            "trials": f"{counts_text(state, status)} of {total_of(spec, state)}",
            **({} if note is None else {"note": note}),
            "front" if state.several else "best": best_text(spec, state),
            **_knowledge(state),
            "sessions": f"{state.sessions}, {duration_text(elapsed(state, state.time))} in all",
            **({} if waited is None else {"waiting": waited}),
            **_waits(paths, status),
            "store": str(paths.root),
            "disk": _usage_text(usage(paths.checkpoints)),
            **({} if lag is None else {"mirror": lag.text(state.seq) or f"{lag.to}: all is there"}),
            **{
                note.name: _tracker_text(note, status, state.seq, catch_up)
                for note in _notes(paths, spec)
            },
        }
    )
    if state.trials:
        out.line("")
        trials, line = page_of(list(state.trials.values()), page, "trials")
        out.table(*_trials_table(spec, state, status, trials))
        if line is not None:
            out.line(line)


def _knowledge(state: StudyState) -> dict[str, str]:
    """What the sampler knows of other studies, and what it does not know of this one."""
    pairs = {}
    if state.histories:
        pairs["warm start"] = "; ".join(map(history_text, state.histories))
    if left_out_trials(state):
        pairs["left out"] = left_out_text(state)
    return pairs


def _waits(paths: StudyPaths, status: str) -> dict[str, str]:
    """What a study that runs waits for."""
    lines = read_waits(paths) if status == "running" else []
    return {"waits": "; ".join(lines)} if lines else {}


def _lag(paths: StudyPaths, spec: StudySpec) -> Lag | None:
    return None if spec.checkpoint.mirror is None else read_lag(paths)


def _notes(paths: StudyPaths, spec: StudySpec) -> list[Note]:
    return [read_note(paths, tracker.name) for tracker in spec.trackers]


def _tracker_text(note: Note, status: str, last: int, catch_up: str) -> str:
    """How far a tracker is, and the command that helps where no driver feeds it."""
    lack = note.lack(last)
    if lack is None:
        return f"{note.to}: all is there"
    return lack if status == "running" else f"{lack}; to catch up: {catch_up}"


def _usage_text(taken: Usage) -> str:
    parts = [f"{counted(taken.checkpoints, 'checkpoint')}, {bytes_text(taken.bytes)}"]
    if taken.set_aside:
        parts.append(f"{bytes_text(taken.set_aside)} of it damaged and set aside")
    if taken.deduplicated:
        parts.append(f"{bytes_text(taken.deduplicated)} saved by deduplication")
    return "; ".join(parts)


def _trials_table(
    spec: StudySpec, state: StudyState, status: str, trials: Sequence[Trial]
) -> tuple[list[str], list[list[Any]]]:
    names = searched_names(spec, trials)
    forks = any(trial.fork is not None for trial in trials)
    rows = [
        [
            trial.number,
            state_text(trial, status),
            *_values(spec, trial),
            *(trial.params.get(name) for name in names),
            len(trial.reports),
            trial.attempts,
            duration_text(spent(trial)),
            *([] if not forks else [None if trial.fork is None else trial.fork.source]),
            _remark(spec, state, trial),
        ]
        for trial in trials
    ]
    values = [each.name for each in spec.objectives]
    lineage = ["forked from"] if forks else []
    header = ["trial", "state", *values, *names, "steps", "attempts", "time", *lineage, ""]
    return header, rows


def _remark(spec: StudySpec, state: StudyState, trial: Trial) -> str:
    """Why it was not completed, or how it stands to the constraints and the front."""
    on_front = "on the front" if trial.number in state.front else ""
    given_up = GIVEN_UP if has_given_up(trial) else ""
    return _short(trial.reason or given_up or exceeded_text(spec, trial) or on_front)


def has_given_up(trial: Trial) -> bool:
    """Whether a paused trial has nothing left to go on from, though it had saved."""
    full = [known for known in trial.checkpoints.values() if known.content == "full"]
    return trial.state is TrialState.PAUSED and bool(full) and all(each.retired for each in full)


def _short(reason: str) -> str:
    """A reason in a table; `sweep show STUDY/TRIAL` has the whole of it."""
    return reason if len(reason) <= REASON_WIDTH else f"{reason[: REASON_WIDTH - 3]}..."


def _values(spec: StudySpec, trial: Trial) -> list[float | None]:
    """Of each objective; while the trial has no result, what it reported last."""
    if trial.value is not None or trial.step is None:
        return values_of(trial) if trial.values else [trial.value] * len(spec.objectives)
    last = trial.reports[trial.step].metrics
    return [last.get(each.name) for each in spec.objectives]


def _trial_record(paths: StudyPaths, trial: Trial) -> dict[str, Any]:
    log = _log(paths, trial)
    return trial_record(trial) | {
        "begins_anew": has_given_up(trial),
        "metrics": final_metrics(trial),
        "reports": [
            {"step": report.step, "attempt": report.attempt, "metrics": report.metrics}
            for report in _reports(trial)
        ],
        "checkpoints": [
            known.record
            | {"content": known.content, "retired": known.retired, "damaged": known.damaged}
            for known in trial.checkpoints.values()
        ],
        "error": trial.error,
        "unsaved_attempts": len(unsaved_attempts(trial)),
        "failed_attempts": [
            {"attempt": failed.attempt, "reason": failed.reason, "error": failed.error}
            for failed in trial.failed
        ],
        "interrupted_attempts": [
            {"attempt": each.attempt, "reason": each.reason, "error": each.error}
            for each in trial.interrupted
        ],
        "log": None if log is None else str(log),
    }


def _print_trial(
    paths: StudyPaths,
    spec: StudySpec,
    trial: Trial,
    status: str,
    out: Output,
    page: int | None,
) -> None:
    log, state = _log(paths, trial), state_text(trial, status)
    exceeded = exceeded_text(spec, trial)
    out.pairs(
        {
            "trial": f"{spec.name}/{trial.number} ({state})",
            **_lineage(spec.name, trial),
            **{f"params.{name}": value for name, value in trial.params.items()},
            **{
                each.name: value
                for each, value in zip(spec.objectives, _values(spec, trial), strict=True)
            },
            **({"constraints": exceeded} if exceeded else {}),
            "attempts": trial.attempts,
            **({} if (said := advice(trial)) is None else {"note": said}),
            "time": duration_text(spent(trial)),
            **({} if log is None else {"log": str(log)}),
            **({"checkpoint": GIVEN_UP} if has_given_up(trial) else {}),
        }
    )
    if trial.reports:
        out.line("")
        reports, line = page_of(_reports(trial), page, "reports")
        out.table(*_reports_table(reports))
        if line is not None:
            out.line(line)
    if trial.checkpoints:
        out.line("")
        out.table(*_checkpoints_table(spec.objective.name, list(trial.checkpoints.values())))
    for ended in _earlier_ends(trial):
        what = "failed" if isinstance(ended, AttemptFailed) else "was interrupted"
        out.line("")
        out.line(f"attempt {ended.attempt} {what}: {ended.reason}")
        if ended.error:
            out.line(ended.error.rstrip())
    if trial.reason:
        out.line("")
        out.line(f"{state}: {trial.reason}")
    if trial.error:
        out.line(trial.error.rstrip())


def _earlier_ends(trial: Trial) -> list[AttemptFailed | AttemptInterrupted]:
    """Attempts that failed or were interrupted, without the one that says how the trial stands."""
    ends: list[AttemptFailed | AttemptInterrupted] = [*trial.failed, *trial.interrupted]
    ends.sort(key=lambda each: each.attempt)
    return ends[:-1] if ends and ends[-1].reason == trial.reason else ends


def _lineage(study: str, trial: Trial) -> dict[str, str]:
    """Where a trial comes from, and who came after it in its population."""
    lineage = {} if trial.fork is None else {"forked from": trial.fork.source}
    if trial.fork is not None and trial.fork.exploits is not None:
        lineage["in place of"] = f"{study}/{trial.fork.exploits}"
    if trial.successor is not None:
        lineage["replaced by"] = f"{study}/{trial.successor}"
    return lineage


def _log(paths: StudyPaths, trial: Trial) -> Path | None:
    log = paths.log(trial.number)
    return log if log.exists() else None


def _reports(trial: Trial) -> list[Report]:
    return [trial.reports[step] for step in sorted(trial.reports)]


def _reports_table(reports: Sequence[Report]) -> tuple[list[str], list[list[Any]]]:
    names = list(dict.fromkeys(name for report in reports for name in report.metrics))
    rows = [
        [report.step, report.attempt, *(report.metrics.get(name) for name in names)]
        for report in reports
    ]
    return ["step", "attempt", *names], rows


def _checkpoints_table(
    metric: str, checkpoints: Sequence[Checkpoint]
) -> tuple[list[str], list[list[Any]]]:
    """With the ``metric`` of those states that were measured."""
    rows = [
        [
            known.id,
            known.record["kind"],
            known.content,
            known.value(metric),
            known.record["bytes"],
            known.record.get("new_bytes"),
            _fate(known),
        ]
        for known in checkpoints
    ]
    return ["checkpoint", "kind", "content", metric, "bytes", "new_bytes", ""], rows


def _fate(checkpoint: Checkpoint) -> str:
    if checkpoint.damaged is not None:
        return f"damaged: {checkpoint.damaged}"
    return "" if checkpoint.retired is None else "retired"
