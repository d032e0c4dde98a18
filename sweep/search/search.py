"""The search of one study: proposes trials, judges reports, tells results.

It follows the journal (`apply`) and answers from that alone, so a search that is rebuilt after a
kill gives the same answers as one that never stopped. Each answer is an event for the journal and
has no effect until it is applied.
"""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from sweep.errors import ProgramError
from sweep.journal.event import (
    Event,
    SpecChanged,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialPaused,
    TrialPromoted,
    TrialReported,
    TrialRestored,
    TrialState,
    TrialTold,
)
from sweep.journal.state import StudyState, Trial
from sweep.search import front, latent
from sweep.search.define import DefinedSpace, space_of
from sweep.search.horizon import Horizon
from sweep.search.intersection import Signatures
from sweep.search.permutation import permuted
from sweep.search.population import Population
from sweep.search.promotion import Promotion
from sweep.search.pruner import make_pruner
from sweep.search.sampler import SamplerSource, ask_seed
from sweep.search.storage import HistoryStorage, running_trial
from sweep.spec import Dimension, Goal, Method, Space, StudySpec

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


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
        self._outside: set[int] = set()
        """Trials outside of the space: to samplers they are failed ones."""
        self._ranges: dict[str, optuna.distributions.BaseDistribution] = {}
        """What each parameter was drawn from last."""
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
        self.population = Population.of(spec)
        self._project = project
        self._samplers: SamplerSource | None = None

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
        return self._samplers

    def _searched(self) -> Space | DefinedSpace:
        if self._space is None:
            self._space = space_of(self._spec, self._project)
        return self._space

    def _loaded(self) -> optuna.Study:
        return optuna.load_study(
            study_name=self._spec.name,
            storage=self._storage,
            sampler=optuna.samplers.RandomSampler(),
        )

    def snapshot(self) -> Search:
        """A search that knows what this one knows now, to be asked in another thread."""
        self.prepare()
        twin = copy.copy(self)
        twin._storage = self._storage.snapshot()
        twin._horizon = self._horizon.snapshot(twin._storage)
        twin._study = twin._loaded()
        twin._ranges = dict(self._ranges)
        return twin

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
        with self._horizon.before(len(state.trials)):
            return self._propose(state)

    def _propose(self, state: StudyState) -> TrialAsked:
        number, place = len(state.trials), state.asked
        space = self._searched()
        if isinstance(space, Space) and self._spec.method.ends:
            params = self._configuration(space, place)
            latents: dict[str, list[Any]] = {}
            wrote: dict[str, dict[str, Any]] = {}
        else:
            with self._storage.aside(number) as written, self.prepare().guarded():
                trial = self._study_with_sampler(place).ask()
                params = space.complete(lambda dimension: self._suggest(trial, dimension))
                frozen = self._storage.get_trial(number)
                latents = {
                    name: latent.to_journal(value, frozen.distributions[name])
                    for name, value in frozen.params.items()
                }
                wrote = written()
        return TrialAsked(
            trial=number,
            params=params,
            latents=latents,
            seed=ask_seed(self._spec.seed, place),
            wrote=wrote,
            told=self._horizon.told(state),
            running=self._horizon.running(state),
            bracket=self.promotion.bracket(place),
        )

    def _suggest(self, trial: optuna.Trial, dimension: Dimension) -> Any:
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

    def _configuration(self, space: Space, place: int) -> dict[str, Any]:
        """What a method that goes through all configurations has at ``place``."""
        if self._spec.method.name == Method.BRUTE:
            place = permuted(place, space.grid_size or 0, self._spec.seed)
        return next(itertools.islice(space.grid(), place, None))

    def judge(self, trial: Trial, step: int, value: float) -> tuple[bool, dict[str, Any]]:
        """The pruner's verdict on a report, and the trial attributes that it wrote.

        A verdict that the journal holds for this step is given again, never computed anew.
        """
        if step in trial.verdicts:
            return trial.verdicts[step], {}
        if self._pruner is None:
            raise ValueError("no early_terminate in the spec")
        with (
            self._horizon.during(trial.number),
            self._storage.aside(trial.number) as written,
        ):
            self._storage.set_trial_intermediate_value(trial.number, step, value)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a trial whose reports are NaN, say
                prune = self._pruner.prune(self._study, self._storage.get_trial(trial.number))
            return bool(prune), written().get("trial", {})

    def tell(self, state: StudyState, trial: Trial) -> TrialTold:
        """Tell a trial that was completed or pruned, and say who is the incumbent now.

        Of several objectives: how the Pareto front changes.

        Raises:
            ProgramError: the sampler failed.
        """
        wrote: dict[str, dict[str, Any]] = {}
        if self.prepare().notes_results:
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
        match event:
            case SpecChanged():
                spec = StudySpec.model_validate(event.spec)
                self._adopt(spec, event.project)
                self.promotion.adopt(spec)
            case TrialAsked():
                self._put_begun(event)
                self._storage.write(event.trial, event.wrote)
                self._horizon.begun(event.trial)
            case TrialForked():
                self._put_begun(event)
                self._horizon.begun(event.trial)
            case TrialReported(value=float(value)) if len(self._maximize) == 1:
                attrs = self._storage.get_trial(event.trial).system_attrs
                self._storage.set_trial_intermediate_value(event.trial, event.step, value)
                if event.wrote:
                    self._storage.change(event.trial, system_attrs={**attrs, **event.wrote})
            case TrialPaused() if event.trial not in self._outside:
                self._storage.change(event.trial, state=OptunaState.PRUNED)
            case TrialPromoted():
                self._storage.change(event.trial, state=OptunaState.RUNNING)
            case TrialRestored():
                keep = -1 if event.step is None else event.step
                values = self._storage.get_trial(event.trial).intermediate_values
                self._storage.change(
                    event.trial,
                    intermediate_values={step: v for step, v in values.items() if step <= keep},
                )
            case TrialFinished():
                told = event.values or (None if event.value is None else [event.value])
                known = event.trial not in self._outside
                state = _STATES[event.state] if known else OptunaState.FAIL
                if known and event.violations:
                    named = zip(self._spec.constraints, event.violations, strict=False)
                    self._storage.constrain(event.trial, dict(named))
                self._storage.set_trial_state_values(event.trial, state, told if known else None)
            case TrialTold():
                self._storage.write(event.trial, event.wrote)
            case _:
                pass

    def _after_trial(self, trial: Trial) -> dict[str, dict[str, Any]]:
        """What the sampler writes when it learns of a result."""
        with self._storage.aside(trial.number) as written, self.prepare().guarded():
            # A sampler learns of it before the trial is finished; the journal has it finished.
            self._storage.change(trial.number, state=OptunaState.RUNNING, values=None)
            study = self._study_with_sampler(trial.number)
            values = trial.values or (None if trial.value is None else [trial.value])
            running = self._storage.get_trial(trial.number)
            study.sampler.after_trial(study, running, _STATES[trial.state], values)
            return written()

    def _study_with_sampler(self, number: int) -> optuna.Study:
        self._study.sampler = self.prepare().at(number)
        return self._study

    def _put_begun(self, event: TrialAsked | TrialForked) -> None:
        trial = running_trial(event.trial)
        for name, known in event.latents.items():
            trial.params[name], trial.distributions[name] = latent.from_journal(known)
        trial.distributions = self._signatures.one(trial.distributions)
        self._ranges |= trial.distributions
        self._storage.put(trial)
        if isinstance(event, TrialForked) and not event.inside:
            self._outside.add(event.trial)

    def _incumbent(self, state: StudyState, trial: Trial) -> Trial | None:
        best = state.best
        if trial.state is not TrialState.COMPLETE or trial.value is None or not trial.feasible:
            return best
        if best is None or best.value is None:
            return trial
        better = trial.value > best.value if self._maximize[0] else trial.value < best.value
        return trial if better else best


def is_objective(value: float | None) -> bool:
    """True for a value that may be told: NaN is the value of a failed trial."""
    return value is not None and not math.isnan(value)
