"""The directory of a Ray Tune experiment, read as plain JSON.

Nothing in it is unpickled (``tuner.pkl``, ``params.pkl``, and what is pickled within the JSON):
a pickle of others is a program of theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import StoreError, UsageError

STATES = "experiment_state-*.json"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class TuneTrial:
    """What is written of a trial. ``results`` are its rows in order, without those that an attempt
    which was begun again has made before; ``complete`` is False where only the last one is known.
    """

    id: str
    tag: str
    status: str
    config: Mapping[str, Any]
    stopping: Mapping[str, Any]
    started: float | None
    ended: float | None
    results: list[dict[str, Any]]
    complete: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class TuneExperiment:
    """``metric`` is that of the `TuneConfig`, if it has one. Whether it is to be minimized is known
    to pickles only."""

    path: Path
    metric: str | None
    trials: list[TuneTrial]

    @classmethod
    def read(cls, path: Path) -> TuneExperiment:
        """The experiment in the directory ``path``, its trials in the order in which they began.

        Raises:
            UsageError: there is none, or it is of a Ray that writes it otherwise.
            StoreError: a file cannot be read.
        """
        state = _newest_state(path)
        content = _json(state, _text(state))
        try:
            rows = [(json.loads(fixed), json.loads(now)) for fixed, now in content["trial_data"]]
            trials = [_trial(path, fixed, now) for fixed, now in rows]
            metric = content["runner_data"].get("_metric")
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(
                f"{state}: is no state of an experiment as Ray 2.7 and newer write it: {error!r}"
            ) from error
        trials.sort(key=lambda trial: (trial.started or 0.0, trial.tag, trial.id))
        return cls(path, metric if isinstance(metric, str) else None, trials)


def _newest_state(path: Path) -> Path:
    """The newest file of the state: there are several where an experiment was restored."""
    try:
        states = sorted(path.glob(STATES))
        below = sorted({each.parent.name for each in path.glob(f"*/{STATES}")})
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    if states:
        return states[-1]
    there = f"; there is one in: {', '.join(below)}" if below else ""
    raise UsageError(f"{path}: is no experiment of Ray Tune: it has no {STATES}{there}")


def _trial(root: Path, fixed: Mapping[str, Any], now: Mapping[str, Any]) -> TuneTrial:
    directory = root / Path(fixed.get("relative_logdir") or fixed["trial_id"]).name
    rows, last = list(_rows(directory / "result.json")), now.get("last_result") or {}
    complete = bool(rows) or not _is_result(last)
    error = now.get("error_filename")
    return TuneTrial(
        id=fixed["trial_id"],
        tag=str(fixed.get("experiment_tag")),
        status=fixed["status"],
        config=dict(fixed["config"]),
        stopping=fixed.get("stopping_criterion") or {},
        started=_seconds(now.get("start_time")),
        ended=_seconds(now.get("last_result_time")),
        results=_kept(
            [
                row | {"timestamp": _seconds(row.get("timestamp"))}
                for row in (rows if complete else [last])
            ]
        ),
        complete=complete,
        error=_error(directory / Path(error).name) if error else None,
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Those of ``result.json``, one a line; the last one may be torn where Tune was killed."""
    if not path.exists():
        return
    lines = _text(path).splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise UsageError(f"{path}:{number}: is no JSON: {error}") from error
        if isinstance(row, dict) and _is_result(row):
            yield row


def _is_result(row: Mapping[str, Any]) -> bool:
    return type(row.get("training_iteration")) is int  # True is none


def _seconds(given: Any) -> float | None:
    return None if given is None else float(given)


def _kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what was made again after a trial went back to a checkpoint."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        while kept and kept[-1]["training_iteration"] >= row["training_iteration"]:
            kept.pop()
        kept.append(row)
    return kept


def _error(path: Path) -> str | None:
    return _COLOUR.sub("", _text(path)) if path.exists() else None


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: is no JSON, or not whole: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
