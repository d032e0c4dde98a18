"""`sweep retry`: failed trials run again, here or by the driver of the study."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweep.cli.output import Output
from sweep.cli.place import find_trial, read_study
from sweep.cli.run import Options, drive
from sweep.driver.inbox import RetryTrials, ask
from sweep.driver.prepare import request_resume
from sweep.driver.retrying import Retry, retries
from sweep.errors import UsageError
from sweep.journal.lock import holder


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trials are to run again: ``trials`` of ``study``, which may be ``STUDY/TRIAL``."""

    study: str
    trials: Sequence[int]
    settings: Sequence[str] = ()
    from_scratch: bool = False


def retry(wanted: Wanted, options: Options, out: Output, *, dry_run: bool, wait: float) -> int:
    """Run failed trials again, and what else is left of their study. The exit code.

    Where a driver runs the study, it is asked to do so, and for at most ``wait`` seconds.

    Raises:
        StudyNotFoundError: there is no such study or trial.
        UsageError: a trial cannot be retried, or ``settings`` are for a study that is running.
        StoreError: the driver did not answer in time.
    """
    paths, number = find_trial(options.store, wanted.study)
    numbers = (*wanted.trials, *(() if number is None else (number,)))
    _, state = read_study(paths)
    found = retries(state, paths.name, numbers, from_scratch=wanted.from_scratch)
    planned = [each.record() for each in found]
    if not found or dry_run:
        _say(paths.name, planned, out, dry_run=dry_run)
        return 0
    driver = holder(paths.lock)
    if driver is not None and wanted.settings:
        raise UsageError(
            f"{paths.name}: --set: {driver} runs the study; `sweep stop {paths.name}` first"
        )
    if driver is not None:
        wish = RetryTrials(tuple(each.trial for each in found), wanted.from_scratch)
        done = ask(paths, wish, time.monotonic() + wait)
        if done is not None:
            _say(paths.name, done["retried"], out, driver=str(driver))
            return 0
    request = request_resume(paths, wanted.settings, accept=options.accept_changes)
    request = replace(
        request, retries=[each.trial for each in found], from_scratch=wanted.from_scratch
    )
    _say(paths.name, planned, out)
    return drive([request], options, out)


def _say(
    study: str,
    retried: Sequence[Mapping[str, Any]],
    out: Output,
    *,
    dry_run: bool = False,
    driver: str | None = None,
) -> None:
    if out.as_json:
        out.data({"study": study, "retried": list(retried), "dry_run": dry_run, "driver": driver})
        return
    if not retried:
        out.line(f"{study}: no trial has failed that could be retried")
        return
    what = ", ".join(str(Retry(each["trial"], each["checkpoint"])) for each in retried)
    verb = "would retry" if dry_run else "retries"
    out.line(f"{study}: {verb if driver is None else f'{driver} {verb}'} {what}")
