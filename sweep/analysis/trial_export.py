"""The trials of a study for use elsewhere: as a table in a file, or as a study of Optuna's."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.analysis.placing import is_there, place
from sweep.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.study import Study

ENDINGS = (".csv", ".parquet", ".xlsx")
ADDRESS = "sqlite:///"
"""What the address of a database begins with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedTrials:
    """A file with so many ``trials`` of the study that was exported."""

    path: str
    bytes: int
    trials: int


def export_trials(study: Study, to: str, *, force: bool = False) -> ExportedTrials:
    """Write all trials of ``study``.

    A path that ends in ``.csv``, ``.parquet`` or ``.xlsx`` gets the table `Study.trials`. Times are
    UTC; those of Excel know no zone. ``sqlite:///optuna.db`` gets a study of Optuna's, beside those
    that are there; see `Study.to_optuna`.

    Args:
        force: replace the file, or the study of that name in the database.

    Raises:
        UsageError: another ending or database; the file, or such a study, is there already;
            openpyxl is missing.
        StoreError: the file cannot be written.
    """
    if "://" in to:
        path, trials = study.to_database(to, force=force)
    else:
        path, trials = Path(to), len(study.trials)
        _export_table(study.trials, path, force=force)
    return ExportedTrials(path=str(path), bytes=path.stat().st_size, trials=trials)


def _export_table(frame: pd.DataFrame, path: Path, *, force: bool) -> None:
    if path.suffix not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise UsageError(f"{path}: must end in {known}, or be a database: {ADDRESS}optuna.db")
    if is_there(path) and not force:
        raise UsageError(f"{path}: is there already; --force replaces it")
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda target: frame.to_csv(target, index=False),
        ".parquet": lambda target: frame.to_parquet(target, index=False),
        ".xlsx": lambda target: _excel(frame, target),
    }
    if path.suffix == ".xlsx":
        _check_openpyxl(path)
    place(path, writers[path.suffix])


def _check_openpyxl(path: Path) -> None:
    try:
        import openpyxl  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{path}: needs openpyxl: pip install 'sweep[analysis]'") from error


def _excel(frame: pd.DataFrame, target: Path) -> None:
    import pandas as pd

    plain = frame.copy()
    for name in plain:
        if isinstance(plain[name].dtype, pd.DatetimeTZDtype):
            plain[name] = plain[name].dt.tz_localize(None)
        elif isinstance(plain[name].dtype, pd.CategoricalDtype | pd.StringDtype):
            plain[name] = plain[name].astype(object)
    plain = plain.map(lambda value: _CONTROL.sub("", value) if isinstance(value, str) else value)
    with target.open("wb") as file, pd.ExcelWriter(file, engine="openpyxl") as writer:
        plain.to_excel(writer, sheet_name="trials", index=False)
        for row in writer.sheets["trials"].iter_rows():
            for cell in row:
                if cell.data_type == "f":  # a text that begins with =, and is no formula
                    cell.data_type = "s"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters, such as those that colour an error, that a file of Excel's cannot hold."""
