"""The file that a trial function lies in, found without importing it."""

from __future__ import annotations

import hashlib
from pathlib import Path


def source_digest(program: str, project: str) -> str | None:
    """SHA-256, in hex, of the file of ``program`` (``module:function``) below ``project``.

    None where the module does not lie there (an installed package, say). What that file imports is
    not looked at.
    """
    base = Path(project, *program.partition(":")[0].split("."))
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            continue
    return None
