"""An experiment of Ray Tune's in the terms of this package."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sweep.errors import UsageError
from sweep.journal.event import TrialState
from sweep.quantity import counted
from sweep.search.imported import ImportedReport, ImportedStudy, ImportedTrial
from sweep.search.tune_experiment import TuneExperiment, TuneTrial
from sweep.search.tune_space import space_seen

_TUNES_OWN = {
    "checkpoint_dir_name",
    "config",
    "date",
    "done",
    "experiment_tag",
    "hostname",
    "iterations_since_restore",
    "node_ip",
    "pid",
    "should_checkpoint",
    "time_since_restore",
    "time_this_iter_s",
    "time_total_s",
    "timestamp",
    "timesteps_since_restore",
    "training_iteration",
    "trial_id",
}
"""What Tune adds to each result; such a metric is taken only where it is the objective."""

_EXCEPTION = re.compile(r"[\w.]*(?:Error|Exception|Interrupt|Exit|Killed|Died)\b.*")


def imported_experiment(
    experiment: TuneExperiment, metric: str | None, goal: str | None
) -> ImportedStudy:
    """What is in ``experiment``.

    A metric within a metric is called as Tune calls it: ``eval/loss``. A trial that ended by
    itself, met its own stopping criterion, or came as far as any, is complete; one that was stopped
    before is pruned. One whose objective is not known is failed.

    Args:
        metric: what is optimised; by default what the experiment says.
        goal: ``minimize`` or ``maximize``.

    Raises:
        UsageError: no trial is over, or the metric or the goal is not known.
    """
    over = [trial for trial in experiment.trials if _is_over(trial)]
    if not over:
        raise UsageError(f"{experiment.path}: none of its {len(experiment.trials)} trials is over")
    metric = _metric(experiment, over, metric, goal)
    space, params = space_seen([trial.config for trial in over])
    if not space.parameters:
        raise UsageError(f"{experiment.path}: no trial has a parameter")
    longest = max(_iteration(trial) for trial in over)
    trials = [
        _imported(trial, given, metric, longest) for trial, given in zip(over, params, strict=True)
    ]
    content = {
        "name": experiment.path.absolute().name,
        "method": "tpe",
        "metric": {"name": metric, "goal": goal},
        "parameters": space.parameters,
        "trials": len(over),
    }
    notes = [*space.notes, *_notes(over, trials, longest)]
    return ImportedStudy(content, trials, len(experiment.trials) - len(over), notes)


def _metric(
    experiment: TuneExperiment, over: Sequence[TuneTrial], metric: str | None, goal: str | None
) -> str:
    """The name of the objective, where both it and its direction are known."""
    known = {name for trial in over for row in trial.results for name, _ in _numbers(row)}
    own = sorted(known - _TUNES_OWN)
    there = f"there is: {', '.join(own)}" if own else "its trials have reported none"
    metric = metric or experiment.metric
    if metric is None:
        raise UsageError(f"{experiment.path}: give the --metric and its --goal; {there}")
    if metric not in known:
        raise UsageError(f"{experiment.path}: no trial has reported {metric!r}; {there}")
    if goal is None:
        raise UsageError(
            f"{experiment.path}: give the --goal of {metric}, minimize or maximize: "
            "Tune writes it into pickles only"
        )
    return metric


def _numbers(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The metrics of a result, those within others too."""
    for name, value in row.items():
        if isinstance(value, Mapping) and name != "config":
            yield from _numbers(value, f"{above}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            with suppress(OverflowError):  # an integer beyond all floats is no metric
                value = float(value)
                yield above + name, value


def _is_over(trial: TuneTrial) -> bool:
    """Its state is written now and then only, its last result at once."""
    return trial.status in ("TERMINATED", "ERROR") or _was_ended(trial)


def _was_ended(trial: TuneTrial) -> bool:
    """Whether somebody ended it with a result; a function that returns leaves no such word."""
    return bool(trial.results) and trial.complete and trial.results[-1].get("done") is True


def _iteration(trial: TuneTrial) -> int:
    return trial.results[-1]["training_iteration"] if trial.results else 0


def _was_stopped(trial: TuneTrial, longest: int) -> bool:
    if not _was_ended(trial) or _iteration(trial) >= longest:
        return False
    last = dict(_numbers(trial.results[-1]))
    return not any(
        isinstance(bound, int | float) and last.get(name, -math.inf) >= bound
        for name, bound in trial.stopping.items()
    )


def _imported(trial: TuneTrial, params: dict[str, Any], metric: str, longest: int) -> ImportedTrial:
    reports = list(_reports(trial, metric))
    values = [each.metrics[metric] for each in reports if metric in each.metrics]
    state, reason = TrialState.COMPLETE, None
    if trial.status == "ERROR":
        state, reason = TrialState.FAILED, _reason(trial.error)
    elif _was_stopped(trial, longest):
        state = TrialState.PRUNED
    elif not values or math.isnan(values[-1]):
        state = TrialState.FAILED
        reason = f"{metric} is NaN" if values else f"never reported {metric}"
    started = trial.started or (reports[0].time if reports else 0.0)
    times = [started, *(each.time for each in reports), trial.ended or 0.0]
    return ImportedTrial(
        name=trial.id,
        state=state,
        params=params,
        reports=reports,
        started=started,
        finished=max(times),
        reason=reason,
        error=trial.error if state is TrialState.FAILED else None,
    )


def _reports(trial: TuneTrial, metric: str) -> Iterator[ImportedReport]:
    """Its results, at the seconds in which they were made, and no earlier than it began."""
    earliest = trial.started or 0.0
    for row in trial.results:
        metrics = {
            name: value for name, value in _numbers(row) if name not in _TUNES_OWN or name == metric
        }
        earliest = max(earliest, float(row.get("timestamp") or 0.0))
        yield ImportedReport(row["training_iteration"], earliest, metrics)


def _reason(error: str | None) -> str | None:
    """The last line that names an exception."""
    lines = [line for line in (error or "").splitlines() if _EXCEPTION.match(line)]
    return lines[-1] if lines else None


def _notes(
    over: Sequence[TuneTrial], trials: Sequence[ImportedTrial], longest: int
) -> Iterator[str]:
    pruned = sum(trial.state is TrialState.PRUNED for trial in trials)
    if pruned:
        yield (
            f"{counted(pruned, 'trial')} that ended before iteration {longest} and not by "
            "itself: pruned here"
        )
    short = sum(not trial.complete for trial in over)
    if short:
        yield f"{counted(short, 'trial')} without a result.json: only the last result is known"
