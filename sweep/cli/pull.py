"""`sweep pull`: a study out of its mirror."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sweep.cli.output import Output, error, store_option
from sweep.driver.pulling import Pulled, mirrored
from sweep.driver.pulling import pull as fetch
from sweep.errors import StoreError, SweepError
from sweep.quantity import bytes_text, counted


def pull(uri: str, store: Path, out: Output, *, aside: bool = False) -> int:
    """Fetch the study at ``uri`` into ``store``, or list the studies where it holds several.

    ``aside``: a study of that name that is there is moved away.

    The exit code: 3 where checkpoints are missing.

    Raises:
        SweepError: as `sweep.driver.pulling.mirrored` and `sweep.driver.pulling.pull`.
        StoreError: the mirror cannot be reached.
    """
    try:
        inside = mirrored(uri)
        pulled = None if inside else fetch(uri, store, aside=aside)
    except OSError as problem:
        if isinstance(problem, SweepError):
            raise
        raise StoreError(f"{uri}: {problem}; what came stays, so pull again") from problem
    if pulled is None:
        _print_studies(uri, inside, store, out)
        return 0
    _print_pulled(pulled, store, out)
    return StoreError.exit_code if pulled.missing else 0


def _print_studies(uri: str, inside: Sequence[str], store: Path, out: Output) -> None:
    if out.as_json:
        studies = [{"study": _name(each), "mirror": each} for each in inside]
        out.data({"mirror": uri, "studies": studies})
        return
    holds = counted(len(inside), "study", "studies")
    out.line(f"{uri}: is a mirror of {holds}; nothing was pulled. To pull one:")
    for each in inside:
        out.line(f"sweep pull {shlex.quote(each)}{store_option(store)}")


def _name(uri: str) -> str:
    return PurePosixPath(urlsplit(uri).path).name


def _print_pulled(pulled: Pulled, store: Path, out: Output) -> None:
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
                "aside": None if pulled.aside is None else str(pulled.aside),
            }
        )
        return
    if pulled.aside is not None:
        out.line(f"{name}: what was there before lies in {pulled.aside}")
    fetched = counted(pulled.checkpoints, "checkpoint")
    out.line(f"{name}: pulled: {fetched}, {bytes_text(pulled.bytes)}")
    out.line(f"{name}: go on with: sweep resume {name}{store_option(store)}")
