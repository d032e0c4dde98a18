"""Studies of other programs become studies of the store: to be read, and to go on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sweep import fsio
from sweep.errors import SpecError, StoreError, UsageError
from sweep.paths import StudyPaths
from sweep.spec import StudySpec, dump_spec, load_spec, parse_spec
from sweep.spec.problem import problems_of

if TYPE_CHECKING:
    from sweep.search.imported import ImportedStudy

PROGRAM = "my_trial:main"
"""Stands in the YAML for the function that nobody has named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """How the new study is to be.

    Attributes:
        name: by default that of the old one.
        program: the trial function, ``module:function``; with `PROGRAM` nothing can be run.
        space: a YAML whose ``parameters`` take the place of those that were found.
    """

    name: str | None = None
    program: str | None = None
    space: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A study that was made. ``outside`` are trials that the sampler is not told of, with reasons;
    ``unfinished`` ones were left out. ``yaml`` is the spec to go on with."""

    study: str
    path: str
    yaml: str
    trials: int
    unfinished: int
    outside: list[tuple[int, str]]
    notes: list[str]


def import_optuna(
    store: Path,
    url: str,
    wanted: Wanted | None = None,
    *,
    study: str | None = None,
    metrics: Sequence[str] = (),
) -> Imported:
    """Make a study of the one in the database ``url``, and its YAML in the working directory.

    Trials have the times that they had there, one session long. The study appears in the store when
    it is whole.

    Args:
        study: which one, where the database has several.
        metrics: what its objectives are called here, in their order; by default as there.

    Raises:
        UsageError: no database of Optuna's, no such study, or nothing in it that is over; or the
            metrics are not one for each objective; or the new study or its YAML is there already.
        SpecError: the space that is wanted is not valid.
        StoreError: the database cannot be read, or the store not be written.
    """
    from sweep.search.optuna_database import OptunaDatabase  # start-up: Optuna takes a second
    from sweep.search.optuna_import import imported_study

    database = OptunaDatabase.of(url)
    with database.read(study) as known:
        source, found = f"{database.path}:{known.study_name}", imported_study(known, metrics)
    return _make(store, source, found, wanted or Wanted())


def import_tune(
    store: Path,
    directory: Path,
    wanted: Wanted | None = None,
    *,
    metric: str | None = None,
    goal: str | None = None,
) -> Imported:
    """Make a study of the Ray Tune experiment in ``directory``, as `import_optuna` does.

    Only JSON is read. Tune's space and schedulers are in pickles: the space is made of the values
    that trials had, unless one is wanted.

    Args:
        metric: what is optimised; by default that of the experiment's ``TuneConfig``.
        goal: ``minimize`` or ``maximize``.

    Raises:
        UsageError: no experiment, nothing in it that is over, or the metric or its goal are not
            known; or the new study or its YAML is there already.
        SpecError: the space that is wanted is not valid.
        StoreError: the directory cannot be read, or the store not be written.
    """
    from sweep.search.tune_experiment import TuneExperiment
    from sweep.search.tune_import import imported_experiment

    found = imported_experiment(TuneExperiment.read(directory), metric, goal)
    wanted = wanted or Wanted()
    if wanted.space is None:
        note = (
            "Tune keeps its space in pickles only: the YAML has the values and ranges that trials "
            "had; import with --space FILE.yaml to search those of its parameters"
        )
        found = replace(found, notes=[*found.notes, note])
    return _make(store, str(directory), found, wanted)


def _make(store: Path, source: str, found: ImportedStudy, wanted: Wanted) -> Imported:
    from sweep.analysis.past_journal import write_past  # start-up: it needs Arrow

    spec = _spec(source, found.content, wanted)
    written = _written(source, spec)
    paths, yaml = StudyPaths.of(store, spec.name), Path(f"{spec.name}.yaml")
    for path in (paths.root, yaml):
        if path.exists():
            raise UsageError(f"{path}: is there already; give the study another --name")
    aside = StudyPaths(paths.root.with_name(f".{spec.name}.import"))
    try:
        shutil.rmtree(aside.root, ignore_errors=True)  # of an import that was killed
        fsio.make_directory(aside.journal)
        try:
            outside = write_past(aside, spec, source, found.trials)
            fsio.write_bytes(aside.spec, written)
            aside.lock.unlink(missing_ok=True)
            hint = f"# {PROGRAM} stands for the function of a trial: name yours\n"
            head = "" if wanted.program else hint
            fsio.write_bytes(yaml.absolute(), head.encode() + written)
            aside.root.rename(paths.root)
            fsio.sync_directory(paths.root.parent)
        finally:
            shutil.rmtree(aside.root, ignore_errors=True)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{paths.root}: cannot be written: {error}") from error
    return Imported(
        study=spec.name,
        path=str(paths.root),
        yaml=str(yaml),
        trials=len(found.trials),
        unfinished=found.unfinished,
        outside=outside,
        notes=found.notes,
    )


def _spec(source: str, found: dict[str, Any], wanted: Wanted) -> StudySpec:
    content = found | {"program": wanted.program or PROGRAM}
    if wanted.name is not None:
        content["name"] = wanted.name
    if wanted.space is not None:
        content["parameters"] = load_spec(wanted.space).parameters
        if not content["parameters"]:
            raise UsageError(f"{wanted.space}: has no parameters")
    try:
        return StudySpec.model_validate(content)
    except ValidationError as error:
        first = problems_of(error, StudySpec, content)[0]
        place = ".".join(map(str, first.path))
        hint = "; give it a --name" if place == "name" and wanted.name is None else ""
        raise UsageError(
            f"{source}: cannot be a study here: {place}: {first.message}{hint}"
        ) from error


def _written(source: str, spec: StudySpec) -> bytes:
    """The YAML, which can be read again."""
    text = dump_spec(spec)
    try:
        parse_spec(text, source)
    except SpecError as error:  # half of a surrogate pair, say, which no file can hold
        _, _, reason = str(error).splitlines()[0].partition(": ")
        raise UsageError(f"{source}: cannot be a study here: {reason}") from error
    return text.encode()
