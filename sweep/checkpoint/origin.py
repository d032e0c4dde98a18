"""Where a checkpoint comes from: the named fields of ``Manifest.meta``.

=================  ===============================================================================
``study``          name of the study
``program``        the trial function, as ``module:function``
``params``         the parameters
``params_sha256``  `params_digest` of them
``study_seed``     seed of the study
``seed``           seed of the trial
``versions``       `versions`: of Python, sweep, the format, and the libraries that are loaded
``source_sha256``  digest of the file of the trial function; None where it has none
``git``            `git_commit` of its directory; None where there is none
``host``           name of the machine
``world_size``     processes that trained together
``wall_s``         seconds since the attempt began
``training_s``     seconds in attempts up to here
=================  ===============================================================================

The parent is a field of the manifest itself.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import sweep
from sweep.checkpoint.manifest import VERSION

_PACKAGES = ("numpy", "torch", "torchdata")
_GIT_TIMEOUT_S = 5.0


def params_digest(params: Mapping[str, Any]) -> str:
    """SHA-256 of ``params`` as canonical JSON: sorted keys, no spaces. 1 and 1.0 differ.

    Raises:
        TypeError: a value that JSON does not know.
    """
    text = json.dumps(dict(params), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def git_commit(directory: str | Path) -> dict[str, Any] | None:
    """``{"commit": ..., "dirty": ...}`` of the working tree around ``directory``, or None.

    Dirty means that a tracked file differs from the commit. Git is run once a process, and not
    waited for beyond five seconds.
    """
    command = ["git", "-C", str(directory), "--no-optional-locks"]
    command += ["status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    commits = [line.split()[2] for line in said if line.startswith("# branch.oid ")]
    if not commits or commits[0] == "(initial)":
        return None
    return {"commit": commits[0], "dirty": any(not line.startswith("#") for line in said)}


def versions() -> dict[str, str]:
    """Versions of what a saved state depends on; of libraries, as far as they are loaded."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "sweep": sweep.__version__, "format": str(VERSION)} | {
        package: _version(package) for package in _PACKAGES if package in sys.modules
    }


@functools.cache
def _version(package: str) -> str:
    return metadata.version(package)
