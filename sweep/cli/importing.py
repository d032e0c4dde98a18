"""`sweep import`: a study of Optuna's or of Ray Tune's, to be read and to go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from sweep.analysis.importing import Imported, Wanted, import_optuna, import_tune
from sweep.cli.output import Output, store_option
from sweep.errors import UsageError
from sweep.quantity import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What is imported: ``source`` is the URL of a database, or a directory. ``study`` says which
    one of a database, ``metric`` what it has optimised (of several, with commas between), and
    ``goal`` which way, where the source does not say it."""

    source: str
    study: str | None = None
    metric: str | None = None
    goal: str | None = None


def import_study(store: Path, origin: Origin, wanted: Wanted, out: Output) -> None:
    """Make the study, and say what is not as it was.

    Raises:
        SweepError: as `sweep.analysis.importing.import_optuna` and `import_tune`.
    """
    made = _made(store, origin, wanted)
    if out.as_json:
        outside = [{"trial": number, "reason": reason} for number, reason in made.outside]
        out.data(asdict(made) | {"outside": outside})
        return
    out.line(f"{made.study}: imported: {counted(made.trials, 'trial')}")
    for note in _notes(made):
        out.line(f"{made.study}: note: {note}")
    more = f"sweep run {made.yaml} --set trials={made.trials * 2}{store_option(store)}"
    first = "" if wanted.program else f"name your program in {made.yaml}, then "
    out.line(f"{made.study}: go on with: {first}{more}")


def _made(store: Path, origin: Origin, wanted: Wanted) -> Imported:
    directory = Path(origin.source)
    if directory.is_dir():
        if origin.study is not None:
            raise UsageError("--study goes with a database: a directory of Ray Tune's has one")
        return import_tune(store, directory, wanted, metric=origin.metric, goal=origin.goal)
    if "://" not in origin.source:
        raise UsageError(
            f"{origin.source}: is no directory of Ray Tune's, nor a database of Optuna's, such as "
            "sqlite:///optuna.db"
        )
    if origin.goal is not None:
        raise UsageError(
            f"--goal goes with a directory of Ray Tune's: {origin.source} says it itself"
        )
    metrics = [] if origin.metric is None else [each.strip() for each in origin.metric.split(",")]
    return import_optuna(store, origin.source, wanted, study=origin.study, metrics=metrics)


def _notes(made: Imported) -> list[str]:
    notes = list(made.notes)
    if made.unfinished:
        notes.append(f"{counted(made.unfinished, 'trial')} not over there: left out")
    # One line for all that lie beyond the same bounds, whatever their values.
    reasons = Counter(reason.partition(", not ")[0] for _, reason in made.outside)
    for reason, count in reasons.items():
        notes.append(f"the sampler is not told of {counted(count, 'trial')}: {reason}")
    return notes
