"""What a W&B sweep config says to W&B's own service: read past, with a line about each."""

from __future__ import annotations

from collections.abc import Mapping
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
    for path, message in IGNORED.items():
        *above, key = path
        section: Any = data
        for part in above:
            section = section.get(part) if isinstance(section, dict) else None
        if isinstance(section, dict) and key in section:
            del section[key]
            found.append(Problem(path, message))
    return found
