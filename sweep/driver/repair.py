"""Mending a study that nobody runs: from a mirror, from manifests, or by setting things aside.

Nothing is deleted. What cannot be mended is moved to a quarantine, and the journal says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sweep import fsio
from sweep.checkpoint.audit import Auditor, Flaw
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.recovery import recover
from sweep.driver.verification import Unknown, flaws, store_of, unknown
from sweep.errors import CheckpointDamagedError, JournalError, JournalVersionError
from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointMigrated,
    CheckpointSaved,
    Event,
    TrialReported,
)
from sweep.journal.maintenance import Maintenance, maintenance
from sweep.journal.state import Checkpoint
from sweep.journal.survey import survey
from sweep.paths import StudyPaths
from sweep.spec import StudySpec


@dataclass(slots=True)
class Repair:
    """What was mended, and what was lost. Checkpoints by id, with (id, reason) where one is due."""

    repaired: list[str] = field(default_factory=list)
    """Bad files of these were replaced by good ones."""
    adopted: list[str] = field(default_factory=list)
    """These were on the disk and are in the journal again."""
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    """These were set aside."""
    segments: list[str] = field(default_factory=list)
    """Files of the journal that were set aside."""
    recovered: list[str] = field(default_factory=list)
    """Files of the journal that came back from the mirror."""
    mirror: str | None = None
    """Why nothing could be had from the mirror, where something was wrong with it."""

    @property
    def lossless(self) -> bool:
        return not self.quarantined and not self.segments


def repair(paths: StudyPaths) -> Repair:
    """Mend an idle study.

    1. What is damaged of the journal comes from the mirror, where it fits what is whole. Of what is
       damaged still, the first bad file and all that follow it are set aside; what comes before is
       a prefix of what happened, from which the study can go on.
    2. Whole checkpoints that the journal lacks are journaled again. One of a trial that is not
       finished brings the last report that it contains; earlier ones that were lost stay lost.
       One of a trial that the journal lacks is set aside: what the sampler knew of that trial is
       gone, and it will be proposed anew.
    3. A damaged checkpoint is repaired from the store's source, or else set aside, and the journal
       says that it is damaged. One that is whole, but rewritten by a migration that was killed, is
       journaled as it is.

    A kill at any instant leaves a study that can be repaired again.

    Raises:
        StudyLockedError: a driver runs it.
        JournalError: not even the beginning of the journal can be read.
        StoreError: the store cannot be written.
    """
    done = Repair()
    with maintenance(paths, "repair", before=lambda: _cut(paths, done)) as held:
        auditor = Auditor(paths.checkpoints)
        flawed = flaws(held.state, auditor)
        lacking = unknown(paths, held.state, auditor, {known.id for known, _ in flawed})
        _adopt(held, lacking, done)
        _mend(held, flawed, done)
    return done


def _cut(paths: StudyPaths, done: Repair) -> None:
    try:
        recovered = recover(paths)
        done.recovered += [] if recovered is None else recovered.segments
    except JournalVersionError:
        raise
    except OSError as error:
        done.mirror = str(error)
    journal = survey(paths.journal)
    aside = list(dict.fromkeys([*(path for path, _ in journal.bad), *journal.beyond]))
    if journal.state.seq < 0:
        why = journal.bad[0][1] if journal.bad else "it is empty"
        raise JournalError(
            f"{paths.journal}: not even its beginning can be read ({why}); nothing "
            "was changed. The checkpoints are untouched: each manifest names the trial, its "
            "parameters and metrics. Restore the journal from a backup, or pull the study from "
            "a mirror (sweep pull MIRROR/STUDY --aside)"
        )
    if not aside:
        return
    _move(aside, paths.quarantine / "journal")
    done.segments += [path.name for path in aside]


def _move(files: Sequence[Path], target: Path) -> None:
    """Move files aside, the last first, so that a kill leaves a prefix of the journal."""
    fsio.make_directory(target)
    for path in reversed(files):
        place, number = target / path.name, 1
        while place.exists():  # of an earlier repair
            place, number = target / f"{path.name}.{number}", number + 1
        path.rename(place)
    fsio.sync_directory(target)
    fsio.sync_directory(files[0].parent)


def _adopt(held: Maintenance, lacking: Sequence[Unknown], done: Repair) -> None:
    """Journal them again, in one commit: it begins a session, after which they were garbage."""
    store = store_of(held.paths, _spec(held))
    events: list[Event] = []
    for one in lacking:
        if one.known_trial:
            events += _events(held, one, store.verify(one.manifest))
            done.adopted.append(one.id)
        else:
            reason = f"the journal has no trial {one.trial}"
            store.quarantine(one.manifest, reason)
            done.quarantined.append((one.id, reason))
    # Above all that is on the disk, so that no later save can take one of these names.
    newest = max((held.state.sessions, *(one.session for one in lacking)))
    held.record(*events, session=newest + 1)


def _mend(
    held: Maintenance, flawed: Sequence[tuple[Checkpoint, Sequence[Flaw]]], done: Repair
) -> None:
    store = store_of(held.paths, _spec(held))
    for known, wrong in flawed:
        record = CheckpointRecord.from_json(known.record)
        if known.id in done.adopted:  # another one of the same position has taken its place
            store.quarantine(record.manifest, "another of the same position was adopted")
        elif (mended := _mended(store, record)) is not None:
            if mended.digest != record.digest:  # a migration was killed before it was journaled
                held.record(_migrated(known, mended))
            done.repaired.append(known.id)
        else:
            reason = "; ".join(f"{flaw.path}: {flaw.problem}" for flaw in wrong)
            held.record(CheckpointDamaged(trial=known.trial, checkpoint=known.id, reason=reason))
            store.quarantine(record.manifest, reason)
            done.quarantined.append((known.id, reason))


def _mended(store: CheckpointStore, record: CheckpointRecord) -> CheckpointRecord | None:
    """The record of a checkpoint that is whole now; None where it cannot be mended."""
    try:
        found = store.verify(record.manifest, repair=True)
    except CheckpointDamagedError:
        return None
    return found if found.id == record.id and found.manifest == record.manifest else None


def _migrated(known: Checkpoint, record: CheckpointRecord) -> CheckpointMigrated:
    # What it cost to write it is known of the first time only.
    new_bytes = known.record.get("new_bytes", record.new_bytes)
    return CheckpointMigrated(
        trial=known.trial,
        checkpoint=known.id,
        record=replace(record, new_bytes=new_bytes).to_json(),
    )


def _spec(held: Maintenance) -> StudySpec:
    return StudySpec.accepted(held.state.spec)


def _events(held: Maintenance, one: Unknown, record: CheckpointRecord) -> list[Event]:
    saved = CheckpointSaved(
        trial=one.trial,
        attempt=record.attempt,
        step=record.step,
        checkpoint=one.id,
        record=record.to_json(),
    )
    trial = held.state.trials[one.trial]
    last = -1 if trial.step is None else trial.step
    if trial.state.finished or record.step is None or record.step <= last:
        return [saved]
    report = TrialReported(
        trial=one.trial,
        attempt=record.attempt,
        step=record.step,
        value=record.metrics.get(_spec(held).objective.name),
        metrics=dict(record.metrics),
        prune=None,
    )
    return [report, saved]
