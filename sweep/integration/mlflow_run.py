"""MLflow: one run a trial, found again by its tags, and each point once.

A server may be killed or cut off after it has taken what was sent and before it said so. Hence a
run is made only where a search for the study's runs has not found it, and of a run that was there
before, the history is read before anything is added: a point is known by name, step and time, and
all of these are the journal's. What else is sent (parameters, tags, the status) is the same however
often it is sent.
"""

from __future__ import annotations

import json
import math
import os
import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from zlib import crc32

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store
from sqlalchemy.engine import make_url

from sweep.integration.account import Begun, Measured, Told
from sweep.integration.database import ensure
from sweep.integration.tracker import Marks, Subject
from sweep.journal.event import TrialState
from sweep.journal.state import Trial
from sweep.quantity import printable
from sweep.spec.tracker import Mlflow

_STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAILED: "FAILED",
}
_METRICS, _PARAMS, _LISTED = 1000, 100, 40
"""Limits of one request, and of the checkpoints that one tag has room for."""

Point = tuple[str, int, int, float | str]


@dataclass(slots=True)
class _Run:
    """A run there. ``found`` says that it was there before, so that its points are not known."""

    id: str
    found: bool
    points: dict[str, set[Point]] = field(default_factory=dict)
    """Those that it has, by metric, as far as they were asked for."""


class MlflowSink:
    """Keeps the runs of one study's experiment."""

    def __init__(self, options: Mlflow, study: Subject) -> None:
        """Nothing is asked of the server yet."""
        # Whoever sends tries again, and wants to say why it has to; MLflow would for minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._uri = options.uri or mlflow.get_tracking_uri()
        self._experiment_name = options.experiment or study.name
        self.to = f"{_without_password(self._uri)} ({self._experiment_name})"
        self._study = study
        self._client = MlflowClient(tracking_uri=self._uri)
        self._made = False
        self._experiment: str | None = None
        self._runs: dict[int, _Run] | None = None
        self._told: dict[int, list[Told]] = {}

    def take(self, told: Told) -> None:
        self._told.setdefault(told.trial.number, []).append(told)

    def commit(self) -> Marks:
        if not self._made:
            make_store(self._uri)
            self._made = True
        try:
            for told in self._told.values():
                self._send(told[0].trial, told)
        except BaseException:
            self._experiment = self._runs = None  # whether the last request came through: look
            raise
        self._told = {}
        return {}

    def _send(self, trial: Trial, told: Sequence[Told]) -> None:
        run = self._run(trial)
        metrics = [
            Metric(_name(name), value, _millis(each.time), each.step)
            for each in told
            if isinstance(each, Measured)
            for name, value in each.fresh.items()
        ]
        metrics = self._unknown(run, metrics)
        for part in _parts(metrics, _METRICS):
            self._client.log_batch(run.id, metrics=part)
        if any(isinstance(each, Begun) for each in told):
            names = _names(trial.params)
            params = [Param(names[name], _text(value)) for name, value in trial.params.items()]
            for some in _parts(params, _PARAMS):
                self._client.log_batch(run.id, params=some)
        if not all(isinstance(each, Measured) for each in told):
            tags = [RunTag(name, value) for name, value in _tags(trial).items()]
            self._client.log_batch(run.id, tags=tags)
        if trial.finished is None and trial.retried:
            self._client.update_run(run.id, status="RUNNING")
        if trial.finished is not None:
            self._client.set_terminated(run.id, _STATUS[trial.state], _millis(trial.finished))

    def _run(self, trial: Trial) -> _Run:
        """The run of a trial, made where there is none."""
        if self._runs is None:
            self._runs = self._found()
        run = self._runs.get(trial.number)
        if run is None:
            made = self._client.create_run(
                self._experiment_id(),
                start_time=_millis(trial.started),
                run_name=f"{self._study.name}/{trial.number}",
                tags={
                    "sweep.id": self._study.id,
                    "sweep.study": self._study.name,
                    "sweep.trial": str(trial.number),
                    "mlflow.source.name": "sweep",
                },
            )
            run = self._runs[trial.number] = _Run(made.info.run_id, found=False)
        return run

    def _found(self) -> dict[int, _Run]:
        """The runs of this study that are there, by trial."""
        found: dict[int, _Run] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id()], f"tags.`sweep.id` = '{self._study.id}'", page_token=token
            )
            for run in page:
                found[int(run.data.tags["sweep.trial"])] = _Run(run.info.run_id, found=True)
            token = page.token
            if not token:
                return found

    def _experiment_id(self) -> str:
        if self._experiment is None:
            there = self._client.get_experiment_by_name(self._experiment_name)
            self._experiment = str(
                self._client.create_experiment(self._experiment_name)
                if there is None
                else there.experiment_id
            )
        return self._experiment

    def _unknown(self, run: _Run, metrics: Sequence[Metric]) -> list[Metric]:
        """Those of ``metrics`` that the run does not have."""
        if not run.found:
            return list(metrics)
        for name in {metric.key for metric in metrics} - run.points.keys():
            history = self._client.get_metric_history(run.id, name)
            run.points[name] = {_point(metric) for metric in history}
        return [metric for metric in metrics if _point(metric) not in run.points[metric.key]]


def make_store(uri: str) -> None:
    """Make the database of a store in a file of SQLite, if it is not there yet.

    MLflow makes one in many transactions, and can never open again what a kill leaves of it. So it
    is made under another name, and moved into place whole.

    Raises:
        OSError: it cannot be written, see `sweep.integration.database.ensure`.
    """
    if not uri.startswith("sqlite:"):
        return
    name = make_url(uri).database
    if not name or name == ":memory:" or name.startswith("file:"):
        return

    def make(path: Path) -> None:
        open_store: Any = _get_store  # untyped
        open_store(store_uri=f"sqlite:///{path.absolute()}").engine.dispose()

    ensure(Path(name), make)


def _point(metric: Metric) -> Point:
    """What makes a point the same one. A database knows no infinity and may round the last bits."""
    value = max(-sys.float_info.max, min(metric.value, sys.float_info.max))
    known = "nan" if math.isnan(value) else float(f"{value:.9g}")
    return metric.key, metric.step, metric.timestamp, known


def _tags(trial: Trial) -> dict[str, str]:
    """How a trial stands. Values that are not there have no tag."""
    checkpoints = [
        {
            "id": kept.id,
            "step": kept.step,
            "bytes": kept.record.get("bytes"),
            "kind": kept.record.get("kind"),
            "content": kept.content,
        }
        for kept in trial.kept[-_LISTED:]
    ]
    fork = trial.fork
    tags = {
        "sweep.state": str(trial.state),
        "sweep.reason": trial.reason,
        "sweep.value": None if trial.value is None else repr(trial.value),
        "sweep.values": None if trial.values is None else json.dumps(trial.values),
        "sweep.attempts": str(trial.attempts),
        "sweep.checkpoint": None if trial.shown is None else trial.shown.id,
        "sweep.checkpoints": json.dumps(checkpoints),
        "sweep.parent": None if fork is None else str(fork.parent),
        "sweep.source": None if fork is None else fork.source,
        "sweep.imported": trial.imported,
    }
    return {name: printable(value)[:8000] for name, value in tags.items() if value is not None}


def _text(value: Any) -> str:
    return printable(str(value))


def _names(params: Iterable[str]) -> dict[str, str]:
    """Each of the ``params`` as MLflow takes it. Where two are one there, they are told apart."""
    names = {name: _name(name) for name in params}
    times = Counter(names.values())
    return {
        name: plain if times[plain] == 1 else f"{plain[:241]}-{crc32(repr(name).encode()):08x}"
        for name, plain in names.items()
    }


def _name(name: str) -> str:
    """``name`` as MLflow takes it: no signs but a few, and no path that is not its shortest."""
    plain = re.sub(r"[^\w\-. :/]", "_", name)[:250]
    if posixpath.normpath(plain) != plain or plain.startswith((".", "/")):
        plain = "_" + plain[1:].replace("/", "_")
    return plain


def _millis(time: float) -> int:
    return round(time * 1000)


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _without_password(uri: str) -> str:
    split = urlsplit(uri)
    if "@" not in split.netloc:
        return uri
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2]))
