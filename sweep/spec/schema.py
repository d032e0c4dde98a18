"""The JSON Schema of a spec, for editors: completion, and help from the fields' docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from sweep.spec import iteration, method, model, parameter, section, termination, tracker
from sweep.spec.method import ALIASES, REFERENCE, Method
from sweep.spec.model import NAME, StudySpec
from sweep.spec.problem import Section
from sweep.spec.service import IGNORED

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """A schema that takes every form that `load_spec` takes, ``run_cap`` and ``bayes`` included.

    It is as strict as a schema is of use in an editor: what concerns several keys at once (bounds
    that fit, conditions that can hold) is for `load_spec`.
    """
    schema = StudySpec.model_json_schema()
    definitions = schema["$defs"]
    for each in _sections():
        _describe(schema if each is StudySpec else definitions.get(each.__name__, {}), each)
    _strip(schema)
    properties = schema["properties"]
    properties["name"]["pattern"] = f"^{NAME.pattern}$"
    del definitions["Parameter"]["properties"]["distribution"]["default"]
    properties["parameters"]["minProperties"] = 1
    properties["run_cap"] = {**properties["trials"], "description": "W&B's name of trials."}
    _short_forms(properties, definitions)
    properties["space"] = {**properties["space"], "pattern": f"^{REFERENCE.pattern}$"}
    _groups(properties["parameters"], definitions)
    _service(schema, definitions)
    schema["required"].remove("name")
    schema["oneOf"] = [{"required": ["parameters"]}, {"required": ["space"]}]
    schema["anyOf"] = [
        {"required": ["trials"]},
        {"required": ["run_cap"]},
        {"properties": {"method": {"anyOf": _spelled("grid", "brute")}}},
    ]
    return {"$schema": DIALECT, **schema, "title": "sweep: the spec of a study"}


def _short_forms(properties: dict[str, Any], definitions: dict[str, Any]) -> None:
    """What `sweep.spec.section` reads besides mappings: ``checkpoint: none``, ``on: end``."""
    named = {"enum": [*(each.value for each in Method), *ALIASES]}
    factory = {"type": "string", "pattern": f"^{REFERENCE.pattern}$"}
    tpe = definitions["Tpe"]["properties"]["name"]
    tpe["enum"] = [tpe.pop("const"), *ALIASES]
    definitions["Factory"]["properties"]["name"].update(factory)
    options = properties["method"].pop("oneOf")
    properties["method"]["anyOf"] = [named, factory, *options]
    for pruning in ("AshaPruning", "HyperbandPruning"):
        definitions[pruning]["properties"] |= iteration.SCHEMA
    ends = [{"required": [key]} for key in ("max_resource", "max_iter", "min_iter", "brackets")]
    definitions["HyperbandPruning"]["anyOf"] = ends
    whole = properties["checkpoint"]
    properties["checkpoint"] = {
        "anyOf": [{"$ref": whole.pop("$ref")}, {"const": "none"}],
        **whole,
    }
    saved = definitions["CheckpointSpec"]["properties"]
    name = {"enum": ["improvement", "end"]}
    saved["on"]["anyOf"] += [name, {"type": "array", "items": name, "minItems": 1}]
    for names in (saved["components"], saved["exclude"], properties["warm_start"]):
        listed = {"type": names.pop("type"), "items": names.pop("items")}
        names["anyOf"] = [listed, {"type": "string", "minLength": 1}]
    properties["enqueue"]["items"]["minProperties"] = 1
    listed = {"type": properties["trackers"].pop("type")}
    one = {"anyOf": [{"enum": list(tracker.KINDS)}, properties["trackers"].pop("items")]}
    properties["trackers"]["anyOf"] = [listed | {"items": one}, *one["anyOf"]]
    definitions["Tracker"] |= {"minProperties": 1, "maxProperties": 1}


def _groups(parameters: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Parameters in parameters, to any depth."""
    either = {"anyOf": [parameters.pop("additionalProperties"), {"$ref": "#/$defs/Group"}]}
    inner = {"type": "object", "minProperties": 1, "additionalProperties": either}
    inner["description"] = "The parameters of the group, by the last part of their names."
    when = definitions["Parameter"]["properties"]["when"]
    parameters["additionalProperties"] = either
    definitions["Group"] = {
        "type": "object",
        "description": "Parameters that share the beginning of their names.",
        "properties": {"parameters": inner, "when": when},
        "required": ["parameters"],
        "additionalProperties": False,
    }


def _service(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """What W&B's own files may have besides."""
    for (*above, key), message in IGNORED.items():
        section = definitions["Metric"] if above else schema
        section["properties"][key] = {"description": f"W&B's, {message}."}


def _spelled(*methods: str) -> list[dict[str, Any]]:
    """A method by its name, alone or in a mapping."""
    name = {"enum": list(methods)}
    return [name, {"type": "object", "properties": {"name": name}, "required": ["name"]}]


def _sections() -> Iterator[type[Section]]:
    for module in (model, method, section, termination, tracker, parameter):
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Section) and each is not Section:
                yield each


def _strip(schema: Any) -> None:
    """Remove what pydantic adds and no editor needs: a title per key, defaults that are null."""
    if not isinstance(schema, dict):
        return
    for each in schema.get("properties", {}).values():
        each.pop("title", None)
        if each.get("default", "") is None:
            del each["default"]
    for each in schema.get("$defs", {}).values():
        _strip(each)


def _describe(schema: dict[str, Any], section: type[Section]) -> None:
    """Put the docstrings of the fields of ``section`` into its schema."""
    for each in reversed(section.__mro__):
        if issubclass(each, Section) and each is not Section:
            for field, text in _docstrings(each).items():
                name = getattr(each.model_fields.get(field), "alias", None) or field
                if name in schema.get("properties", {}):
                    schema["properties"][name]["description"] = text


def _docstrings(section: type[Section]) -> dict[str, str]:
    """The string below each field of a class, by the field's name.

    pydantic could gather them itself, but does so at import, which costs every command its time.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    except OSError:  # installed without sources: a schema without help is still one
        return {}
    found: dict[str, str] = {}
    definition = tree.body[0]
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, below in pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
