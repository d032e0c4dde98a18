"""`sweep ls`, `sweep show` and `sweep best`: what the store knows, also while a driver runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep.analysis.selection import find_trial as find_trial_of
from sweep.cli.observer import counts_text, state_text, summary_record, trial_record
from sweep.cli.output import Output, duration_text, params_text, text
from sweep.cli.place import find_study, find_trial, studies
from sweep.driver.mirroring import read_lag
from sweep.driver.plan import Limits, elapsed, is_complete, timed_out
from sweep.errors import SweepError, UsageError
from sweep.journal.event import TrialState
from sweep.journal.journal import read_state
from sweep.journal.lock import holder
from sweep.journal.state import StudyState, Trial
from sweep.journal.table import final_metrics, newest_checkpoint
from sweep.paths import StudyPaths
from sweep.spec import Goal, StudySpec

REASON_WIDTH = 80


def list_studies(store: Path, out: Output) -> None:
    """All studies of the store, a line each; a damaged one is named and does not hide the rest."""
    records: list[dict[str, Any]] = []
    for paths in studies(store):
        try:
            spec, state = _read(paths)
        except SweepError as error:
            records.append({"study": paths.name, "status": "damaged", "error": str(error)})
            continue
        status = _status(paths, spec, state)
        records.append(
            summary_record(paths, spec, state)
            | {"status": status, "total": _total(spec, state), "updated": state.time}
            | {"searched": None if state.best is None else spec.space.searched(state.best.params)}
        )
    if out.as_json:
        out.data(records)
        return
    if not records:
        out.line(f"{store}: no studies; `sweep init` writes a first one")
        return
    rows = []
    for record in records:
        best = record.get("best")
        done = sum(
            count for kind, count in record.get("states", {}).items() if TrialState(kind).finished
        )
        rows.append(
            [
                record["study"],
                record["status"],
                f"{done}/{record['total']}" if "total" in record else "-",
                record.get("metric", "-"),
                None if best is None else best["value"],
                record.get("error", "") if best is None else params_text(record["searched"]),
            ]
        )
    out.table(["study", "status", "trials", "metric", "best", "parameters"], rows)


def show(store: Path, name: str, out: Output) -> None:
    """A study, or one of its trials."""
    paths, number = find_trial(store, name)
    spec, state = _read(paths)
    if number is None:
        _show_study(paths, spec, state, out)
        return
    _show_trial(paths, spec, find_trial_of(state, paths.name, number), out)


def best(store: Path, name: str, count: int, out: Output) -> None:
    """The best completed trials."""
    paths = find_study(store, name)
    spec, state = _read(paths)
    ranked = rank(spec, state)[:count]
    if out.as_json:
        out.data([trial_record(trial) | {"metrics": final_metrics(trial)} for trial in ranked])
        return
    if not ranked:
        out.line(f"{paths.name}: no trial is complete yet ({counts_text(state)})")
        return
    names = _searched_names(spec, ranked)
    rows = [
        [
            trial.number,
            trial.value,
            *(trial.params.get(name) for name in names),
            len(trial.reports),
            duration_text(trial.duration),
            newest_checkpoint(trial),
        ]
        for trial in ranked
    ]
    columns = ["trial", spec.metric.name, *names, "steps", "time", "checkpoint"]
    out.table(columns, rows)


def rank(spec: StudySpec, state: StudyState) -> list[Trial]:
    """Completed trials, the best first (of equals the one that was known first)."""
    sign = -1.0 if spec.metric.goal is Goal.MAXIMIZE else 1.0
    complete = [trial for trial in state.trials.values() if trial.state is TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.told or 0))


def _read(paths: StudyPaths) -> tuple[StudySpec, StudyState]:
    state = read_state(paths.journal)
    if state.seq < 0:
        raise UsageError(f"{paths.root}: the study has not begun; run its YAML again")
    return StudySpec.model_validate(state.spec), state


def _status(paths: StudyPaths, spec: StudySpec, state: StudyState) -> str:
    if holder(paths.lock) is not None:
        return "running"
    limits = Limits.of(spec)
    if is_complete(state, limits):
        return "complete"
    if timed_out(state, limits, state.time):
        return "timed out"
    return "interrupted"


def _show_study(paths: StudyPaths, spec: StudySpec, state: StudyState, out: Output) -> None:
    status = _status(paths, spec, state)
    lag = None if spec.checkpoint.mirror is None else read_lag(paths)
    if out.as_json:
        out.data(
            summary_record(paths, spec, state)
            | {
                "status": status,
                "total": _total(spec, state),
                "sessions": state.sessions,
                "mirror": None if lag is None else asdict(lag) | {"behind": lag.text(state.seq)},
                "elapsed_s": elapsed(state, state.time),
                "spec": state.spec,
                "trial_records": [trial_record(trial) for trial in state.trials.values()],
            }
        )
        return
    best = state.best
    out.pairs(
        {
            "study": f"{spec.name} ({status})",
            "program": spec.program,
            "method": str(spec.method),
            "trials": f"{counts_text(state, status)} of {_total(spec, state)}",
            "best": "-"
            if best is None
            else f"{spec.metric.name} {text(best.value)} in trial {best.number} "
            f"({params_text(spec.space.searched(best.params))})",
            "sessions": f"{state.sessions}, {duration_text(elapsed(state, state.time))} in all",
            "store": str(paths.root),
            **({} if lag is None else {"mirror": lag.text(state.seq) or f"{lag.to}: all is there"}),
        }
    )
    if state.trials:
        out.line("")
        out.table(*_trials_table(spec, list(state.trials.values()), status))


def _trials_table(
    spec: StudySpec, trials: Sequence[Trial], status: str
) -> tuple[list[str], list[list[Any]]]:
    names = _searched_names(spec, trials)
    rows = [
        [
            trial.number,
            state_text(trial.state, status),
            _value(trial),
            *(trial.params.get(name) for name in names),
            len(trial.reports),
            trial.attempts,
            duration_text(trial.duration),
            _short(trial.reason or ""),
        ]
        for trial in trials
    ]
    return ["trial", "state", spec.metric.name, *names, "steps", "attempts", "time", ""], rows


def _short(reason: str) -> str:
    """A reason in a table; `sweep show STUDY/TRIAL` has the whole of it."""
    return reason if len(reason) <= REASON_WIDTH else f"{reason[: REASON_WIDTH - 3]}..."


def _total(spec: StudySpec, state: StudyState) -> int:
    """Trials in all: what the spec says, or more where more were made before it said less, and
    forks."""
    return max(Limits.of(spec).total, state.asked) + state.forks


def _searched_names(spec: StudySpec, trials: Sequence[Trial]) -> list[str]:
    rows = [spec.space.searched(trial.params) for trial in trials]
    return list(dict.fromkeys(name for row in rows for name in row))


def _value(trial: Trial) -> float | None:
    if trial.value is not None or trial.step is None:
        return trial.value
    return trial.reports[trial.step].value


def _show_trial(paths: StudyPaths, spec: StudySpec, trial: Trial, out: Output) -> None:
    reports = [trial.reports[step] for step in sorted(trial.reports)]
    log = paths.root / "logs" / f"{trial.number:05d}.log"
    if out.as_json:
        out.data(
            trial_record(trial)
            | {
                "metrics": final_metrics(trial),
                "reports": [
                    {"step": report.step, "attempt": report.attempt, "metrics": report.metrics}
                    for report in reports
                ],
                "checkpoints": [
                    known.record | {"retired": known.retired, "damaged": known.damaged}
                    for known in trial.checkpoints.values()
                ],
                "error": trial.error,
                "log": str(log) if log.exists() else None,
            }
        )
        return
    out.pairs(
        {
            "trial": f"{spec.name}/{trial.number} ({str(trial.state).lower()})",
            **{f"params.{name}": value for name, value in trial.params.items()},
            spec.metric.name: _value(trial),
            "attempts": trial.attempts,
            "time": duration_text(trial.duration),
            **({"log": str(log)} if log.exists() else {}),
        }
    )
    if reports:
        names = list(dict.fromkeys(name for report in reports for name in report.metrics))
        out.line("")
        rows = [[r.step, r.attempt, *(r.metrics.get(name) for name in names)] for r in reports]
        out.table(["step", "attempt", *names], rows)
    if trial.checkpoints:
        out.line("")
        saved = [
            [known.id, known.record["kind"], known.record["bytes"], _fate(known)]
            for known in trial.checkpoints.values()
        ]
        out.table(["checkpoint", "kind", "bytes", ""], saved)
    if trial.reason:
        out.line("")
        out.line(f"{str(trial.state).lower()}: {trial.reason}")
    if trial.error:
        out.line(trial.error.rstrip())


def _fate(checkpoint: Any) -> str:
    if checkpoint.damaged is not None:
        return f"damaged: {checkpoint.damaged}"
    return "" if checkpoint.retired is None else "retired"
