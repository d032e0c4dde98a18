"""`sweep report`: studies as one page of HTML that needs no network."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from pathlib import Path

from sweep import fsio
from sweep.cli.output import Output
from sweep.cli.place import find_begun
from sweep.errors import UsageError
from sweep.quantity import bytes_text, counted
from sweep.report.page import page
from sweep.report.subject import Subject


def report(store: Path, names: Sequence[str], to: Path | None, out: Output, *, look: bool) -> None:
    """Write the page, over an older one, and say where; ``look`` shows it in a browser.

    Raises:
        StudyNotFoundError: there is no such study.
        UsageError: the file cannot be written, or its name is not one of HTML.
    """
    found = [find_begun(store, name) for name in dict.fromkeys(names)]
    path = (to or (found[0].report if len(found) == 1 else store / found[0].report.name)).absolute()
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; give a file, such as --to report.html")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path}: a report is HTML; give a --to that ends in .html")
    content = page([Subject.read(paths) for paths in found]).encode("utf-8", "backslashreplace")
    try:
        fsio.make_directory(path.parent)
        fsio.write_bytes(path, content)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); give another --to"
        ) from error
    if out.as_json:
        studies = [paths.name for paths in found]
        out.data({"report": str(path), "studies": studies, "bytes": len(content)})
    else:
        what = found[0].name if len(found) == 1 else counted(len(found), "study", "studies")
        out.line(f"wrote {path}: a report on {what}, {bytes_text(len(content))}")
    if look:
        webbrowser.open(path.as_uri())
