"""`sweep export`: a checkpoint for use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sweep.analysis.export import export as write
from sweep.analysis.study import Study
from sweep.cli.output import Output
from sweep.cli.place import find_checkpoint
from sweep.quantity import bytes_text, counted

SHOWN = 5
"""So many paths of what was left out are named."""


def export(
    store: Path,
    name: str,
    path: Path,
    components: Sequence[str] | None,
    force: bool,
    out: Output,
) -> None:
    """Write the file, and say what is in it.

    Raises:
        SweepError: as `Study.load_checkpoint` and `sweep.analysis.export.export`.
    """
    paths, trial, which = find_checkpoint(store, name)
    study = Study(paths.root)
    if components is None and "model" in study.load_checkpoint(trial=trial, which=which):
        components = ["model"]
    loaded = study.load_checkpoint(trial=trial, which=which, components=components)
    written = write(loaded, path, study=paths.name, force=force)
    if out.as_json:
        out.data(asdict(written) | {"checkpoint": loaded.id, "components": list(loaded)})
        return
    out.line(
        f"wrote {written.path}: {counted(written.tensors, 'tensor')} of {', '.join(loaded)} from "
        f"{paths.name} {loaded.id}, {bytes_text(written.bytes)}"
    )
    if written.left_out:
        more = len(written.left_out) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        out.line(f"left out, being no tensors: {', '.join(written.left_out[:SHOWN])}{rest}")
