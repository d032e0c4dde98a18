"""Segments of a damaged journal, out of the study's mirror.

The mirror's journal is cut otherwise, but it holds the same events with the same digests, which
chain. So what is damaged here is taken from there only where it fits what is whole on both sides,
and what was here is set aside first.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sweep import fsio
from sweep.checkpoint.mirror import Mirror
from sweep.checkpoint.place import place_at
from sweep.driver.mirroring import read_lag, study_mirror
from sweep.errors import JournalError, JournalVersionError, MirrorError, SweepError
from sweep.journal.excerpt import excerpt
from sweep.journal.journal import read_state
from sweep.journal.listing import Segment, arrange, newest_event, parse_name, segment_path
from sweep.journal.lock import Lock
from sweep.journal.segment import changed_events, read_table
from sweep.journal.state import StudyState
from sweep.journal.survey import survey
from sweep.paths import StudyPaths
from sweep.spec import load_spec

_log = logging.getLogger("sweep")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovered:
    """What came back. ``segments`` are the names of files, ``whole`` says whether nothing of the
    journal is damaged any more."""

    mirror: str
    segments: Sequence[str]
    whole: bool


def mirror_of(paths: StudyPaths) -> str | None:
    """The URI of the study's folder in its mirror, by what lies beside its journal."""
    with suppress(SweepError, OSError):
        return study_mirror(load_spec(paths.spec, warn=lambda line: None))
    lag = read_lag(paths)
    return None if lag is None else lag.to


def recover(paths: StudyPaths, *, wholly: bool = False) -> Recovered | None:
    """Bring back what the mirror has of a damaged journal; the caller holds the study's lock.

    None where nothing is damaged, there is no mirror, or it has nothing of what is missing.

    Args:
        wholly: change nothing unless all comes back.

    Raises:
        JournalVersionError: the journal was written by a newer version.
        MirrorError: the mirror's journal is damaged, or another study's.
        OSError: the mirror cannot be reached, or the store not be written.
    """
    found, uri = survey(paths.journal), mirror_of(paths)
    if not found.bad or uri is None:
        return None
    theirs = paths.root / ".journal.mirror"
    joined = paths.root / ".journal.joined"
    try:
        fetch_journal(Mirror(place_at(uri)), theirs)
        _check_same(theirs, uri)
        holes = _join(paths.journal, theirs, joined)
        after = survey(joined)
        whole = not after.bad and after.state.seq >= _last(paths.journal)
        if not holes or after.state.seq <= found.state.seq or (wholly and not whole):
            return None
        _put(paths, joined, holes)
        return Recovered(mirror=uri, segments=[hole.path.name for hole in holes], whole=whole)
    finally:
        for directory in (theirs, joined):
            shutil.rmtree(directory, ignore_errors=True)


def read_or_recover(paths: StudyPaths) -> StudyState:
    """What the journal of an idle study says, once what is damaged of it has come back.

    Nothing is written unless all of it comes back from the mirror.

    Raises:
        JournalError, JournalVersionError: as `read_state`.
        StudyLockedError: a driver has just begun to run it.
    """
    try:
        return read_state(paths.journal)
    except JournalVersionError:
        raise
    except JournalError as error:
        lock = Lock(paths.lock)
        try:
            recovered = recover(paths, wholly=True)
        except OSError as problem:
            raise JournalError(f"{error}. Nothing comes from the mirror: {problem}") from error
        finally:
            lock.release()
        if recovered is None:
            raise
        _log.warning(
            "%s: the journal was damaged; %s came back from %s, and what was there lies in %s",
            paths.name,
            ", ".join(recovered.segments),
            recovered.mirror,
            paths.quarantine / "journal",
        )
        return read_state(paths.journal)


def fetch_journal(mirror: Mirror, directory: Path) -> None:
    """Have the whole journal of a mirror in ``directory``, in place of what is there.

    Raises:
        MirrorError: it is damaged, or there is none.
        OSError: the mirror cannot be reached.
    """
    while True:
        shutil.rmtree(directory, ignore_errors=True)
        fsio.make_directory(directory)
        paths = [Path(name) for name in mirror.names("journal")]
        segments, _ = arrange([path for path in paths if path.suffix == ".parquet"])
        try:
            for segment in segments:
                data = mirror.read(segment.path.as_posix())
                fsio.write_bytes(directory / segment.path.name, data)
        except FileNotFoundError:
            continue  # compacted meanwhile
        break
    try:
        changed = changed_events(directory)
    except JournalVersionError:
        raise
    except JournalError as error:
        raise MirrorError(f"the mirror's journal is damaged: {error}") from error
    if changed:
        raise MirrorError(f"the mirror's journal is damaged: event {changed[0]} is not as written")


def _check_same(theirs: Path, uri: str) -> None:
    name = PurePosixPath(urlsplit(uri).path).name
    if read_state(theirs).spec.get("name") != name:
        raise MirrorError(f"{uri}: holds no journal of a study called {name!r}")


def _last(journal: Path) -> int:
    """The newest event that there ever was here, by the names of the files."""
    named = [parse_name(path) for path in journal.glob("[!.]*")]
    return max((segment.last for segment in named if segment is not None), default=-1)


def _join(ours: Path, theirs: Path, joined: Path) -> list[Segment]:
    """Put a journal together in ``joined``: our segments that are whole, theirs where one is
    missing. The segments that are theirs."""
    kept = _whole(ours)
    while True:
        holes = _holes(kept, min(newest_event(theirs), _last(ours)))
        shutil.rmtree(joined, ignore_errors=True)
        fsio.make_directory(joined)
        for segment in kept:
            _name_again(segment.path, joined / segment.path.name)
        for first, last in holes:
            fsio.write_bytes(segment_path(joined, first, last), excerpt(theirs, first, last))
        wrong = {path.name for path, _ in survey(joined).bad}
        bad = [segment for segment in kept if segment.path.name in wrong]
        if not bad:
            return [Segment(*hole, segment_path(ours, *hole)) for hole in holes]
        kept.remove(bad[0])  # what stands behind it may be sound


def _whole(journal: Path) -> list[Segment]:
    """Segments whose pages are as they were written; none inside of another."""
    found: list[Segment] = []
    named = [parse_name(path) for path in journal.glob("[!.]*")]
    for segment in sorted(
        (each for each in named if each is not None), key=lambda each: (each.first, -each.last)
    ):
        if found and segment.first <= found[-1].last:
            continue
        try:
            read_table(segment)
        except JournalVersionError:
            raise
        except JournalError:
            continue
        found.append(segment)
    return found


def _holes(kept: Sequence[Segment], last: int) -> list[tuple[int, int]]:
    """Ranges of events up to ``last`` that none of the segments holds."""
    holes, expected = [], 0
    for segment in kept:
        if segment.first > expected:
            holes.append((expected, segment.first - 1))
        expected = segment.last + 1
    if expected <= last:
        holes.append((expected, last))
    return [(first, min(to, last)) for first, to in holes if first <= last]


def _put(paths: StudyPaths, joined: Path, holes: Sequence[Segment]) -> None:
    """Set aside what was damaged, then put what came in its place. A kill in between leaves what a
    repair can go on with."""
    aside = paths.quarantine / "journal"
    fsio.make_directory(aside)
    for hole in holes:
        old = [
            path
            for path in paths.journal.glob("[!.]*")
            if (it := parse_name(path)) is not None and hole.first <= it.first <= hole.last
        ]
        for path in old:
            keep_aside(path, aside)
        (joined / hole.path.name).replace(hole.path)
        fsio.sync_directory(paths.journal)
        for path in old:
            if path != hole.path:
                path.unlink()


def keep_aside(path: Path, directory: Path) -> None:
    """Give a file a second name in ``directory``, durably, beside those that are there."""
    target, number = directory / path.name, 1
    while target.exists():  # of an earlier repair
        target, number = directory / f"{path.name}.{number}", number + 1
    _name_again(path, target)
    fsio.sync_directory(directory)


def _name_again(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # not every file system can
        shutil.copyfile(path, target)
