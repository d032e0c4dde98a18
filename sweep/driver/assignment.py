"""What an attempt is told when it begins, from the spec of its study and the state of its trial."""

from __future__ import annotations

from collections.abc import Sequence

from sweep.driver.mirroring import study_mirror
from sweep.driver.saving import level_of, policy_of, scope_of
from sweep.journal.state import StudyState, Trial
from sweep.paths import StudyPaths
from sweep.spec import StudySpec
from sweep.trial.message import Assignment
from sweep.trial.wear import Endurance


def next_assignment(
    trial: Trial,
    state: StudyState,
    spec: StudySpec,
    paths: StudyPaths,
    *,
    restore: Sequence[str],
    verdicts: bool,
) -> Assignment:
    """The next attempt of ``trial``; fields as in `Assignment`."""
    return Assignment(
        study=spec.name,
        trial=trial.number,
        attempt=trial.attempts + 1,
        session=state.sessions,
        params=trial.params,
        seed=spec.seed,
        program=spec.program,
        project=state.project,
        root=str(paths.root),
        policy=policy_of(spec),
        scope=scope_of(spec),
        restore=tuple(restore),
        fork=trial.fork is not None,
        metric=spec.objective.name,
        mirror=study_mirror(spec),
        level=level_of(spec),
        threads=max(1, int(spec.resources.cpu)),
        verdicts=verdicts,
        log_bytes=spec.logs.bytes,
        endurance=Endurance(spec.worker.trials, spec.worker.memory, spec.resources.cpu),
        held=trial.held_at is not None,
    )
