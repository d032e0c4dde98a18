"""`sweep fork`: a new trial from another one's checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweep.analysis.fork import fork_trial
from sweep.cli.output import Output, params_text, store_option
from sweep.cli.place import find_checkpoint
from sweep.errors import UsageError
from sweep.spec.document import parse_value


def fork(store: Path, name: str, settings: Sequence[str], force: bool, out: Output) -> None:
    """Add the trial, and say how to run it.

    Raises:
        SweepError: as `sweep.analysis.fork.fork_trial`.
    """
    paths, trial, which = find_checkpoint(store, name)
    made = fork_trial(paths, trial, _changes(settings), at=which, force=force)
    if out.as_json:
        out.data(asdict(made))
        return
    out.line(
        f"{made.study}: trial {made.trial} goes on from {made.source} ({params_text(made.params)})"
    )
    if made.note is not None:
        out.line(f"{made.study}: note: {made.note}")
    if not made.inside:
        out.line(f"{made.study}: note: it lies outside of the space: not told to the sampler")
    out.line(f"now: sweep resume {made.study}{store_option(store)}")


def _changes(settings: Sequence[str]) -> dict[str, Any]:
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {setting}: must be name=value, such as lr=0.01")
        changes[name.strip()] = parse_value(text, f"--set {setting}")
    return changes
