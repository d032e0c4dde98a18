"""What a run shows while it goes on, and how it says what it came to."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from sweep.cli.live.screen import Screen
from sweep.cli.live.view import Subject
from sweep.cli.output import Output, duration_text, store_option, text
from sweep.cli.standing import (
    best_text,
    counts_text,
    exceeded_text,
    front_text,
    searched_text,
    summary_record,
    values_text,
    waited_text,
)
from sweep.driver.failing import Halting, alike, failing_text
from sweep.driver.plan import INTERRUPTED, pause_s
from sweep.driver.saving import resumable
from sweep.driver.study import BACKEND_DIED, DrivenStudy
from sweep.driver.summary import note_text, trial_record
from sweep.journal.event import (
    AttemptFailed,
    AttemptInterrupted,
    Entry,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialRestored,
    TrialState,
)
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.quantity import counted
from sweep.spec import StudySpec
from sweep.spec.suggestion import listed


class QuietObserver:
    """Shows nothing; the base of those that do."""

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        pass

    def tick(self, studies: Sequence[DrivenStudy]) -> None:
        pass

    def abort(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class PlainObserver(QuietObserver):
    """One line for each finished trial, and for what a user should know of."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        match entry.event:
            case TrialFinished():
                self._out.line(finished_line(study, entry.event))
            case TrialForked(exploits=int()):
                self._out.line(exploited_line(study, entry.event))
            case TrialPaused():
                self._out.line(paused_line(study, entry.event))
            case AttemptFailed(trial=trial, attempt=attempt, reason=reason):
                self._out.line(
                    f"{study.name}: trial {trial}: attempt {attempt}: {reason} "
                    f"(traceback: sweep show {study.name}/{trial})"
                )
            case AttemptInterrupted():
                self._out.line(interrupted_line(study, entry.event))
            case TrialRestored(skipped=skipped) if skipped:
                self._out.line(skipped_line(study.name, entry.event))


class JsonObserver(QuietObserver):
    """One JSON document for each finished trial."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        if isinstance(entry.event, TrialFinished):
            trial = study.state.trials[entry.event.trial]
            self._out.data({"study": study.name} | trial_record(trial))


class LiveObserver(QuietObserver):
    """A table that follows the run, on a terminal."""

    def __init__(self, out: Output) -> None:
        self._plain = PlainObserver(_Above(self))
        self._screen = Screen()
        self._subjects: dict[str, Subject] = {}

    def entry(self, study: DrivenStudy, entry: Entry) -> None:
        self._subject(study).progress.follow(study.state, entry)
        match entry.event:
            case TrialFinished(state=state) if state is not TrialState.FAILED:
                pass  # the table shows it
            case TrialPaused():
                pass
            case _:
                self._plain.entry(study, entry)

    def tick(self, studies: Sequence[DrivenStudy]) -> None:
        if self._screen.due:
            for study in studies:
                self._subject(study).running = study.state.stopped is None
            now = max((study.now for study in studies), default=None)
            self._screen.draw(self._subjects, now)

    def _subject(self, study: DrivenStudy) -> Subject:
        known = self._subjects.get(study.name)
        if known is None:
            known = Subject(study.name, study.spec, study.limits, study.state)
            self._subjects[study.name] = known
        return known

    def abort(self) -> None:
        sys.stderr.write("\x1b[?25h\n")  # the cursor, which the live table hides
        sys.stderr.flush()

    def above(self, line: str) -> None:
        self._screen.print_above(line)

    def __enter__(self) -> Self:
        self._screen.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._screen.stop()


class _Above(Output):
    """Prints lines above the live table."""

    def __init__(self, live: LiveObserver) -> None:
        super().__init__(False)
        self._live = live

    def line(self, text: str) -> None:
        self._live.above(text)


def make_observer(out: Output, *, inline: bool) -> QuietObserver:
    """The observer for this output. Inline trials own the terminal: plain lines there."""
    if out.as_json:
        return JsonObserver(out)
    if out.console.is_terminal and not out.console.is_dumb_terminal and not inline:
        return LiveObserver(out)
    return PlainObserver(out)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """What a study came to. ``already`` where there was nothing left to do."""

    spec: StudySpec
    state: StudyState
    reason: str
    paths: StudyPaths
    already: bool = False
    unsaved: Sequence[int] = ()

    @classmethod
    def of(
        cls,
        spec: StudySpec,
        state: StudyState,
        reason: str,
        paths: StudyPaths,
        already: bool = False,
        unsaved: Sequence[int] = (),
    ) -> Conclusion:
        return cls(
            spec=spec,
            state=state,
            reason=reason,
            paths=paths,
            already=already,
            unsaved=unsaved,
        )


def conclude(conclusion: Conclusion, out: Output, *, store: Path) -> None:
    """Print how a study ended, and how to go on where it was not complete."""
    if out.as_json:
        out.data(
            summary_record(conclusion.paths, conclusion.spec, conclusion.state)
            | {"reason": conclusion.reason, "note": note_text(conclusion.spec, conclusion.state)}
        )
        return
    name, state = conclusion.spec.name, conclusion.state
    out.line(f"{name}: {_headline(conclusion)}: {counts_text(state, 'ended')}{_best(conclusion)}")
    note = note_text(conclusion.spec, state)
    if note is not None and conclusion.reason == "complete":
        out.line(f"{name}: {note}")
    if (waited := waited_text(conclusion.spec, state)) is not None:
        out.line(f"{name}: {waited}")
    failed = state.counts[TrialState.FAILED]
    if failed and conclusion.reason in ("complete", "timeout"):
        out.line(
            f"{name}: {counted(failed, 'trial')} failed; to run {'it' if failed == 1 else 'them'} "
            f"again once the cause is mended: sweep retry {name}{store_option(store)}"
        )
    if conclusion.reason == "timeout":
        out.line(f"{name}: {more_time(conclusion.spec, store)}")
    if conclusion.reason in ("complete", "timeout"):
        return
    if conclusion.reason in list(Halting):
        _say_failures(conclusion, out, store_option(store))
        return
    lead = "free space, then" if conclusion.reason == "disk full" else "go on with"
    out.line(f"{name}: {lead}: sweep resume {name}{store_option(store)}")


def more_time(spec: StudySpec, store: Path) -> str:
    """How a study can run on that has reached its timeout."""
    seconds = 2 * (spec.timeout or 0.0)
    units = [(size, unit) for size, unit in ((3600, "h"), (60, "m")) if not seconds % size]
    size, unit = units[0] if units else (1, "s")
    resume = f"sweep resume {spec.name}{store_option(store)} --set timeout"
    return f"for more time: {resume}={seconds / size:.15g}{unit} (or without a limit: timeout=null)"


def _say_failures(conclusion: Conclusion, out: Output, store: str) -> None:
    """The traceback that failed trials have in common, once, and the ways on."""
    name, state = conclusion.spec.name, conclusion.state
    if conclusion.reason == Halting.ALIKE:
        trials = alike(state)
        numbers = listed([str(each.number) for each in trials])
        out.line(f"{name}: trials {numbers}: {trials[-1].reason}")
        for line in (trials[-1].error or "").splitlines():
            out.line(f"  {line}")
    out.line(f"{name}: once the cause is mended: sweep retry {name}{store}")
    out.line(
        f"{name}: or let more trials fail: sweep resume {name}{store} --set max_failures="
        + ("none" if conclusion.reason == Halting.ALIKE else f"{_more(conclusion)}")
    )


def _more(conclusion: Conclusion) -> int:
    return 2 * conclusion.state.counts[TrialState.FAILED]


def _headline(conclusion: Conclusion) -> str:
    match conclusion.reason:
        case "complete":
            return "already complete" if conclusion.already else "complete"
        case "timeout":
            return "its timeout is reached"
        case Halting():
            why = failing_text(conclusion.state, conclusion.spec.max_failures)
            return f"halted, since {why}, {_saved(conclusion)}"
        case "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGUSR1" | "SIGUSR2":
            return f"interrupted ({conclusion.reason}), {_saved(conclusion)}"
        case "stopped":
            return f"stopped, {_saved(conclusion)}"
        case reason if reason == INTERRUPTED:
            return f"halted (nothing but interruptions), {_saved(conclusion)}"
        case reason if reason == BACKEND_DIED:
            return f"halted (what trials run on has died), {_saved(conclusion)}"
        case "disk full":
            return f"paused (disk full), {_saved(conclusion)}"
        case reason:
            return f"given up ({reason})"


def _saved(conclusion: Conclusion) -> str:
    """What is safe: all, or from where the trials go on that could not save at the end."""
    parts = []
    for number in conclusion.unsaved:
        kept = [each.id for each in conclusion.state.trials[number].kept if resumable(each.record)]
        where = f"goes on from {kept[-1]}" if kept else "starts again"
        parts.append(f"trial {number} did not save and {where}")
    return "; ".join(parts) or "all is saved"


def _best(conclusion: Conclusion) -> str:
    best = best_text(conclusion.spec, conclusion.state)
    if best is None:
        return ""
    return f"; {best}" if conclusion.state.several else f"; best {best}"


def finished_line(study: DrivenStudy, event: TrialFinished) -> str:
    """The plain line of a finished trial."""
    trial, state = study.state.trials[event.trial], study.state
    done = f"[{study.shown}/{study.limits.total + state.forks}]"
    result = (
        values_text(study.spec, event.values or [event.value])
        if event.value is not None
        else event.reason or ""
    )
    if trial.reuses is not None:
        result += f", the result of trial {trial.reuses}"
    exceeded = exceeded_text(study.spec, trial)
    result += f" ({exceeded})" if exceeded else ""
    incumbent = "" if state.best is None else f"; best {text(state.best.value)}"
    if state.several:
        incumbent = f"; {front_text(state)}"
    kind = str(event.state).lower()
    took = duration_text(trial.duration)
    return (
        f"{study.name} {done} trial {event.trial} {kind}: {result} in {took} "
        f"({searched_text(study.spec, trial)}){incumbent}"
    )


def exploited_line(study: DrivenStudy, event: TrialForked) -> str:
    """Says who takes a place in a population."""
    params = searched_text(study.spec, study.state.trials[event.trial])
    return (
        f"{study.name}: trial {event.trial} takes the place of trial {event.exploits} and goes on "
        f"from {event.source} ({params})"
    )


def interrupted_line(study: DrivenStudy, event: AttemptInterrupted) -> str:
    """Says what took an attempt away from its trial, and when the next one begins."""
    trial = study.state.trials[event.trial]
    rest = pause_s(trial.setbacks)
    when = f" in {duration_text(rest)}" if rest else ""
    again = "" if trial.state.finished else f"; it is tried again{when}"
    return (
        f"{study.name}: trial {event.trial}: attempt {event.attempt} was interrupted: "
        f"{event.reason}{again}"
    )


def paused_line(study: DrivenStudy, event: TrialPaused) -> str:
    """Says at which rung a trial waits for a promotion."""
    trial = study.state.trials[event.trial]
    return (
        f"{study.name} trial {event.trial} paused at {counted(event.rung, 'step')}: "
        f"{study.spec.objective.name} {text(event.value)} ({searched_text(study.spec, trial)})"
    )


def skipped_line(name: str, event: TrialRestored) -> str:
    """Says which damaged checkpoints were passed over, and what was lost."""
    damaged = "; ".join(f"{checkpoint}: {why}" for checkpoint, why in event.skipped)
    where = (
        "starts from scratch" if event.checkpoint is None else f"goes on from {event.checkpoint}"
    )
    return f"{name}: trial {event.trial} {where}, since what is newer is damaged: {damaged}"
