"""`sweep replay`: prove that a study follows from its journal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from sweep.cli.output import Output
from sweep.cli.place import find_begun
from sweep.driver.prepare import space_source
from sweep.errors import ReplayError
from sweep.journal.journal import read_state
from sweep.journal.segment import Reading, changed_events
from sweep.journal.version import versions
from sweep.quantity import counted
from sweep.search.replay import replay as derive
from sweep.spec import StudySpec


def replay(store: Path, name: str, out: Output) -> int:
    """Replay a study. The exit code: 0 where all was derived alike.

    Raises:
        ReplayError: something deviates (not raised with ``--json``, which lists it; exit code 3).
    """
    paths = find_begun(store, name)
    state = read_state(paths.journal)
    sources = space_source(StudySpec.accepted(state.spec), state.project)
    changed = changed_events(paths.journal)
    found = derive(Reading(paths.journal), versions(), changed, sources)
    if out.as_json:
        out.data(asdict(found) | {"study": paths.name, "passed": found.passed})
        return 0 if found.passed else ReplayError.exit_code
    for package, (was, now) in found.drift.items():
        out.line(f"{paths.name}: note: {package} was {was} and is {now}; other versions may differ")
    if not found.passed:
        lines = "\n".join(f"  {deviation}" for deviation in found.deviations[:20])
        more = len(found.deviations) - 20
        rest = f"\n  and {more} more" if more > 0 else ""
        raise ReplayError(f"{paths.name}: the journal does not follow from itself:\n{lines}{rest}")
    held = f"{counted(found.exploits, 'exploit')}, " if found.exploits else ""
    if found.pauses or found.promotions:
        pauses, promotions = counted(found.pauses, "pause"), counted(found.promotions, "promotion")
        held = f"{pauses}, {promotions}, "
    if found.imported:
        out.line(
            f"{paths.name}: note: {counted(found.imported, 'trial')} of another program: what it "
            "suggested and when it ended them does not follow from anything here"
        )
    out.line(
        f"{paths.name}: replayed: {counted(found.suggestions, 'suggestion')}, {held}"
        f"{counted(found.verdicts, 'verdict')} and {counted(found.tellings, 'result')} follow from "
        "the journal"
    )
    return 0
