"""Whether the sources are those of before: of trials to go on, of the space to suggest more."""

from __future__ import annotations

import json

from sweep.driver.plan import Limits
from sweep.driver.prepare import Request, space_source
from sweep.errors import SpecChangedError
from sweep.journal.state import Trial
from sweep.trial.source import source_digest


def check_source(request: Request) -> str | None:
    """A warning, where trials are to go on that another source has begun.

    Raises:
        SpecChangedError: so under ``strict_code: true``; nothing was run or written yet.
    """
    state = request.state
    ours = source_digest(request.spec.program, request.project)
    if state is None or ours is None:
        return None
    again = [] if request.from_scratch else [state.trials[each] for each in request.retries]
    changed = [
        str(trial.number)
        for trial in (*state.unfinished.values(), *again)
        if (saved := _saved_with(request, trial)) is not None and saved != ours
    ]
    if not changed:
        return None
    name, program = request.paths.name, request.spec.program
    what = f"the source of {program} is not the one that trial {', '.join(changed)} was saved with"
    if request.spec.strict_code:
        raise SpecChangedError(
            f"{name}: {what}: put it back, or go on all the same with --set strict_code=false"
        )
    return f"{name}: {what}; it goes on with the new one"


def check_space(request: Request) -> str | None:
    """A warning, where another source of the space function has suggested the trials so far.

    Raises:
        SpecChangedError: so under ``strict_code: true``; nothing was run or written yet.
    """
    state, spec = request.state, request.spec
    if state is None or not 0 < state.asked < Limits.of(spec).total:
        return None
    for name, digest in space_source(spec, request.project).items():
        if state.sources.get(name, digest) != digest:
            what = f"the source of {name} is not the one that suggested the trials so far"
            if spec.strict_code:
                raise SpecChangedError(
                    f"{spec.name}: {what}: put it back, or go on all the same with "
                    "--set strict_code=false"
                )
            return f"{spec.name}: {what}; it goes on with the new one"
    return None


def _saved_with(request: Request, trial: Trial) -> str | None:
    """The digest in the newest checkpoint of a trial. Damage is found when it is restored."""
    if not trial.kept:
        return None
    path = request.paths.checkpoints / "manifests" / trial.kept[-1].record["manifest"]
    try:
        digest = json.loads(path.read_bytes())["meta"]["source_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None
