"""`sweep export`: a checkpoint, or the trials of a study, for use elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sweep.analysis.export import export as write
from sweep.analysis.study import Study
from sweep.analysis.trial_export import ADDRESS, ENDINGS, export_trials
from sweep.cli.output import Output
from sweep.cli.place import find_begun, find_checkpoint, find_trial
from sweep.errors import StudyNotFoundError, UsageError
from sweep.quantity import bytes_text, counted

SHOWN = 5
"""So many paths of what was left out are named."""


def export(
    store: Path,
    name: str,
    to: str,
    components: Sequence[str] | None,
    force: bool,
    out: Output,
) -> None:
    """Write the file, and say what is in it. Its ending says what is wanted of the study.

    Raises:
        SweepError: as `export_trials`, `Study.load_checkpoint` and `sweep.analysis.export.export`.
    """
    if "://" in to or Path(to).suffix in ENDINGS:
        _export_study(store, name, to, components, force, out)
    elif _names_study(store, name) and Path(to).suffix not in (".safetensors", ".pt", ".pth"):
        raise UsageError(
            f"{to}: a study is exported to a file that ends in {', '.join(ENDINGS)}, or to "
            f"{ADDRESS}optuna.db; a checkpoint, {name}/TRIAL, to .safetensors or .pt"
        )
    else:
        _export_checkpoint(store, name, Path(to), components, force, out)


def _names_study(store: Path, name: str) -> bool:
    try:
        find_begun(store, name)
    except StudyNotFoundError:
        return False
    return True


def _export_study(
    store: Path, name: str, to: str, components: Sequence[str] | None, force: bool, out: Output
) -> None:
    head, slash, tail = name.rpartition("/")
    paths, trial = find_trial(store, f"{head}{slash}{tail.partition('@')[0]}")
    if trial is not None:
        raise UsageError(f"{to}: holds all trials of a study: give {paths.name}, not {name}")
    if components is not None:
        raise UsageError(
            "--components: are of a checkpoint, and this exports the trials of a study"
        )
    written = export_trials(Study(paths.root), to, force=force)
    if out.as_json:
        out.data(asdict(written) | {"study": paths.name})
        return
    out.line(
        f"wrote {written.path}: {counted(written.trials, 'trial')} of {paths.name}, "
        f"{bytes_text(written.bytes)}"
    )


def _export_checkpoint(
    store: Path, name: str, path: Path, components: Sequence[str] | None, force: bool, out: Output
) -> None:
    paths, trial, which = find_checkpoint(store, name)
    study = Study(paths.root)
    loaded = study.load_checkpoint(trial=trial, which=which, components=components)
    note = loaded.note
    if components is None and "model" in loaded:
        loaded = study.load_checkpoint(loaded.id, components=["model"])
    written = write(loaded, path, study=paths.name, force=force)
    if out.as_json:
        chosen = {"checkpoint": loaded.id, "components": list(loaded), "note": note}
        out.data(asdict(written) | chosen)
        return
    out.line(
        f"wrote {written.path}: {counted(written.tensors, 'tensor')} of {', '.join(loaded)} from "
        f"{paths.name} {loaded.id}, {bytes_text(written.bytes)}"
    )
    if written.left_out:
        more = len(written.left_out) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        out.line(f"left out, being no tensors: {', '.join(written.left_out[:SHOWN])}{rest}")
