"""When failures halt a study: a pure function of its state."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from sweep.driver.failing import Halting, alike, failing, signature
from sweep.journal.event import Cause, TrialAsked, TrialState
from sweep.journal.state import Report, StudyState, Trial
from sweep.spec import MaxFailures


def _raised(function: Callable[[], object]) -> str:
    try:
        function()
    except Exception:  # noqa: BLE001  whatever it is
        return traceback.format_exc()
    raise AssertionError("it did not raise")


def _one() -> None:
    raise ValueError("lr is 0.1\nand more: 3")


def _other() -> None:
    raise ValueError("lr is 0.1")


def _caused() -> None:
    try:
        _one()
    except ValueError as error:
        raise RuntimeError("because of it") from error


def _group() -> None:
    raise ExceptionGroup("several", [ValueError("lr is 0.1"), KeyError("x")])


def study(*trials: tuple[TrialState, str | None, int | None]) -> StudyState:
    """Trials by their state, traceback and last step."""
    state = StudyState()
    for number, (kind, error, step) in enumerate(trials):
        asked = TrialAsked(
            trial=number, params={}, latents={}, seed=0, wrote={}, told=0, running=[]
        )
        trial = Trial(number=number, asked=asked, started=0.0, updated=0.0, state=kind)
        trial.error = error
        if step is not None:
            trial.reports[step] = Report(step, 1, 0.0, 1.0, {"loss": 1.0})
        state.trials[number] = trial
        state.counts[kind] += 1
        if kind is TrialState.RUNNING:
            state.running[number] = trial
        if kind is TrialState.PAUSED:
            state.paused[number] = trial
    return state


ONE = _raised(_one)
FAILED = (TrialState.FAILED, ONE, 2)


@pytest.mark.parametrize(
    ("others", "halts"),
    [
        ([], True),
        ([(TrialState.FAILED, None, None)] * 5, True),
        ([(TrialState.FAILED, _raised(_other), 2)] * 2, True),
        ([(TrialState.RUNNING, None, 2)], True),
        ([(TrialState.RUNNING, None, None)], True),
        ([(TrialState.RUNNING, None, 3)], False),
        ([(TrialState.COMPLETE, None, 9)], False),
        ([(TrialState.PRUNED, None, 1)], False),
        ([(TrialState.PAUSED, None, 1)], False),
    ],
)
def test_three_alike(others: list[tuple[TrialState, str | None, int | None]], halts: bool) -> None:
    """They halt a study in which no trial came further."""
    state = study(*others, FAILED, FAILED, FAILED)
    assert failing(state, "alike") is (Halting.ALIKE if halts else None)
    assert len(alike(state)) == (3 if halts else 0)
    assert failing(state, "none") is None
    assert not alike(study(*others, FAILED, FAILED))


@pytest.mark.parametrize(
    ("allowed", "halts"), [(1, True), (3, True), (4, False), ("none", False), ("alike", False)]
)
def test_max_failures(allowed: MaxFailures, halts: bool) -> None:
    """A number counts all that failed, beside results; it stands in place of the other rule."""
    state = study((TrialState.COMPLETE, None, 9), FAILED, FAILED, (TrialState.FAILED, None, None))
    assert failing(state, allowed) is (Halting.TOO_MANY if halts else None)
    assert failing(study(FAILED, FAILED, FAILED), 4) is None


def test_signatures() -> None:
    """Frames and kinds of errors count; messages and directories do not."""

    def of(error: str | None, cause: Cause | None = None) -> tuple[str, ...]:
        trial = study((TrialState.FAILED, error, None)).trials[0]
        trial.cause = cause
        return signature(trial)

    moved = ONE.replace("lr is 0.1\nand more", "lr is 0.7\nor less").replace(
        'File "/', 'File "/tmp/session-7/'
    )
    assert moved != ONE
    assert of(moved) == of(ONE)
    all_ = [ONE, _raised(_other), _raised(_caused), _raised(_group)]
    assert len({of(each) for each in all_}) == 4
    assert of(ONE)[-1] == "ValueError"
    assert of(_raised(_caused))[-1] == "RuntimeError"
    assert of(None) == of("") == of("no luck") == ()
    assert of(None, Cause.UNREPORTED) != ()
    assert of(None, Cause.NAN) == ()
