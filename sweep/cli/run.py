"""`sweep run` and `sweep resume`."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.cli.beginning import changes_record, report_begin
from sweep.cli.observer import Conclusion, conclude, make_observer, more_time
from sweep.cli.output import Output, error, store_option
from sweep.cli.place import find_begun
from sweep.cli.standing import progress_text
from sweep.driver.backend import Backend
from sweep.driver.claim import Claim, claimed
from sweep.driver.driver import Driver, Result
from sweep.driver.failing import Halting, failing_text
from sweep.driver.inline import InlineBackend
from sweep.driver.mirroring import catch_up, is_behind, study_mirror
from sweep.driver.plan import Limits
from sweep.driver.prepare import Request, open_study, request_resume, request_run
from sweep.driver.source import check_source, check_space
from sweep.driver.stopping import SIGNALS, StopSignals
from sweep.driver.study import DrivenStudy
from sweep.errors import (
    ProgramError,
    ResourceError,
    SpecChangedError,
    SpecError,
    StoreError,
    StudyLockedError,
    SweepError,
    UsageError,
)
from sweep.fsio import is_full
from sweep.integration.note import read_note
from sweep.journal.event import TrialState
from sweep.journal.listing import newest_event, studies
from sweep.journal.lock import holder
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths
from sweep.search.ladder import Ladder
from sweep.search.sampler import independent, learns_nothing
from sweep.spec import Method, StudySpec, load_spec
from sweep.spec.order import WINDOW
from sweep.spec.suggestion import listed

TIMED_OUT = 124
"""The exit code where a study has reached its timeout, as that of the command ``timeout``."""

INTERRUPTED = tuple(128 + number for number in SIGNALS)
"""Exit codes of a run that was told to end."""

HALTED = 5
"""The exit code where a study has halted since its trials fail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    store: Path
    inline: bool
    address: str | None
    grace: float
    accept_changes: bool = False


def run(files: Sequence[Path], overrides: Sequence[str], options: Options, out: Output) -> int:
    """Run the sweeps that ``files`` describe. The exit code."""
    specs = []
    problems = []
    for file in files:
        try:
            specs.append(load_spec(file, overrides, lambda line: error(f"warning: {line}")))
        except SpecError as problem:
            problems.append(str(problem))
    if problems:
        raise SpecError("\n".join(problems))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two of the sweeps are called {name!r}; give each its own `name:`")
    project = str(Path.cwd())
    requests = [_request(spec, project, options, out) for spec in specs]
    return drive(requests, options, out)


def _request(spec: StudySpec, project: str, options: Options, out: Output) -> Request:
    try:
        return request_run(options.store, spec, project, accept=options.accept_changes)
    except SpecChangedError as problem:
        if out.as_json:
            out.data({"study": spec.name, "refused": changes_record(problem.changes)})
        raise


def resume(
    names: Sequence[str], options: Options, out: Output, settings: Sequence[str] = ()
) -> int:
    """Go on with the studies called ``names``, or with all that were interrupted. The exit code.

    ``settings`` such as ``timeout=2h`` take the place of what the studies were asked for.
    """
    if names:
        places = [find_begun(options.store, name) for name in names]
        found = [_request_resume(paths, options, out, settings) for paths in places]
        return drive(found, options, out)
    if settings:
        raise UsageError("--set: name the study that is to have it, as in: sweep resume STUDY")
    requests, damaged = _look_around(options.store)
    interrupted = [request for request in requests if not _is_over(request)]
    code = damaged
    if interrupted:
        code = max(code, drive(interrupted, options, out))
    elif not damaged:
        message = f"{options.store}: no interrupted study"
        out.data({"studies": []}) if out.as_json else out.line(message)
    for request in requests:
        if request.timed_out and not request.complete and request.state is not None:
            if not out.as_json:
                progress = progress_text(request.spec, request.state)
                advice = more_time(request.spec, options.store)
                out.line(f"{request.paths.name}: its timeout is reached: {progress}; {advice}")
            code = code or TIMED_OUT
        elif request.halting is not None and not request.complete and request.state is not None:
            if not out.as_json:
                why = failing_text(request.state, request.spec.max_failures)
                name, where = request.paths.name, store_option(options.store)
                out.line(f"{name}: halted: {why}; sweep resume {name}{where} says how to go on")
            code = code or HALTED
    if code not in INTERRUPTED:  # else somebody wants it to end
        for request in requests:
            if _is_over(request):
                _catch_up(request, options.store, out)
    return code


def _request_resume(
    paths: StudyPaths, options: Options, out: Output, settings: Sequence[str]
) -> Request:
    try:
        return request_resume(paths, settings, accept=options.accept_changes)
    except SpecChangedError as problem:
        if out.as_json:
            out.data({"study": paths.name, "refused": changes_record(problem.changes)})
        raise


def _look_around(store: Path) -> tuple[list[Request], int]:
    """All studies of the store that nobody runs, and the exit code of what is wrong with others."""
    requests, code = [], 0
    for paths in studies(store):
        if holder(paths.lock) is not None:
            continue  # it is not interrupted: it runs
        if not paths.begun():
            continue  # killed in its first instant; its YAML begins it
        try:
            requests.append(request_resume(paths))
        except SweepError as problem:
            error(str(problem))
            code = max(code, problem.exit_code)
    return requests, code


def _is_over(request: Request) -> bool:
    return request.complete or request.timed_out or request.halting is not None


def drive(requests: Sequence[Request], options: Options, out: Output) -> int:
    """Run what is left to run of the studies. The exit code."""
    names = [request.spec.name for request in requests]
    for request in requests:
        if names.count(request.spec.name) > 1:
            raise UsageError(
                f"{request.paths.root}: another of these studies is called {request.spec.name!r} "
                "too (a copy?); resume them one after the other"
            )
    over = [request for request in requests if _is_over(request)]
    open_requests = [request for request in requests if not _is_over(request)]
    for request in open_requests:
        for warning in (check_source(request), check_space(request)):
            if warning is not None:
                error(warning)
        _warn_of_method(request)
    codes = [_report_over(request, options, out) for request in over]
    if open_requests:
        codes += _run_open(open_requests, options, out)
    order = (3, 2, 4, *INTERRUPTED, TIMED_OUT, HALTED, 1)
    return next((code for code in order if code in codes), 0)


def _warn_of_method(request: Request) -> None:
    if request.spec.warm_start and learns_nothing(request.spec):
        error(
            f"warning: {request.spec.name}: {request.spec.method.name} learns nothing from "
            "warm_start"
        )
    names = independent(request.spec)
    if names and request.state is None:
        what = "numbers that every trial has, two or more of them"
        if request.spec.method.name == Method.GP:
            what = "parameters that every trial has"
        error(
            f"warning: {request.spec.name}: {request.spec.method.name} draws {listed(names)} at "
            f"random: it knows {what}"
        )
    if request.spec.window != WINDOW and not request.spec.deterministic:
        error(f"warning: {request.spec.name}: window means nothing without deterministic: true")
    ladder, trials = Ladder.of(request.spec.early_terminate), request.spec.trials
    if ladder is not None and trials is not None and trials < ladder.trials_needed:
        error(
            f"warning: {request.spec.name}: it may be that no trial is complete: to pass all rungs "
            f"takes one of {ladder.trials_needed}, and trials is {trials}; see max_resource and "
            "reduction_factor of early_terminate"
        )


def _report_over(request: Request, options: Options, out: Output) -> int:
    if request.state is None:
        raise UsageError(f"{request.paths.name}: has no trials to run")
    reason = "complete" if request.complete else request.halting or "timeout"
    if request.changes or request.histories:
        # What is kept, say: it is accepted and applied, though nothing is run.
        study = open_study(request)
        study.end(reason, lambda entry: None)
        report_begin(request, study.state, out)
    elif _was_killed(request.state):
        try:
            open_study(request).end(reason, lambda entry: None)
        except StudyLockedError:
            pass  # its driver is at its end, and does it itself
        except StoreError as problem:  # it may not be written, say: it is complete all the same
            error(f"warning: {problem}")
    conclusion = Conclusion.of(request.spec, request.state, reason, request.paths, already=True)
    conclude(conclusion, out, store=options.store)
    _catch_up(request, options.store, out)
    notes = [read_note(request.paths, tracker.name) for tracker in request.spec.trackers]
    behind = [line for note in notes if (line := note.behind(newest_event(request.paths.journal)))]
    _warn_of_trackers(request.paths.name, behind, options.store)
    return _code_of(reason, request.state)


def _was_killed(state: StudyState) -> bool:
    """Whether the last driver left without a word: then files of checkpoints that had ceased to be
    kept may be there still, and the tables be old."""
    return state.session is not None and state.stopped is None


def _catch_up(request: Request, store: Path, out: Output) -> None:
    """Copy what the mirror of a study lacks that nothing is left to run of, and say so."""
    name, mirror = request.paths.name, study_mirror(request.spec)
    if request.state is None or not is_behind(request.paths, request.spec, request.state.seq):
        return
    try:
        behind = catch_up(request.paths, request.spec, request.state.seq)
    except StoreError:
        return  # it is run by another, who copies it; or it may not be written
    if out.as_json:
        out.data({"study": name, "mirror": mirror, "behind": behind})
    elif behind is None:
        out.line(f"{name}: mirror {mirror} was behind: all is there now")
    _warn_of_mirror(name, behind, store)


def _warn_of_mirror(study: str, behind: str | None, store: Path) -> None:
    if behind is not None:
        resume = f"sweep resume {study}{store_option(store)}"
        error(f"warning: {study}: mirror {behind}; to copy the rest: {resume}")


def _warn_of_trackers(study: str, behind: Sequence[str], store: Path) -> None:
    for line in behind:
        error(f"warning: {study}: {line}; to catch up: sweep track {study}{store_option(store)}")


def _run_open(requests: Sequence[Request], options: Options, out: Output) -> list[int]:
    _check_store(options.store)
    backend = _backend(options, {request.project for request in requests})
    with StopSignals() as signals, claimed([request.paths for request in requests]) as claims:
        if not options.inline:
            _say_starting(options, out)
        results = _run_studies(requests, claims, backend, signals, options, out)
    codes = []
    for result in results:
        conclude(
            Conclusion.of(
                result.study.spec,
                result.study.state,
                result.reason,
                result.study.paths,
                unsaved=sorted(result.study.unsaved),
            ),
            out,
            store=options.store,
        )
        _warn_of_mirror(result.study.name, result.study.behind, options.store)
        _warn_of_trackers(result.study.name, result.study.untracked, options.store)
        codes.append(_code(result, options.store))
    return codes


def _say_starting(options: Options, out: Output) -> None:
    line = (
        "starting Ray ..." if options.address is None else f"joining Ray at {options.address} ..."
    )
    error(line) if out.as_json else out.line(line)


def _run_studies(
    requests: Sequence[Request],
    claims: Mapping[StudyPaths, Claim],
    backend: Backend,
    signals: StopSignals,
    options: Options,
    out: Output,
) -> Sequence[Result]:
    observer = make_observer(out, inline=options.inline)
    try:
        backend.open()
        signals.take()  # Ray has its own idea of SIGTERM
        opened = _open_all(requests, claims, backend)
        for request, study in zip(requests, opened, strict=True):
            if request.state is not None and not out.as_json:
                progress = progress_text(request.spec, study.state)
                out.line(f"{request.paths.name}: goes on: {progress}")
            report_begin(request, study.state, out)
        driver = Driver(opened, backend, observer, signals, grace=options.grace)
        with observer:
            return driver.run()
    finally:
        backend.close()


def _open_all(
    requests: Sequence[Request], claims: Mapping[StudyPaths, Claim], backend: Backend
) -> list[DrivenStudy]:
    wanted = 0
    for request in requests:
        spec = request.spec
        slots = backend.slots(spec.resources)
        if slots < 1:
            raise ResourceError(
                f"{spec.name}: resources: a trial asks for {spec.resources}, "
                "and that is more than there is"
            )
        total = Limits.of(spec, request.state).total
        most = min(spec.concurrency or total, total)  # nodes may come that are not there yet
        wanted = min(slots, most)
        try:
            backend.prepare(spec.program, request.project, spec.resources, most)
        except ProgramError as problem:
            raise ProgramError(f"{spec.name}: {problem}") from problem
    opened: list[DrivenStudy] = []
    try:
        own = wanted if len(requests) == 1 else None
        opened.extend(open_study(each, own, claims[each.paths]) for each in requests)
    except SweepError:
        for study in opened:
            study.end("not begun", lambda entry: None)
        raise
    return opened


def _backend(options: Options, projects: set[str]) -> Backend:
    if options.inline and options.address is not None:
        raise UsageError("--inline runs in this process; it does not go with --address")
    if options.inline:
        return InlineBackend()
    if options.address is not None and len(projects) > 1:
        raise UsageError(
            "--address: these studies were begun in several directories, and a cluster is sent "
            "one: resume them one after the other"
        )
    from sweep.driver.cluster import RayBackend

    return RayBackend(options.address, min(projects), options.store.absolute())


def _check_store(store: Path) -> None:
    """Say early, before Ray starts, that the store cannot be one."""
    existing = store.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise StoreError(f"{store}: {existing} is no directory; give another --store")


def _code(result: Result, store: Path) -> int:
    if isinstance(result.error, SweepError):
        full = result.reason == "disk full" or is_full(result.error)
        go_on = f"sweep resume {result.study.name}{store_option(store)}"
        hint = f"; free space, then: {go_on}" if full else ""
        error(f"{result.error}{hint}")
        return result.error.exit_code
    match result.reason:
        case "stopped":
            return 128 + signal.SIGTERM
        case reason if reason in signal.Signals.__members__:
            return 128 + signal.Signals[reason]
        case reason:
            return _code_of(reason, result.study.state)


def _code_of(reason: str, state: StudyState) -> int:
    if reason == "timeout":
        return TIMED_OUT
    if reason in list(Halting):
        return HALTED
    return 1 if state.counts[TrialState.FAILED] else 0
