"""`sweep check`, and `sweep run --dry-run`: whether sweeps could be run, without running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.cli.output import Output, error
from sweep.cli.rungs import rungs_record, rungs_text
from sweep.cli.standing import progress_text
from sweep.driver.prepare import Request
from sweep.driver.rehearsal import doubts, rehearse
from sweep.errors import SweepError, UsageError
from sweep.quantity import counted
from sweep.spec import StudySpec, load_spec
from sweep.spec.suggestion import listed


@dataclass(slots=True)
class Finding:
    """What was found of one file."""

    file: Path
    spec: StudySpec | None = None
    request: Request | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    code: int = 0


def check(
    files: Sequence[Path],
    settings: Sequence[str],
    store: Path,
    out: Output,
    *,
    imports: bool,
    accept: bool = False,
) -> int:
    """Say of each file whether it could be run. The exit code: that of the first that could not.

    ``imports``: the program is imported, too. Nothing is written.
    """
    found = [_looked_at(file, settings, store, imports=imports, accept=accept) for file in files]
    names = [each.spec.name for each in found if each.spec is not None]
    for each in found:
        if each.spec is not None and names.count(each.spec.name) > 1:
            each.problems.append(
                f"another of these sweeps is called {each.spec.name!r}, too; give each its own "
                "`name:`"
            )
            each.code = each.code or UsageError.exit_code
    for each in found:
        out.data(_record(each)) if out.as_json else _print(each, out)
    return next((each.code for each in found if each.code), 0)


def _looked_at(
    file: Path, settings: Sequence[str], store: Path, *, imports: bool, accept: bool
) -> Finding:
    found = Finding(file)
    try:
        found.spec = load_spec(file, settings, found.warnings.append)
        found.request = rehearse(store, found.spec, str(Path.cwd()), imports=imports, accept=accept)
        if found.request is not None:
            found.warnings += doubts(found.request)
    except SweepError as problem:
        found.problems += str(problem).splitlines()
        found.code = problem.exit_code
    return found


def _record(found: Finding) -> dict[str, Any]:
    request = found.request
    return {
        "file": str(found.file),
        "study": None if found.spec is None else found.spec.name,
        "ok": not found.problems,
        "exists": None if request is None else request.state is not None,
        "problems": found.problems,
        "warnings": found.warnings,
        "changes": [] if request is None else [str(change) for change in request.changes],
        "rungs": None if found.spec is None else rungs_record(_spec(found, found.spec)),
    }


def _print(found: Finding, out: Output) -> None:
    for warning in found.warnings:
        error(f"warning: {warning}")
    for problem in found.problems:
        error(problem)
    if found.problems or found.spec is None:
        return
    out.line(f"{found.file}: ok: {_described(found.spec)}")
    request, name = found.request, found.spec.name
    rungs = rungs_text(_spec(found, found.spec))
    if rungs is not None:
        out.line(f"{name}: rungs at {rungs}")
    if request is None:
        out.line(f"{name}: a driver runs it now")
    elif request.state is not None:
        for change in request.changes:
            out.line(f"{name}: {change}")
        out.line(f"{name}: would resume: {progress_text(request.spec, request.state)}")


def _spec(found: Finding, spec: StudySpec) -> StudySpec:
    """What would be run: a study that exists goes on with some of what it was begun with."""
    return spec if found.request is None else found.request.spec


def _described(spec: StudySpec) -> str:
    """``digits: 20 trials, tpe over 6 parameters, maximize accuracy``."""
    trials = "all of a grid" if spec.trials is None else counted(spec.trials, "trial")
    over = f"the space of {spec.space_function}"
    if spec.space_function is None:
        over = counted(len(spec.space.dimensions), "parameter")
    aims = listed([f"{each.goal} {each.name}" for each in spec.objectives])
    return f"{spec.name}: {trials}, {spec.method.name} over {over}, {aims}"
