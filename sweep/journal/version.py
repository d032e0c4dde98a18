"""Versions of what is installed, as a session's first event names them."""

from __future__ import annotations

import platform
from importlib import metadata


def versions() -> dict[str, str]:
    """Versions of what decides a study's results, without importing any of it."""
    found = {"python": platform.python_version()}
    for package in ("sweep", "optuna", "numpy", "scipy", "torch", "ray"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
