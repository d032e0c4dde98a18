"""From YAML to an accepted spec, or to one error that names every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweep.spec.document import Document, parse_document, read_text
from sweep.spec.enqueue import enqueue_problems
from sweep.spec.method import AnySampler, Sampler
from sweep.spec.model import StudySpec, study_problems
from sweep.spec.override import SYNONYMS, override
from sweep.spec.parameter import Parameter
from sweep.spec.problem import Problem, problems_of


def load_spec(path: str | FilePath, overrides: Sequence[str] = ()) -> StudySpec:
    """Read the spec of a study from a YAML file.

    Args:
        path: the file; its stem names the study where it has no ``name``.
        overrides: settings such as ``trials=50`` that take the place of what the file says.

    Raises:
        SpecError: with one line per problem, ``file:line: path: what is wrong``.
    """
    path = FilePath(path)
    return parse_spec(read_text(path), str(path), overrides)


def parse_spec(text: str, source: str = "spec.yaml", overrides: Sequence[str] = ()) -> StudySpec:
    """Read the spec of a study from YAML text; ``source`` is what messages call it.

    Raises:
        SpecError: as `load_spec`.
    """
    document = parse_document(text, source)
    override(document, overrides)
    document.data.setdefault("name", FilePath(source).stem)
    problems, data = _one_spelling(document.data)
    try:
        spec = StudySpec.model_validate(data)
    except ValidationError as error:
        problems += problems_of(error, StudySpec, data)
        problems += _between_valid_parts(data)
    if problems:
        raise document.error([_as_written(document, problem) for problem in problems])
    return spec


def _one_spelling(data: Mapping[str, Any]) -> tuple[list[Problem], Mapping[str, Any]]:
    """The data without ``run_cap`` where it has ``trials`` too."""
    if "trials" not in data or "run_cap" not in data:
        return [], data
    problem = Problem(("run_cap",), "means the same as trials: keep one")
    return [problem], {key: value for key, value in data.items() if key != "run_cap"}


def _between_valid_parts(data: Mapping[str, Any]) -> list[Problem]:
    """Problems between parts, which pydantic looks for only where all parts are valid."""
    written = data.get("parameters")
    parameters: dict[str, Parameter] = {}
    if not isinstance(written, dict):
        return []
    for name, parameter in written.items():
        with suppress(ValidationError):
            parameters[name] = Parameter.model_validate(parameter)
    method: Sampler | None = None
    with suppress(ValidationError):
        method = TypeAdapter[Sampler](AnySampler).validate_python(data.get("method"))
    trials = data.get("trials", data.get("run_cap"))
    problems = list(study_problems(parameters, tuple(written), method, trials))
    return problems + list(enqueue_problems(data.get("enqueue"), parameters, tuple(written)))


def _as_written(document: Document, problem: Problem) -> Problem:
    """A problem with ``trials`` where the document says ``run_cap``."""
    first = problem.path[:1]
    if first and first[0] in SYNONYMS and first[0] not in document.data:
        other = SYNONYMS[str(first[0])]
        if other in document.data:
            return Problem((other, *problem.path[1:]), problem.message)
    return problem
