"""Reading every byte of a study: what is damaged, and which checkpoints need it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.checkpoint.audit import Auditor, Flaw
from sweep.checkpoint.mirror import MirrorSource
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.mirroring import study_mirror
from sweep.errors import CheckpointDamagedError
from sweep.journal.journal import read_state
from sweep.journal.state import Checkpoint, StudyState
from sweep.journal.survey import Survey, survey
from sweep.paths import StudyPaths
from sweep.spec import StudySpec

Progress = Callable[[int, int, int], None]
"""Called with checkpoints done, checkpoints in all, and bytes read so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BadFile:
    """A file that is not what was written. ``needed_by`` are ids of checkpoints."""

    path: str
    problem: str
    needed_by: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What reading a study came to."""

    segments: int
    """Whole files of the journal."""
    events: int
    """Events that can be had: those before the first bad file."""
    checkpoints: int
    """Checkpoints that were read: all that the journal keeps."""
    bytes: int
    """Read of them; a file that several hold counts once."""
    bad: Sequence[BadFile]
    unknown: Sequence[str]
    """Whole checkpoints that the journal lacks, by manifest; `repair` takes them up."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to verify: it has not begun."""
        return not (self.segments or self.bad)

    @property
    def whole(self) -> bool:
        return not self.bad


def verify(paths: StudyPaths, progress: Progress = lambda done, total, size: None) -> Verification:
    """Read a study, running or not; nothing is written and no lock is taken.

    Raises:
        JournalVersionError, CheckpointMismatchError: written by a newer version of this package.
    """
    journal = survey(paths.journal)
    auditor = Auditor(paths.checkpoints)
    flawed = flaws(journal.state, auditor, progress)
    if flawed and not journal.bad:
        # Retired while it was read: that is no damage. The journal says so before a file goes.
        now = read_state(paths.journal)
        flawed = [(known, found) for known, found in flawed if _kept(now, known)]
    beside = unknown(paths, journal.state, auditor, {known.id for known, _ in flawed})
    bad = [*_bad_segments(journal), *_by_file(flawed)]
    if journal.state.seq < 0 and beside and not bad:
        bad.append(BadFile(path=str(paths.journal), problem="is empty, but there are checkpoints"))
    return Verification(
        segments=journal.segments,
        events=journal.state.seq + 1,
        checkpoints=sum(len(trial.kept) for trial in journal.state.trials.values()),
        bytes=auditor.bytes,
        bad=bad,
        unknown=[found.manifest for found in beside],
    )


def flaws(
    state: StudyState, auditor: Auditor, progress: Progress = lambda done, total, size: None
) -> list[tuple[Checkpoint, list[Flaw]]]:
    """The kept checkpoints with whose files something is wrong."""
    kept = [known for trial in state.trials.values() for known in trial.kept]
    found = []
    for done, known in enumerate(kept):
        progress(done, len(kept), auditor.bytes)
        wrong = auditor.flaws(CheckpointRecord.from_json(known.record))
        if wrong:
            found.append((known, wrong))
    progress(len(kept), len(kept), auditor.bytes)
    return found


@dataclass(frozen=True, slots=True)
class Unknown:
    """A whole checkpoint on the disk that the journal lacks."""

    manifest: str
    id: str
    trial: int
    session: int
    saved: float
    known_trial: bool


def unknown(
    paths: StudyPaths, state: StudyState, auditor: Auditor, bad: Collection[str]
) -> list[Unknown]:
    """Whole checkpoints that the journal lacks and should have, in the order of their saving.

    Those are of its last session, or of later ones, of which its end was lost. What an earlier
    session left is garbage that the last one has passed over. A checkpoint at a position that the
    journal does have counts where the one that it knows is ``bad`` (ids).
    """
    names = {
        known.record["manifest"]
        for trial in state.trials.values()
        for known in trial.checkpoints.values()
    }
    found = []
    for name in _manifests(paths.checkpoints):
        if name in names:
            continue
        try:
            manifest, wrong = auditor.unknown(name)
        except CheckpointDamagedError:
            continue  # the save was never finished, or it is of no use to anybody
        if wrong or manifest.session < state.sessions or _stands(state, manifest.id, bad):
            continue
        found.append(
            Unknown(
                name,
                manifest.id,
                manifest.trial,
                manifest.session,
                manifest.saved,
                manifest.trial in state.trials,
            )
        )
    return sorted(found, key=lambda one: (one.saved, one.manifest))


def store_of(paths: StudyPaths, spec: StudySpec) -> CheckpointStore:
    """The store of a study's checkpoints, with what it can be repaired from."""
    return CheckpointStore(paths.checkpoints, MirrorSource.at(study_mirror(spec)))


def _stands(state: StudyState, checkpoint: str, bad: Collection[str]) -> bool:
    """Whether the journal has this position, and the files that it names for it are whole."""
    trial = state.trials.get(int(checkpoint.partition("@")[0]))
    known = None if trial is None else trial.checkpoints.get(checkpoint)
    return known is not None and known.damaged is None and checkpoint not in bad


def _manifests(root: Path) -> Iterator[str]:
    directory = root / "manifests"
    for path in sorted(directory.glob("[0-9]*/[0-9]*.json")):
        yield str(path.relative_to(directory))


def _kept(state: StudyState, checkpoint: Checkpoint) -> bool:
    now = state.trials[checkpoint.trial].checkpoints.get(checkpoint.id)
    return (
        now is not None
        and now.retired is None
        and now.damaged is None
        and now.record["manifest"] == checkpoint.record["manifest"]
    )


def _bad_segments(journal: Survey) -> list[BadFile]:
    return [
        BadFile(path=str(path), problem=problem.removeprefix(f"{path}: "))
        for path, problem in journal.bad
    ]


def _by_file(flawed: Sequence[tuple[Checkpoint, Sequence[Flaw]]]) -> list[BadFile]:
    """Each bad file once, with all the checkpoints that need it."""
    needed: dict[tuple[str, str], list[str]] = {}
    for known, wrong in flawed:
        for flaw in wrong:
            needed.setdefault((_inode(flaw.path), flaw.problem), []).append(known.id)
    paths = {(_inode(f.path), f.problem): f.path for _, wrong in flawed for f in wrong}
    return [
        BadFile(path=str(paths[key]), problem=key[1], needed_by=ids) for key, ids in needed.items()
    ]


def _inode(path: Path) -> str:
    """Tells files apart; names of the same file, such as hard links, are one."""
    try:
        status = path.stat()
    except OSError:
        return str(path)
    return f"{status.st_dev}:{status.st_ino}"
