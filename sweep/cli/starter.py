"""`sweep init`: a first trial and its YAML, to be changed."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sweep.cli.output import Output
from sweep.errors import StoreError, UsageError

FILES = ("my_trial.py", "my_sweep.yaml")


def init(directory: Path, out: Output) -> None:
    """Write the templates into ``directory``.

    Raises:
        UsageError: a file is there already; nothing is written.
        StoreError: the directory cannot be written.
    """
    there = [name for name in FILES if (directory / name).exists()]
    if there:
        raise UsageError(f"{directory / there[0]}: is there already; nothing was written")
    templates = resources.files("sweep.cli") / "template"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (directory / name).write_bytes((templates / name).read_bytes())
    except OSError as error:
        raise StoreError(f"{directory}: cannot be written: {error.strerror}") from error
    if out.as_json:
        out.data({"directory": str(directory), "files": list(FILES)})
        return
    for name in FILES:
        out.line(f"wrote {directory / name}")
    where = "" if directory == Path() else f"cd {directory} && "
    out.line(f"now: {where}sweep run my_sweep.yaml")
