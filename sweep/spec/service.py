"""What a W&B sweep config says to W&B's own service: read past, with a line about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sweep.spec.problem import Path, Problem

_SERVICE = "belongs to W&B's service: ignored"

IGNORED: Mapping[Path, str] = {
    ("apiVersion",): _SERVICE,
    ("command",): "ignored: program is a function here, and no command starts it",
    ("controller",): _SERVICE,
    ("entity",): _SERVICE,
    ("image_uri",): _SERVICE,
    ("job",): _SERVICE,
    ("kind",): _SERVICE,
    ("project",): _SERVICE,
    ("metric", "impute"): "ignored: a failed trial is not told to the sampler",
    ("metric", "impute_while_running"): "ignored: a running trial has no value yet",
    ("metric", "target"): "ignored: trials and timeout end a study",
}
"""Keys that nothing here depends on, with what is said of each."""


def leave_out_service(data: dict[str, Any]) -> list[Problem]:
    """Take those keys out of ``data``, and say so: what is wrong with none of them stops a run."""
    found = []
    for (*above, key), message in IGNORED.items():
        for path, section in _sections(data, above):
            if key in section:
                del section[key]
                found.append(Problem((*path, key), message))
    return found


def _sections(data: dict[str, Any], above: Sequence[str | int]) -> Iterator[tuple[Path, Any]]:
    """The mapping at the path ``above``, or each one of a list there (of several metrics)."""
    if not above:
        yield (), data
        return
    section = data.get(str(above[0]))
    if isinstance(section, dict):
        yield (*above,), section
    elif isinstance(section, list):
        for position, each in enumerate(section):
            if isinstance(each, dict):
                yield (*above, position), each
