"""W&B: one run a trial, made when the trial is over, and there whole or not at all.

W&B takes back nothing, and its file of a run cannot be gone on with by another process without a
second one. So nothing is written of a trial before it is over. Then the journal says what it came
to, its steps once each, and the run is made aside and moved into place under a name that follows
from the trial. Where that is there already nothing is done.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import wandb

from sweep import fsio
from sweep.integration.account import Moved, Told
from sweep.integration.readable import readable
from sweep.integration.tracker import Marks, Subject
from sweep.journal.event import TrialState
from sweep.journal.state import Trial
from sweep.journal.table import final_metrics
from sweep.spec.tracker import Wandb, WandbMode

SYNC_S = 120
"""How long W&B's service may take for the runs of one commit, before they are tried again."""


class WandbSink:
    """Writes ``offline-run-<time>-<id>`` for each finished trial, and has it synced if online."""

    def __init__(self, options: Wandb, study: Subject) -> None:
        """Nothing is written yet."""
        self._options, self._study = options, study
        self._project = options.project or os.environ.get("WANDB_PROJECT") or study.name
        self._root = study.paths.wandb
        self._over: dict[int, Trial] = {}
        self.to = str(self._root)
        if options.mode is WandbMode.ONLINE:
            entity = "" if options.entity is None else f"{options.entity}/"
            self.to = f"W&B project {entity}{self._project}"

    def take(self, told: Told) -> None:
        if isinstance(told, Moved) and told.trial.state.finished:
            self._over[told.trial.number] = told.trial

    def commit(self) -> Marks:
        paths = [self._written(trial) for trial in self._over.values()]
        if paths and self._options.mode is WandbMode.ONLINE:
            _sync(paths)
        self._over = {}
        return {}

    def _written(self, trial: Trial) -> Path:
        """The directory of a trial's run, made where there is none."""
        id = f"{self._study.id}-{trial.number}"
        begun = datetime.fromtimestamp(trial.started).strftime("%Y%m%d_%H%M%S")
        path = self._root / f"offline-run-{begun}-{id}"
        there = next(self._root.glob(f"offline-run-*-{id}"), None)  # made in another time zone
        if there is not None and not trial.retried:
            return there
        aside = self._root / ".new"
        shutil.rmtree(aside, ignore_errors=True)
        fsio.make_directory(aside)
        made = self._made(trial, id, aside)
        for each in sorted(made.rglob("*")):
            if each.is_file():
                _sync_file(each)
        if there is not None:  # what it came to before it was retried
            shutil.rmtree(there)
        made.replace(path)
        fsio.sync_directory(self._root)
        shutil.rmtree(aside, ignore_errors=True)
        return path

    def _made(self, trial: Trial, id: str, aside: Path) -> Path:
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            x_start_time=trial.started,
        )
        run = wandb.init(
            mode="offline",
            dir=str(aside),
            id=id,
            name=f"{self._study.name}/{trial.number}",
            group=self._study.name,
            project=self._project,
            entity=self._options.entity,
            config=readable(trial.params | {"sweep": _origin(trial, self._study)}),
            settings=settings,
        )
        try:
            for step in sorted(trial.reports):
                report = trial.reports[step]
                run.log(readable(report.metrics) | {"_timestamp": report.time}, step=step)
            run.summary.update(readable(final_metrics(trial) | {"sweep": _outcome(trial)}))
            return Path(run.settings.sync_dir)
        finally:  # else W&B holds the id to be in use for as long as this process lives
            run.finish(exit_code=1 if trial.state is TrialState.FAILED else 0)


def _origin(trial: Trial, study: Subject) -> dict[str, object]:
    fork = trial.fork
    return {
        "study": study.name,
        "trial": trial.number,
        "parent": None if fork is None else fork.parent,
        "source": None if fork is None else fork.source,
        "imported": trial.imported,
    }


def _outcome(trial: Trial) -> dict[str, object]:
    checkpoints = [
        {
            "id": kept.id,
            "step": kept.step,
            "bytes": kept.record.get("bytes"),
            "kind": kept.record.get("kind"),
        }
        for kept in trial.kept
    ]
    return {
        "state": str(trial.state),
        "reason": trial.reason,
        "value": trial.value,
        "values": trial.values,
        "attempts": trial.attempts,
        "duration_s": trial.duration,
        "checkpoints": checkpoints,
    }


def _sync(paths: list[Path]) -> None:
    """Have W&B's own command send runs. It passes over those that it has sent."""
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *map(str, paths)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SYNC_S
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"`wandb sync` had no answer within {SYNC_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise OSError(f"`wandb sync` failed: {said[-1]}")


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
