"""A spec as readable YAML, which `load_spec` reads back to an equal one."""

from __future__ import annotations

import io
from typing import Any

from sweep.spec.distribution import inferred
from sweep.spec.model import StudySpec

_WIDTH = 96
_LINE_ENDS = frozenset("\x85\u2028\u2029")


_SELDOM = ("logs", "worker")
"""Keys that are written out only where they are given."""


def dump_spec(spec: StudySpec) -> str:
    """The accepted spec: a line for each parameter, defaults written out, nothing that is None."""
    from ruamel.yaml import YAML  # start-up: `sweep --help` writes no YAML
    from ruamel.yaml.comments import CommentedMap

    described = _tidy(spec.model_dump(mode="json", exclude={"parameters"}))
    for name in _SELDOM:
        if getattr(spec, name) == StudySpec.model_fields[name].get_default(
            call_default_factory=True
        ):
            del described[name]
    if spec.parameters:
        described["parameters"] = {
            name: _flow(_shortest(parameter.model_dump(mode="json")))
            for name, parameter in spec.parameters.items()
        }
    described["enqueue"] = [_flow(entry) for entry in described["enqueue"]]
    described["trackers"] = [
        _flow(tracker.short) if tracker.short != tracker.name else tracker.name
        for tracker in spec.trackers
    ]
    keys = (field.alias or name for name, field in StudySpec.model_fields.items())
    ordered = CommentedMap(
        (key, described[key]) for key in keys if key in described and described[key] != []
    )
    for key in ("metric", "constraints", "resources", "logs", "worker", "early_terminate"):
        if key in ordered:
            ordered[key] = _flow(ordered[key])
    ordered["checkpoint"] = {
        key: _flow(part) if isinstance(part, dict) else part
        for key, part in ordered["checkpoint"].items()
        if part != []
    }
    writer = YAML()
    writer.Representer = _representer()
    writer.width = _WIDTH
    writer.allow_unicode = True
    stream = io.StringIO()
    writer.dump(ordered, stream)
    return stream.getvalue()


def dump_values(value: Any) -> str:
    """Parameters as YAML, which reads back as the same; mappings keep their order."""
    from ruamel.yaml import YAML  # start-up: as above

    writer = YAML()
    writer.Representer = _representer()
    writer.width = 10_000
    writer.allow_unicode = True
    stream = io.StringIO()
    writer.dump(_ordered(value), stream)
    return stream.getvalue()


def _ordered(value: Any) -> Any:
    from ruamel.yaml.comments import CommentedMap

    if isinstance(value, dict):
        return CommentedMap((key, _ordered(each)) for key, each in value.items())
    return [_ordered(each) for each in value] if isinstance(value, list) else value


def _representer() -> Any:
    """Quotes text with a character that YAML reads as the end of a line, which it would lose."""
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        pass

    def text(representer: Any, value: str) -> Any:
        style = '"' if _LINE_ENDS.intersection(value) else None
        return representer.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Representer.add_representer(str, text)
    return Representer


def _shortest(parameter: dict[str, Any]) -> dict[str, Any]:
    """Without the distribution where the other keys say it."""
    others = {key: item for key, item in parameter.items() if key != "distribution"}
    return others if inferred(others) == parameter["distribution"] else parameter


def _tidy(value: Any) -> Any:
    """Without what is None, and 1.0 as 1."""
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items() if item is not None}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _flow(value: Any) -> Any:
    """``value``, a mapping or a list, in one line: ``{min: 1, max: 5}``."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    flowing = CommentedSeq(value) if isinstance(value, list) else CommentedMap(value)
    flowing.fa.set_flow_style()
    return flowing
