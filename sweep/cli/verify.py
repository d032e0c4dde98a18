"""`sweep verify`: read every byte of a study, and mend what can be mended."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from sweep.cli.output import Output, store_option
from sweep.cli.place import find_study, not_begun
from sweep.driver import repair as mending
from sweep.driver import verification
from sweep.driver.recovery import mirror_of
from sweep.driver.repair import Repair
from sweep.driver.verification import Verification
from sweep.journal.lock import holder
from sweep.paths import StudyPaths
from sweep.quantity import bytes_text, counted


def verify(store: Path, name: str, out: Output, *, repair: bool) -> int:
    """Verify a study. The exit code: 0 where it is whole (or all was mended), 1 where not.

    Raises:
        StudyNotFoundError: there is none, or nothing of it was ever written.
        StudyLockedError: it shall be repaired, and a driver runs it.
        JournalError: it shall be repaired, and not even the journal's beginning can be read.
    """
    paths = find_study(store, name)
    found = verification.verify(paths, _progress if sys.stderr.isatty() else _no_progress)
    if found.empty:
        raise not_begun(paths)
    running = holder(paths.lock) is not None
    mended = mending.repair(paths) if repair and (found.bad or found.unknown) else None
    if out.as_json:
        result = None if mended is None else asdict(mended)
        out.data({"study": paths.name, "whole": found.whole} | asdict(found) | {"repair": result})
    else:
        _print_found(paths, found, store, out, running=running)
        if mended is not None:
            _print_mended(paths, mended, store, out)
        elif found.bad:
            _print_way(paths, found, store, out)
    return 0 if (found.whole if mended is None else mended.lossless) else 1


def _print_found(
    paths: StudyPaths, found: Verification, store: Path, out: Output, *, running: bool
) -> None:
    for bad in found.bad:
        out.line(f"{bad.path}: {bad.problem}")
        if bad.needed_by:
            out.line(f"  needed by {', '.join(bad.needed_by)}")
    verdict = "whole" if found.whole else counted(len(found.bad), "bad file")
    out.line(
        f"{paths.name}: {verdict}: {counted(found.events, 'event')} in "
        f"{counted(found.segments, 'segment')}, {counted(found.checkpoints, 'checkpoint')}, "
        f"{bytes_text(found.bytes)} read"
    )
    if found.unknown and found.events and not running:  # without a beginning nothing is mended
        one = len(found.unknown) == 1
        lost, them = ("is", "it") if one else ("are", "them")
        out.line(
            f"{paths.name}: {counted(len(found.unknown), 'whole checkpoint')} {lost} not in the "
            f"journal: `sweep verify {paths.name} --repair{store_option(store)}` takes {them} up, "
            f"the next run removes {them}"
        )


def _print_way(paths: StudyPaths, found: Verification, store: Path, out: Output) -> None:
    mirror = mirror_of(paths)
    if mirror is None and not found.events:
        return  # nothing can be mended where the journal has no beginning
    source = "what is whole" if mirror is None else f"the mirror {mirror} and what is whole"
    command = f"sweep verify {paths.name} --repair{store_option(store)}"
    out.line(f"{paths.name}: `{command}` mends it from {source}")


def _print_mended(paths: StudyPaths, mended: Repair, store: Path, out: Output) -> None:
    for segment in mended.recovered:
        out.line(f"{segment}: is back, from the mirror; the damaged one lies in {_aside(paths)}")
    if mended.mirror is not None:
        out.line(f"{paths.name}: nothing can be had from the mirror: {mended.mirror}")
    for checkpoint in mended.repaired:
        out.line(f"{checkpoint}: repaired")
    for checkpoint in mended.adopted:
        out.line(f"{checkpoint}: in the journal again")
    for checkpoint, reason in mended.quarantined:
        out.line(f"{checkpoint}: set aside: {reason}")
    for segment in mended.segments:
        out.line(f"{segment}: set aside in {_aside(paths)}")
    go_on = f"go on with: sweep resume {paths.name}{store_option(store)}"
    if mended.lossless:
        out.line(f"{paths.name}: mended, nothing was lost; {go_on}")
    else:
        out.line(
            f"{paths.name}: what was set aside is lost to the study, the rest is whole; {go_on}"
        )


def _aside(paths: StudyPaths) -> Path:
    return paths.quarantine / "journal"


def _progress(done: int, total: int, size: int) -> None:
    end = "\n" if done == total else ""
    sys.stderr.write(
        f"\r\x1b[Kverifying {done}/{counted(total, 'checkpoint')}, {bytes_text(size)}{end}"
    )
    sys.stderr.flush()


def _no_progress(done: int, total: int, size: int) -> None:
    pass
