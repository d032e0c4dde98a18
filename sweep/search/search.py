"""The search of one study: proposes trials, judges reports, tells results.

It follows the journal (`apply`) and answers from that alone, so a search that is rebuilt after a
kill gives the same answers as one that never stopped. Each answer is an event for the journal and
has no effect until it is applied.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from sweep.errors import ProgramError
from sweep.journal.event import (
    DriverStarted,
    Event,
    HistoryAdded,
    SpecChanged,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRestored,
    TrialRetried,
    TrialState,
    TrialTold,
)
from sweep.journal.state import StudyState, Trial
from sweep.search import front, latent
from sweep.search.define import DefinedSpace, space_of
from sweep.search.horizon import Horizon
from sweep.search.intersection import Signatures
from sweep.search.past import Fit, Past, Tried
from sweep.search.penalty import Penalty, spare
from sweep.search.promotion import Promotion
from sweep.search.proposal import Proposal, Proposer
from sweep.search.pruner import as_at, make_pruner
from sweep.search.rounds import population_of
from sweep.search.rules import Rules
from sweep.search.sampler import SamplerSource, ask_seed
from sweep.search.storage import HistoryStorage, series
from sweep.spec import Dimension, Duplicates, Goal, Space, StudySpec
from sweep.spec.value import identity

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
    TrialState.PAUSED: OptunaState.PRUNED,
    TrialState.RUNNING: OptunaState.RUNNING,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What of a study an ask depends on, beside what the search follows; names as in `TrialAsked`.

    ``place`` is how many trials were asked before, ``seq`` the newest event.
    """

    number: int
    place: int
    told: int
    running: list[int]
    seq: int


class Search:
    """Optuna over the history of one study.

    Attributes:
        population: the rules of one that is trained, where the method says so.
        promotion: which paused trial may go on; it follows the journal, too.
    """

    def __init__(self, spec: StudySpec, project: str = "") -> None:
        """Begin with the spec that the study began with; a change of it is an event.

        ``project`` is where a sampler and a space of the user's are imported from, once they are
        needed.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = HistoryStorage(spec.name)
        self._horizon = Horizon(self._storage)
        self._signatures = Signatures()
        self._past = Past()
        self._notes: set[str] = set()
        """Attributes of trials that samplers wrote."""
        self._unfitted: set[int] = set()
        """Ids of trials from before a change, which are still to be held against the space."""
        self._outside: set[int] = set()
        """Trials outside of the space: to samplers they are failed ones."""
        self._failed: set[int] = set()
        """Trials that have failed, and that samplers take for the worst."""
        self._penalty: Penalty | None = None
        """What these are held for, while a sampler is asked or told."""
        self._halted: set[int] = set()
        """Trials that were paused, and not promoted since."""
        self._ranges: dict[str, optuna.distributions.BaseDistribution] = {}
        """What each parameter was drawn from last."""
        self._rules = int(Rules.LATEST)
        self.promotion = Promotion(spec)
        self._adopt(spec, project)

    def _adopt(self, spec: StudySpec, project: str) -> None:
        self._spec = spec
        self._horizon.lag = spec.lag
        self._space: Space | DefinedSpace | None = None
        self._maximize = [each.goal is Goal.MAXIMIZE for each in spec.objectives]
        self._storage.directions = [
            StudyDirection.MAXIMIZE if larger else StudyDirection.MINIMIZE
            for larger in self._maximize
        ]
        self._study = self._loaded()  # anew, since Optuna's study asks for its directions once
        self._pruner = make_pruner(spec.early_terminate)
        self.population = population_of(spec)
        self._project = project
        self._samplers: SamplerSource | None = None
        self._proposer = self._new_proposer()

    def _change(self, spec: StudySpec, project: str) -> None:
        """Go on under another spec: where its space or sampler is another, so is what is known.

        What samplers wrote is dropped: it was about the older space, or by another kind.
        """
        before = self._spec
        self._adopt(spec, project)
        if _deciding(spec) == _deciding(before):
            return
        self._storage.study_attrs, self._storage.user_attrs = {}, {}
        self._horizon.forget_notes()
        self._ranges = {}
        self._unfitted = {*range(-len(self._past.imported), len(self._past.own))}
        for number in self._unfitted:
            attrs = self._storage.get_trial(number).system_attrs
            attrs = {name: value for name, value in attrs.items() if name not in self._notes}
            self._storage.change(number, system_attrs=attrs, user_attrs={})

    def _fit_all(self, samplers: SamplerSource) -> None:
        """Have the sampler know older trials as if it had asked them in the space that is now."""
        space, spec = self._searched(), self._spec
        for number in sorted(self._unfitted):
            tried = self._past.get(number)
            self._fit(number, tried, tried.fit(space, spec), samplers.founding)
            if number >= 0:
                outside = number in self._outside
                self._horizon.refitted(number, None if outside else samplers.founding)
        self._unfitted = set()

    def _fit(self, number: int, tried: Tried, fit: Fit, founding: Mapping[str, Any]) -> None:
        if isinstance(fit, str) or not tried.searched:
            self._outside.add(number)
            nothing: dict[str, Any] = {"params": {}, "distributions": {}, "values": None}
            self._storage.change(number, state=OptunaState.FAIL, **nothing)
            return
        self._outside.discard(number)
        self._notes.update(founding)
        known = {name: latent.from_journal(value) for name, value in fit.items()}
        ranges = {name: range_ for name, (_, range_) in known.items()}
        ended = tried.state in (TrialState.COMPLETE, TrialState.PRUNED)
        self._storage.change(
            number,
            params={name: value for name, (value, _) in known.items()},
            distributions=self._signatures.one(ranges),
            state=_STATES[tried.state],
            values=tried.values if ended else None,
            system_attrs={**self._storage.get_trial(number).system_attrs, **founding},
        )
        named = zip(self._spec.constraints, tried.violations, strict=False)
        self._storage.constrain(number, dict(named))

    def _import(self, one: Mapping[str, Any]) -> None:
        number = self._storage.add_imported()
        if one["report"] is not None and len(self._maximize) == 1:
            step, value = one["report"]
            self._storage.set_trial_intermediate_value(number, step, value)
        self._unfitted.add(number)

    def prepare(self) -> SamplerSource:
        """Have the samplers and the space at hand; every question does so by itself.

        Raises:
            ProgramError: a factory or a space function of the user's cannot be had, or does not
                take what it is given.
        """
        # Not before they are needed: where a study has moved, with a factory of the user's, the
        # journal says so after it has named the place where that was.
        if self._samplers is None:
            self._samplers = SamplerSource(self._spec, self._project)
        self._searched()
        if self._unfitted:
            self._fit_all(self._samplers)
        return self._samplers

    def _searched(self) -> Space | DefinedSpace:
        if self._space is None:
            self._space = space_of(self._spec, self._project)
        return self._space

    def _loaded(self) -> optuna.Study:
        return optuna.load_study(
            study_name=self._storage.name,  # as it began: brackets of Hyperband follow from it
            storage=self._storage,
            sampler=optuna.samplers.RandomSampler(),
        )

    def _new_proposer(self) -> Proposer:
        return Proposer(self._spec, self._storage, self._past)

    def ahead(self, state: StudyState) -> Ahead:
        """What the next ask answers now, to be had in another thread while the study goes on.

        Raises:
            ProgramError: as `prepare`.
        """
        if not self._spec.method.ends:
            self.prepare()
        twin = copy.copy(self)
        twin._storage = self._storage.snapshot()
        twin._horizon = self._horizon.snapshot(twin._storage)
        twin._past = self._past.snapshot()
        twin._study = twin._loaded()
        twin._ranges = dict(self._ranges)
        # Of its own even where it is empty: trials fail while the twin is asked in its thread.
        twin._failed = set(self._failed) if self._failed and self.prepare().learns else set()
        twin._proposer = self._proposer.over(twin._storage, twin._past)
        return Ahead(twin, self._standing(state))

    @property
    def prunes(self) -> bool:
        return self._pruner is not None

    @property
    def judges(self) -> bool:
        """Whether reports of the objective wait for a verdict."""
        return self.prunes or self.promotion.pauses or self.population is not None

    def ask(self, state: StudyState) -> TrialAsked:
        """Propose the next trial, given all that was applied.

        Forks take numbers, but no suggestions: the n-th ask has the seed and the place in the grid
        that it has without them.

        Raises:
            ProgramError: the sampler failed.
        """
        return self._propose(self._standing(state))

    def _standing(self, state: StudyState) -> Standing:
        return Standing(
            number=len(state.trials),
            place=state.asked,
            told=self._horizon.told(state),
            running=self._horizon.running(state),
            seq=state.seq,
        )

    def _propose(self, standing: Standing) -> TrialAsked:
        if not self._spec.method.ends:
            self.prepare()  # all of the history may have to be fitted, before some of it is hidden
        with self._horizon.before(), self._failures_as_worst():
            made = self._made(standing.place)
        return TrialAsked(
            trial=standing.number,
            params=made.params,
            latents=made.latents,
            seed=ask_seed(self._spec.seed, made.number),
            wrote=made.wrote,
            told=standing.told,
            running=standing.running,
            bracket=self.promotion.bracket(standing.place),
            enqueued=made.enqueued,
            again=made.again,
            reuses=self._reused(made.params),
        )

    def _made(self, place: int) -> Proposal:
        if self._spec.method.ends:
            return self._proposer.configured(place)
        with self.prepare().guarded():
            return self._proposer.sampled(
                place, self._searched(), self, ends=self._rules >= Rules.EXHAUSTION
            )

    def _reused(self, params: Mapping[str, Any]) -> int | None:
        """The trial whose result the next one takes over instead of being executed."""
        if self._spec.duplicates is not Duplicates.REUSE or self.population is not None:
            return None  # a member of a population is more than its parameters
        found = self._past.complete.get(identity(params))
        known = found is not None and self._horizon.shows_result(found)
        return found if known else None

    def accept(self, spec: StudySpec, project: str, changes: Sequence[str]) -> SpecChanged:
        """The event with which the study goes on under another ``spec``.

        Raises:
            ProgramError: its space cannot be had.
        """
        left_out = self._past.left_out(space_of(spec, project), spec)
        return SpecChanged(
            spec=spec.model_dump(mode="json"),
            project=project,
            changes=list(changes),
            left_out=[[name, reason] for name, reason in left_out],
        )

    def suggest(self, trial: optuna.Trial, dimension: Dimension) -> Any:
        """The sampler's value of one parameter.

        Raises:
            ProgramError: a space function has made another kind of parameter of it.
        """
        defined = isinstance(self._space, DefinedSpace)
        older = self._ranges.get(dimension.name) if defined else None
        if older is not None and not latent.same_kind(older, dimension.domain.latent):
            raise ProgramError(
                f"space {self._spec.space_function!r}: {dimension.name}: was another kind of "
                "parameter, or had another number of choices, in an earlier trial: where it "
                "differs, give it another name"
            )
        return dimension.domain.value(latent.suggest(trial, dimension))

    def judge(self, trial: Trial, step: int, value: float) -> tuple[bool, dict[str, Any]]:
        """The pruner's verdict on a report, and the trial attributes that it wrote.

        A verdict that the journal holds for this step is given again, never computed anew.
        """
        if step in trial.verdicts:
            return trial.verdicts[step], {}
        if self._pruner is None:
            raise ValueError("no early_terminate in the spec")
        if self._unfitted:
            self.prepare()
        with (
            self._horizon.during(trial.number),
            self._storage.aside(trial.number) as written,
            self._storage.alone(),
            self._at_equal_steps(step),
        ):
            self._storage.set_trial_intermediate_value(trial.number, step, value)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a trial whose reports are NaN, say
                prune = self._pruner.prune(self._study, self._storage.get_trial(trial.number))
            return bool(prune), written().get("trial", {})

    def _at_equal_steps(self, step: int) -> AbstractContextManager[None]:
        if self._rules < Rules.EQUAL_STEPS:
            return nullcontext()
        return self._storage.seen_as(lambda trial: as_at(trial, step))

    def tell(self, state: StudyState, trial: Trial) -> TrialTold:
        """Tell a trial that is finished, and say who is the incumbent now.

        Of several objectives: how the Pareto front changes.

        Raises:
            ProgramError: the sampler failed.
        """
        wrote: dict[str, dict[str, Any]] = {}
        if self.prepare().notes_results and trial.number not in self._outside:
            with self._horizon.after(trial.number):
                wrote = self._after_trial(trial)
            self._horizon.check(wrote)
        best, entered, left = None, False, list[int]()
        if len(self._maximize) > 1:
            on_it = (state.trials[number] for number in state.front)
            entered, left = front.change(on_it, trial, self._maximize)
        else:
            best = self._incumbent(state, trial)
        return TrialTold(
            trial=trial.number,
            value=trial.value,
            iteration=len(state.iterations),
            best_trial=None if best is None else best.number,
            best_value=None if best is None else best.value,
            checkpoint=None if best is None else best.checkpoint,
            wrote=wrote,
            values=trial.values,
            entered=entered,
            left=left,
        )

    def apply(self, event: Event) -> None:
        """Follow the journal by one event.

        To Optuna a paused trial is a pruned one, which runs again when it is promoted: TPE then
        learns from what it came to at its rung. Were it one that runs, TPE would learn of most
        trials at the end of the study only.
        """
        self.promotion.apply(event)
        self._past.follow(event, self._spec)
        match event:
            case SpecChanged():
                spec = StudySpec.accepted(event.spec)
                self._change(spec, event.project)
                self.promotion.adopt(spec)
            case DriverStarted():
                self._rules = event.rules
            case HistoryAdded():
                for one in event.trials:
                    self._import(one)
            case TrialAsked():
                self._put_begun(event)
                self._write(event.trial, event.wrote)
                self._horizon.begun(event.trial)
            case TrialForked():
                self._put_begun(event)
                self._horizon.begun(event.trial)
            case TrialReported(value=float(value)) if len(self._maximize) == 1:
                attrs = self._storage.get_trial(event.trial).system_attrs
                self._storage.set_trial_intermediate_value(event.trial, event.step, value)
                if event.wrote:
                    self._storage.change(event.trial, system_attrs={**attrs, **event.wrote})
            case TrialPaused():
                self._halted.add(event.trial)
                if event.trial not in self._outside:
                    self._storage.change(event.trial, state=OptunaState.PRUNED)
            case TrialPromoted() if event.trial in self._halted:
                self._halted.discard(event.trial)
                with self._horizon.goes_on(event.trial):
                    if event.trial not in self._outside:
                        self._storage.change(event.trial, state=OptunaState.RUNNING)
            case TrialRestored():
                keep = -1 if event.step is None else event.step
                values = series(self._storage.get_trial(event.trial)).until(keep)
                self._storage.change(event.trial, intermediate_values=values)
            case TrialFinished():
                if event.worst:
                    self._failed.add(event.trial)
                else:
                    self._failed.discard(event.trial)
                told = event.values or (None if event.value is None else [event.value])
                known = event.trial not in self._outside
                state = _STATES[event.state] if known else OptunaState.FAIL
                if known and event.violations:
                    named = zip(self._spec.constraints, event.violations, strict=False)
                    self._storage.constrain(event.trial, dict(named))
                self._storage.set_trial_state_values(event.trial, state, told if known else None)
            case TrialRetried():
                with self._horizon.goes_on(event.trial):
                    self._put_retried(event)
            case TrialTold():
                self._write(event.trial, event.wrote)
            case _:
                pass

    def _after_trial(self, trial: Trial) -> dict[str, dict[str, Any]]:
        """What the sampler writes when it learns of a result."""
        with (
            self._failures_as_worst(),
            self._storage.aside(trial.number) as written,
            self.prepare().guarded(),
        ):
            told = self._storage.get_trial(trial.number)
            # A sampler learns of it before the trial is finished; the journal has it finished.
            self._storage.change(trial.number, state=OptunaState.RUNNING, values=None)
            study = self.study_at(trial.number)
            running = self._storage.get_trial(trial.number)
            study.sampler.after_trial(study, running, told.state, told.values)
            return written()

    @contextmanager
    def _failures_as_worst(self) -> Iterator[None]:
        """Show samplers the failed trials as worse than all results that are shown."""
        failed = self._failed - self._outside
        if not failed or not self.prepare().learns:
            yield
            return
        storage = self._storage
        known = itertools.chain(storage.trials, storage.imported)
        penalty = Penalty.of(known, storage.directions)
        if penalty is None:
            yield
            return
        seen = storage.trials.snapshot()
        for number in failed:
            if number < len(seen):
                seen[number] = penalty.imposed(seen[number], self.prepare().failure_state)
        self._penalty = penalty
        try:
            with storage.showing(seen):
                yield
        finally:
            self._penalty = None

    def study_at(self, number: int) -> optuna.Study:
        """The study with the sampler of ask ``number``."""
        sampler = self._study.sampler = self.prepare().at(number)
        if self._penalty is not None:
            spare(sampler, self._penalty.results, len(self._maximize))
        return self._study

    def _put_begun(self, event: TrialAsked | TrialForked) -> None:
        trial = self._storage.begun()
        for name, known in event.latents.items():
            trial.params[name], trial.distributions[name] = latent.from_journal(known)
        trial.distributions = self._signatures.one(trial.distributions)
        self._ranges |= trial.distributions
        self._storage.put(trial)
        if not event.inside:
            self._outside.add(event.trial)

    def _put_retried(self, event: TrialRetried) -> None:
        self._halted.discard(event.trial)
        if event.from_scratch:
            self._storage.put(self._horizon.first(event.trial))
        elif event.trial not in self._outside:
            self._storage.change(event.trial, state=OptunaState.RUNNING, values=None)

    def _write(self, number: int, wrote: dict[str, dict[str, Any]]) -> None:
        self._notes.update(wrote.get("trial", {}))
        self._storage.write(number, wrote)

    def _incumbent(self, state: StudyState, trial: Trial) -> Trial | None:
        best = state.best
        if trial.state is not TrialState.COMPLETE or trial.value is None or not trial.feasible:
            return best
        if best is None or best.value is None:
            return trial
        better = trial.value > best.value if self._maximize[0] else trial.value < best.value
        return trial if better else best


class Ahead:
    """The next suggestion of a search, which stays what it is, whatever the search learns."""

    def __init__(self, search: Search, standing: Standing) -> None:
        """``search`` is one of its own, that shares what it knows with the one that goes on."""
        self._search, self._standing = search, standing

    def ask(self) -> TrialAsked:
        """Make it.

        Raises:
            SweepError: as `Search.ask`.
        """
        return replace(self._search._propose(self._standing), saw=self._standing.seq)


def _deciding(spec: StudySpec) -> tuple[Any, ...]:
    """The parts of a spec that decide what a sampler knows of a trial."""
    return spec.parameters, spec.space_function, spec.method
