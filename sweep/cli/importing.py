"""`sweep import`: a study of Optuna's, to be read and to go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sweep.analysis.importing import Imported, import_optuna
from sweep.cli.output import Output, store_option
from sweep.quantity import counted


def import_study(
    store: Path, url: str, name: str | None, study: str | None, program: str | None, out: Output
) -> None:
    """Make the study, and say what is not as it was.

    Raises:
        SweepError: as `sweep.analysis.importing.import_optuna`.
    """
    made = import_optuna(store, url, name=name, study=study, program=program)
    if out.as_json:
        outside = [{"trial": number, "reason": reason} for number, reason in made.outside]
        out.data(asdict(made) | {"outside": outside})
        return
    out.line(f"{made.study}: imported: {counted(made.trials, 'trial')}")
    for note in _notes(made):
        out.line(f"{made.study}: note: {note}")
    more = f"sweep run {made.yaml} --set trials={made.trials * 2}{store_option(store)}"
    first = "" if program else f"name your program in {made.yaml}, then "
    out.line(f"{made.study}: go on with: {first}{more}")


def _notes(made: Imported) -> list[str]:
    notes = list(made.notes)
    if made.unfinished:
        notes.append(f"{counted(made.unfinished, 'trial')} not over there: left out")
    for reason, count in Counter(reason for _, reason in made.outside).items():
        notes.append(f"the sampler is not told of {counted(count, 'trial')}: {reason}")
    return notes
