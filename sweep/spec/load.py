"""From YAML to an accepted spec, or to one error that names every problem."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweep.spec.constraint import Constraints
from sweep.spec.document import Document, parse_document, parse_value, read_text
from sweep.spec.enqueue import enqueue_problems, ungrouped
from sweep.spec.group import Flat, flatten
from sweep.spec.method import AnySampler, Sampler
from sweep.spec.model import StudySpec, study_problems
from sweep.spec.objective import objective_problems
from sweep.spec.override import SYNONYMS, override
from sweep.spec.parameter import Parameter
from sweep.spec.problem import Problem, problems_of
from sweep.spec.service import leave_out_service
from sweep.spec.tracker import Tracker

_log = logging.getLogger("sweep")


def load_spec(
    path: str | FilePath,
    overrides: Sequence[str] = (),
    warn: Callable[[str], None] = _log.warning,
) -> StudySpec:
    """Read the spec of a study from a YAML file.

    Args:
        path: the file; its stem names the study where it has no ``name``.
        overrides: settings such as ``trials=50`` that take the place of what the file says.
        warn: is told what of W&B's service is read past, a line each.

    Raises:
        SpecError: with one line per problem, ``file:line: path: what is wrong``.
    """
    path = FilePath(path)
    return parse_spec(read_text(path), str(path), overrides, warn)


def parse_spec(
    text: str,
    source: str = "spec.yaml",
    overrides: Sequence[str] = (),
    warn: Callable[[str], None] = _log.warning,
) -> StudySpec:
    """Read the spec of a study from YAML text; ``source`` is what messages call it.

    Raises:
        SpecError: as `load_spec`.
    """
    document = parse_document(text, source)
    override(document, overrides)
    document.data.setdefault("name", FilePath(source).stem)
    ignored = leave_out_service(document.data)
    problems, data = _one_spelling(document.data)
    flat = Flat()
    if isinstance(data.get("parameters"), Mapping):
        flat = flatten(data["parameters"])
        data = {**data, "parameters": flat.parameters}
        if "enqueue" in data:
            data["enqueue"] = ungrouped(data["enqueue"], flat.parameters)
    try:
        spec = StudySpec.model_validate(data)
    except ValidationError as error:
        problems += problems_of(error, StudySpec, data)
        problems += _between_valid_parts(data)
    problems = [Problem(flat.written(each.path), each.message) for each in problems]
    problems += flat.problems
    if problems:
        raise document.error([_as_written(document, problem) for problem in problems])
    for line in document.told(ignored):
        warn(line)
    return spec


def parse_tracker(text: str, source: str) -> Tracker:
    """Read one tracker as ``trackers`` of a spec has it; ``source`` is what messages call it.

    Raises:
        SpecError: as `load_spec`.
    """
    data = parse_value(text, source)
    try:
        return Tracker.model_validate(data)
    except ValidationError as error:
        document = Document(source, data, spoken={(): source})
        raise document.error(problems_of(error, Tracker, data)) from error


def _one_spelling(data: Mapping[str, Any]) -> tuple[list[Problem], Mapping[str, Any]]:
    """The data without ``run_cap`` where it has ``trials`` too."""
    if "trials" not in data or "run_cap" not in data:
        return [], data
    problem = Problem(("run_cap",), "means the same as trials: keep one")
    return [problem], {key: value for key, value in data.items() if key != "run_cap"}


def _between_valid_parts(data: Mapping[str, Any]) -> list[Problem]:
    """Problems between parts, which pydantic looks for only where all parts are valid."""
    written = data.get("parameters", {})
    parameters: dict[str, Parameter] = {}
    if not isinstance(written, dict):
        return []
    names = tuple(written) if "parameters" in data else None
    for name, parameter in written.items():
        with suppress(ValidationError):
            parameters[name] = Parameter.model_validate(parameter)
    method: Sampler | None = None
    with suppress(ValidationError):
        method = TypeAdapter[Sampler](AnySampler).validate_python(data.get("method"))
    trials = data.get("trials", data.get("run_cap"))
    metric, constraints = data.get("metric"), list[str]()
    with suppress(ValidationError):
        adapter = TypeAdapter[tuple[str, ...]](Constraints)
        constraints = list(adapter.validate_python(data.get("constraints", [])))
    defined = data.get("space") is not None
    return [
        *study_problems(parameters, names, method, trials, space=data.get("space")),
        *objective_problems(
            method,
            len(metric) if isinstance(metric, list) else 1,
            constraints,
            parameters,
            prunes=data.get("early_terminate") is not None,
        ),
        *(() if defined else enqueue_problems(data.get("enqueue"), parameters, names or ())),
    ]


def _as_written(document: Document, problem: Problem) -> Problem:
    """A problem with ``trials`` where the document says ``run_cap``."""
    first = problem.path[:1]
    if first and first[0] in SYNONYMS and first[0] not in document.data:
        other = SYNONYMS[str(first[0])]
        if other in document.data:
            return Problem((other, *problem.path[1:]), problem.message)
    return problem
