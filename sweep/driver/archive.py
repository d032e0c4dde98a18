"""What a study under a driver has on the disk: its checkpoints, from the first row to the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sweep.checkpoint.fork import write_fork
from sweep.checkpoint.record import CheckpointRecord
from sweep.checkpoint.retention import Retirement
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.collection import Doomed, GcRequests
from sweep.driver.disposal import Disposal
from sweep.driver.keeper import Keeper
from sweep.driver.logbook import Logbook
from sweep.driver.mirroring import Mirroring
from sweep.errors import CheckpointDamagedError
from sweep.journal.event import (
    CheckpointDamaged,
    CheckpointRetired,
    CheckpointSaved,
    TrialRestored,
)
from sweep.journal.state import Checkpoint, Trial
from sweep.paths import StudyPaths
from sweep.search.define import space_of
from sweep.search.fork import Variation, forked, vary
from sweep.search.population import Succession
from sweep.spec import StudySpec
from sweep.trial.message import Forked, Restored
from sweep.trial.trace import read_trace

STOPPED_WAIT_S = 3.0
"""A run that was told to end waits no longer than this for its mirror."""


class Archive:
    """Records which checkpoints there are, and lets go of those that are not kept.

    It removes files only after the journal durably says so, and has all of it copied where the
    study has a mirror.
    """

    def __init__(
        self, paths: StudyPaths, spec: StudySpec, logbook: Logbook, keeper: Keeper
    ) -> None:
        """Over the checkpoints that ``logbook`` knows; ``keeper`` follows that."""
        self._spec, self._logbook, self._keeper = spec, logbook, keeper
        self._paths = paths
        self._disposal = Disposal(paths.checkpoints)
        self._gc = GcRequests(paths, self._disposal)
        self._store = CheckpointStore(paths.checkpoints)
        self._mirroring = None if spec.checkpoint.mirror is None else Mirroring(paths, spec)

    def begin(self) -> None:
        """Clear away what an earlier session left behind, and begin to copy.

        Raises:
            StoreError: the journal cannot be written.
        """
        self._retire(self._keeper.of_study(self._logbook.now))
        self._logbook.flush()
        state = self._logbook.state
        self._disposal.clear_leftovers(state.manifests, state.sessions)
        if self._mirroring is not None:
            self._mirroring.start()

    def hand_out(self, trial: int, checkpoints: Iterable[str]) -> None:
        """An attempt of ``trial`` may read these: they stay until it gives them back."""
        self._keeper.pin(trial, checkpoints)

    def take_back(self, trial: int) -> None:
        """Nobody reads any more what ``trial`` was handed."""
        self._keeper.unpin(trial)

    def restored(self, trial: Trial, attempt: int, message: Restored) -> None:
        """Record where an ``attempt`` goes on, and set aside what it found damaged."""
        ids = {known.record["manifest"]: known.id for known in trial.checkpoints.values()}
        source = trial.checkpoints.get(message.checkpoint or "")
        self._logbook.record(
            TrialRestored(
                trial=trial.number,
                attempt=attempt,
                step=None if source is None else source.step,
                checkpoint=message.checkpoint,
                skipped=[[ids[manifest], why] for manifest, why in message.skipped],
                lost=self.lost(trial.number, attempt - 1, source),
            )
        )
        self._paths.trace(trial.number, attempt - 1).unlink(missing_ok=True)
        for manifest, why in message.skipped:
            self._disposal.set_aside(manifest, why, self._logbook.state.seq)

    def lost(self, trial: int, attempt: int, source: Checkpoint | None) -> int | None:
        """How many steps an ``attempt`` had completed beyond ``source``; None: it is not known."""
        reached = read_trace(self._paths.trace(trial, attempt))
        if reached is None:
            return None
        return max(0, reached - (0 if source is None else source.record.get("global_step", 0)))

    def saved(self, trial: Trial, record: CheckpointRecord) -> None:
        """Record a checkpoint that ``trial`` has written, and retire what it displaces."""
        older = trial.checkpoints.get(record.id)
        record = self._timed(record)
        self._logbook.record(
            CheckpointSaved(
                trial=trial.number,
                attempt=trial.attempts,
                step=record.step,
                checkpoint=record.id,
                record=record.to_json(),
            )
        )
        if older is not None and older.record["manifest"] != record.manifest:
            # The same position, reached again after a resume.
            self._give_up(older.record["manifest"])
        self._retire(self._keeper.of_trial(trial.number))
        self._retire_under_pressure()

    def fork(self, parent: Trial, message: Forked) -> None:
        """Add the trial that ``parent`` asked for, unless it did so before a resume, too.

        The source stays until this is done: it is the newest of an unfinished trial.

        Raises:
            UsageError: the space does not allow the changes.
            ProgramError: a space function raised.
            CheckpointError: the checkpoint of the fork cannot be written; nothing is recorded.
        """
        state, source = self._logbook.state, parent.checkpoints[message.checkpoint]
        inside = parent.searched and parent.left_out is None
        params = self._spec.defaults | parent.params
        space = space_of(self._spec, state.project)
        varied = vary(space, params, message.changes, force=not inside)
        if state.fork_of(parent.number, source.id, varied.params) is not None:
            return
        self._add(source, varied)

    def exploit(self, succession: Succession) -> None:
        """Add the trial that takes the place of another one in its population.

        A source that is found to be damaged is recorded as such, and no trial is added.

        Raises:
            ProgramError: a space function raised.
            CheckpointError: the checkpoint of the fork cannot be written; nothing is recorded.
        """
        state = self._logbook.state
        parent = state.trials[succession.parent]
        source = parent.checkpoints[succession.source]
        varied = vary(space_of(self._spec, state.project), succession.params, {})
        try:
            self._add(source, varied, exploits=succession.exploits)
        except CheckpointDamagedError as error:
            self._logbook.record(
                CheckpointDamaged(trial=parent.number, checkpoint=source.id, reason=str(error))
            )

    def _add(self, source: Checkpoint, varied: Variation, exploits: int | None = None) -> None:
        state = self._logbook.state
        record = self._timed(
            write_fork(
                self._store,
                CheckpointRecord.from_json(source.record),
                trial=len(state.trials),
                session=state.sessions,
                params=varied.params,
            )
        )
        self._logbook.record(
            forked(source.trial, source.id, record.to_json(), varied, exploits=exploits)
        )

    def discard(self, trial: int, checkpoints: Iterable[str], reason: str) -> None:
        """Retire ``checkpoints`` of a trial that is to run again without them."""
        for checkpoint in checkpoints:
            manifest = self._keeper.record(trial, checkpoint).manifest
            self._logbook.record(
                CheckpointRetired(trial=trial, checkpoint=checkpoint, reason=reason)
            )
            self._give_up(manifest)

    def _timed(self, record: CheckpointRecord) -> CheckpointRecord:
        """``record`` with the journal's time, by which its age is counted: the clock of the machine
        that saved it may be another one, or may have been set since."""
        return replace(record, saved=self._logbook.now)

    def finished(self, trial: int) -> None:
        """Retire what nobody needs any more now that ``trial`` is recorded as over."""
        known = self._logbook.state.trials[trial]
        if known.closed:  # else it may run again
            self._paths.trace(trial, known.attempts).unlink(missing_ok=True)
        self._retire(self._keeper.after_finish(trial))
        self._retire_under_pressure()

    def settle(self, committed: int) -> None:
        """Do what waited for the events up to ``committed``, and what `sweep gc` asks for.

        Raises:
            StoreError: the journal cannot be written.
        """
        self._disposal.settle(committed)
        request = self._gc.take()
        if request is not None:
            state = self._logbook.state
            doomed = Doomed.of(self._keeper, state, state.sessions, self._logbook.now)
            self._logbook.record(*doomed.events())
            self._gc.carry_out(request, doomed, state.seq)
        if self._mirroring is not None:
            self._mirroring.notify(committed)

    @property
    def mirrored(self) -> bool:
        """Whether all that is durable is in the mirror, or there is none."""
        return self._mirroring is None or self._mirroring.holds(self._logbook.committed)

    def finish_mirror(self, *, stopped: bool) -> str | None:
        """Wait until all is copied, for a shorter time where the run was told to end.

        A line that says what is not in the mirror, or None.
        """
        mirror = self._spec.checkpoint.mirror
        if mirror is None or self._mirroring is None:
            return None
        wait = min(mirror.wait, STOPPED_WAIT_S) if stopped else mirror.wait
        return self._mirroring.finish(self._logbook.state.seq, wait)

    def close(self) -> None:
        """Wait for what is being removed."""
        self._disposal.close()

    def _retire_under_pressure(self) -> None:
        now = self._logbook.now
        if self._keeper.pressed(now):
            self._retire(self._keeper.of_study(now))

    def _retire(self, retirements: Iterable[tuple[int, Retirement]]) -> None:
        for number, retirement in retirements:
            manifest = self._keeper.record(number, retirement.id).manifest
            self._logbook.record(
                CheckpointRetired(
                    trial=number, checkpoint=retirement.id, reason=str(retirement.reason)
                )
            )
            self._give_up(manifest)

    def _give_up(self, manifest: str) -> None:
        self._disposal.give_up(manifest, self._logbook.state.seq)
