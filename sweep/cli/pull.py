"""`sweep pull`: a study out of its mirror."""

from __future__ import annotations

import shlex
from pathlib import Path

from sweep.cli.output import Output, error
from sweep.driver.pulling import pull as fetch
from sweep.errors import StoreError, SweepError
from sweep.quantity import bytes_text, counted


def pull(uri: str, store: Path, out: Output) -> int:
    """Fetch the study at ``uri`` into ``store``. The exit code: 3 where checkpoints are missing."""
    try:
        pulled = fetch(uri, store)
    except OSError as problem:
        if isinstance(problem, SweepError):
            raise
        raise StoreError(f"{uri}: {problem}; what came stays, so pull again") from problem
    name = pulled.paths.name
    for manifest, why in pulled.missing.items():
        error(f"{name}: checkpoint {manifest} is not whole in the mirror: {why}")
    if out.as_json:
        out.data(
            {
                "study": name,
                "path": str(pulled.paths.root),
                "checkpoints": pulled.checkpoints,
                "bytes": pulled.bytes,
                "missing": pulled.missing,
            }
        )
    else:
        fetched = counted(pulled.checkpoints, "checkpoint")
        out.line(f"{name}: pulled: {fetched}, {bytes_text(pulled.bytes)}")
        where = "" if store == Path("runs") else f" --store {shlex.quote(str(store))}"
        out.line(f"{name}: go on with: sweep resume {name}{where}")
    return 3 if pulled.missing else 0
