"""Whether a checkpoint may be gone on with here: whose it is, and what wrote it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from sweep.checkpoint.manifest import Manifest
from sweep.errors import CheckpointMismatchError

FRAMEWORKS = ("torch", "numpy")
"""Packages whose major version must not be older than the one that saved a state."""


def check_origin(manifest: Manifest, params: Mapping[str, Any]) -> None:
    """Hold what a checkpoint says of itself against the trial that wants to go on from it.

    A state that an older major version of a framework saved is read by newer ones, as they promise
    of their own files; one of a newer major version is refused.

    Raises:
        CheckpointMismatchError: other parameters, or a newer framework; names both sides.
    """
    saved = manifest.meta.get("params")
    if saved is not None and _canonical(saved) != _canonical(params):
        names = [name for name in {**saved, **params} if _differs(name, saved, params)]
        theirs = ", ".join(f"{name}={_shown(saved, name)}" for name in names)
        ours = ", ".join(f"{name}={_shown(params, name)}" for name in names)
        raise CheckpointMismatchError(
            f"checkpoint {manifest.id} was saved with {theirs}, but the trial has {ours}: "
            "to go on with other parameters, fork it"
        )
    for package in FRAMEWORKS:
        writer = manifest.meta.get("versions", {}).get(package)
        if writer is not None:
            _check_version(manifest, package, str(writer))


def _check_version(manifest: Manifest, package: str, writer: str) -> None:
    try:
        reader = metadata.version(package)
    except metadata.PackageNotFoundError:
        return
    if _major(writer) > _major(reader):
        raise CheckpointMismatchError(
            f"checkpoint {manifest.id} was saved with {package} {writer}, and here is "
            f"{package} {reader}: install {package} {_major(writer)} or newer"
        )


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def _differs(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if (name in one) != (name in other):
        return True
    return _canonical(one[name]) != _canonical(other[name])


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _shown(params: Mapping[str, Any], name: str) -> str:
    return repr(params[name]) if name in params else "absent"
