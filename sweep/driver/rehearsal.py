"""Whether a spec could be run, found out without running anything: `sweep check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweep.driver.prepare import Request, request_change, request_run
from sweep.driver.source import check_source, check_space
from sweep.errors import ProgramError, StudyLockedError
from sweep.spec import StudySpec
from sweep.trial.program import load_program


def rehearse(
    store: Path, spec: StudySpec, project: str, *, imports: bool, accept: bool
) -> Request | None:
    """What running ``spec`` in ``store`` would mean; None where a driver runs the study already.

    Nothing is written. With ``imports`` the program, the space function and the sampler of the
    user's are imported into this process; without it they are not looked at, nor is ``warm_start``.

    Raises:
        SweepError: as `request_run`; or the program cannot be imported.
    """
    try:
        if not imports:
            return request_change(store, spec, project, accept=accept)
        request = request_run(store, spec, project, accept=accept)
    except StudyLockedError:
        request = None
    if imports:
        try:
            load_program(spec.program, project)
        except ProgramError as error:
            raise ProgramError(f"{spec.name}: {error}") from error
    return request


def doubts(request: Request) -> Iterator[str]:
    """What is to be known before ``request`` is run, a line each.

    Raises:
        SpecChangedError: a source is another one, under ``strict_code: true``.
    """
    for check in (check_source, check_space):
        warning = check(request)
        if warning is not None:
            yield warning
