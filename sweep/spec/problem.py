"""What is wrong with a spec, and where: one line of text per problem.

Models report their problems through pydantic, so that it collects them and knows the path of each.
This module brings both kinds, pydantic's own and ours, into one list in our words.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from sweep.spec.suggestion import brief, did_you_mean, plain

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; ``path`` leads to it, or to where it is missing."""

    path: Path
    message: str


class Section(BaseModel):
    """Base of the models of a spec: frozen, and unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,  # built on first use: an import stays quick
        ser_json_inf_nan="constants",  # else an infinity among values becomes null
    )

    tag: ClassVar[str] = "type"
    """The key that says which section of a union is meant."""
    foreign: ClassVar[Mapping[str, str]] = {}
    """Keys that other tools know, with what to say about each."""


def wrong(message: str) -> PydanticCustomError:
    """A problem with the value being validated, for a validator to raise."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def wrongs(problems: Sequence[Problem]) -> PydanticCustomError:
    """Several problems, with paths relative to the model being validated."""
    message = "; ".join(f"{dotted(each.path)}: {each.message}".lstrip(": ") for each in problems)
    return PydanticCustomError(
        "wrongs", "{message}", {"message": message, "problems": tuple(problems)}
    )


def dotted(path: Path) -> str:
    """``parameters.lr.values[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part and part.isprintable() else repr(part)
            text += f".{name}" if text else name
    return text


def problems_of(error: ValidationError, model: type[Section], data: Any) -> list[Problem]:
    """The problems that pydantic found in ``data``, which it read as ``model``."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False):
        path = _real_path(detail["loc"], data, missing=detail["type"] == "missing")
        nested: Sequence[Problem] = detail.get("ctx", {}).get("problems", ())
        if nested:
            found += [Problem(path + each.path, each.message) for each in nested]
        else:
            found.append(Problem(path, _message(detail, _section_at(model, path[:-1], data))))
    return found


def _message(detail: ErrorDetails, section: type[Section] | None) -> str:
    context = detail.get("ctx", {})
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    match detail["type"]:
        case "wrong":
            return str(context["message"])
        case "missing":
            return "is required"
        case "extra_forbidden":
            return _unknown_key(key, section)
        case "greater_than_equal":
            return f"must be {context['ge']:g} or more, not {brief(detail['input'])}"
        case "greater_than":
            return f"must be above {context['gt']:g}, not {brief(detail['input'])}"
        case "less_than":
            return f"must be below {context['lt']:g}, not {brief(detail['input'])}"
        case "less_than_equal":
            bound = context["le"]
            most = int(bound) if float(bound).is_integer() else bound
            return f"must be {plain(most)} or less, not {brief(detail['input'])}"
        case "finite_number":
            return "must be a finite number"
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            return _not("a mapping", detail["input"])
        case "literal_error":
            expected = str(context["expected"]).replace("'", "")
            return f"must be {expected}, not {brief(detail['input'])}"
        case "tuple_type" | "list_type":
            return _not("a list", detail["input"])
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _not(kind: str, given: Any) -> str:
    if given is None:
        return "is empty: fill it in or remove it"
    return f"must be {kind}, not {brief(given)}"


def _unknown_key(key: str, section: type[Section] | None) -> str:
    if section is None:
        return "unknown key"
    if key in section.foreign:
        return section.foreign[key]
    known = (field.alias or name for name, field in section.model_fields.items())
    return f"unknown key; {did_you_mean(key, known)}"


def _real_path(location: Path, data: Any, *, missing: bool) -> Path:
    """A location of pydantic without the names of union members, which are not in the data.

    Nor is its last part where a key is ``missing``.
    """
    path: list[str | int] = []
    tagged = -1
    for position, part in enumerate(location):
        if isinstance(data, Mapping) and part == data.get("type") and len(path) != tagged:
            tagged = len(path)  # the union's, not a key that is called as one of its members
            continue
        inside = part in data if isinstance(data, Mapping) else isinstance(part, int)
        if not inside and not (missing and position == len(location) - 1):
            continue
        path.append(part)
        data = _child(data, part)
    return tuple(path)


def _child(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _section_at(model: type[Section], path: Path, data: Any) -> type[Section] | None:
    """The model that reads what lies at ``path``."""
    annotation: Any = model
    for part in path:
        data = _child(data, part)
        if isinstance(annotation, type) and issubclass(annotation, Section):
            field = annotation.model_fields.get(str(part))
            annotation = None if field is None else _unwrapped(field.annotation, data)
        elif get_origin(annotation) is dict:
            annotation = _unwrapped(get_args(annotation)[1], data)
        elif get_origin(annotation) is tuple:
            annotation = _unwrapped(get_args(annotation)[0], data)
        else:
            return None
    is_section = isinstance(annotation, type) and issubclass(annotation, Section)
    return annotation if is_section else None


def _unwrapped(annotation: Any, data: Any) -> Any:
    """The section or mapping inside ``Annotated`` and unions; ``type`` chooses among sections."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrapped(get_args(annotation)[0], data)
    if origin is Union or origin is types.UnionType:
        members = [_unwrapped(member, data) for member in get_args(annotation)]
        members = [member for member in members if member is not None]
        return next((member for member in members if _tagged(member, data)), None)
    if origin is tuple:
        return annotation if isinstance(data, list) else None
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, Section)):
        return annotation
    return None


def _tagged(member: Any, data: Any) -> bool:
    """True where ``member`` is the one that ``data`` names with its tag (or has no tag)."""
    if not (isinstance(member, type) and issubclass(member, Section)):
        return True
    if isinstance(data, list):
        return False
    field = member.model_fields.get(member.tag)
    allowed = () if field is None else get_args(field.annotation)
    return not allowed or _child(data, member.tag) in allowed
