"""`sweep track`: trackers are sent what they lack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from sweep.cli.output import Output, error
from sweep.cli.place import find_begun, read_study
from sweep.errors import SpecError, StoreError, StudyLockedError, UsageError
from sweep.integration.note import Note, read_note
from sweep.integration.relay import Relay
from sweep.integration.tracker import check_library
from sweep.journal.listing import newest_event
from sweep.journal.lock import holder
from sweep.quantity import counted
from sweep.spec import StudySpec
from sweep.spec.load import parse_tracker
from sweep.spec.suggestion import listed
from sweep.spec.tracker import KINDS, Tracker


def track(store: Path, name: str, to: Sequence[str], out: Output) -> int:
    """Catch the trackers of a study up with its journal. 0, or 3 where one of them cannot be.

    ``to`` names some, those of the study or others, whose options follow in YAML.

    Raises:
        UsageError: there is nothing to send to, or a library is missing.
        StudyLockedError: another process sends to trackers of the study: its driver, say.
    """
    paths = find_begun(store, name)
    spec, _ = read_study(paths)
    trackers = _chosen(spec, to)
    for tracker in trackers:
        check_library(tracker.name)
    other = holder(paths.trackers_lock)
    if other is not None:
        raise StudyLockedError(
            f"{paths.root}: {other} keeps the trackers up already, beside the run; "
            f"`sweep show {paths.name}` says how far they are"
        )
    before = {tracker.name: read_note(paths, tracker.name) for tracker in trackers}
    last = newest_event(paths.journal)
    relay = Relay(paths, spec.name, trackers, lambda line: None)
    relay.start()
    relay.close(last)
    relay.finish(math.inf)
    if relay.trouble is not None:
        error(relay.trouble)
    notes = relay.notes()
    if out.as_json:
        out.data({"study": paths.name, "trackers": [note.record(last) for note in notes]})
    else:
        for note in notes:
            out.line(f"{paths.name}: {_text(note, before[note.name], last)}")
    return StoreError.exit_code if any(note.behind(last) for note in notes) else 0


def _chosen(spec: StudySpec, to: Sequence[str]) -> list[Tracker]:
    own = {tracker.name: tracker for tracker in spec.trackers}
    if not to and not own:
        raise UsageError(
            f"{spec.name}: has no trackers; name one: sweep track {spec.name} --to "
            f"{listed(KINDS, 'or')}"
        )
    if not to:
        return list(own.values())
    try:
        wanted = [parse_tracker(text, f"--to {text}") for text in to]
    except SpecError as problem:
        raise UsageError(str(problem)) from problem
    chosen = [own.get(each.name, each) if each.short == each.name else each for each in wanted]
    return list({each.name: each for each in chosen}.values())


def _text(note: Note, before: Note, last: int) -> str:
    behind = note.behind(last)
    if behind is not None:
        return behind
    points, trials = note.points - before.points, note.trials - before.trials
    sent = f"{counted(trials, 'trial')} and {counted(points, 'point')} sent, "
    return f"{note.where}: {sent if points or trials else ''}all is there"
