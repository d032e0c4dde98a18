"""The search of one study: proposes trials, judges reports, tells results.

It follows the journal (`apply`) and answers from that alone, so a search that is rebuilt after a
kill gives the same answers as one that never stopped. Each answer is an event for the journal and
has no effect until it is applied.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from sweep.journal.event import (
    Event,
    SpecChanged,
    TrialAsked,
    TrialFinished,
    TrialForked,
    TrialReported,
    TrialRestored,
    TrialState,
    TrialTold,
)
from sweep.journal.state import StudyState, Trial
from sweep.search import latent
from sweep.search.permutation import permuted
from sweep.search.population import Population
from sweep.search.pruner import make_pruner
from sweep.search.sampler import SamplerSource, ask_seed
from sweep.search.storage import HistoryStorage, running_trial
from sweep.spec import Goal, Method, StudySpec

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


class Search:
    """Optuna over the history of one study.

    Attributes:
        population: the rules of one that is trained, where the method says so.
    """

    def __init__(self, spec: StudySpec, project: str = "") -> None:
        """Begin with the spec that the study began with; a change of it is an event.

        ``project`` is where a sampler of the user's is imported from.

        Raises:
            ProgramError: it cannot be had.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = HistoryStorage(spec.name)
        self._outside: set[int] = set()
        """Trials outside of the space: to samplers they are failed ones."""
        self._adopt(spec, project)

    def _adopt(self, spec: StudySpec, project: str) -> None:
        self._spec = spec
        self._space = spec.space
        self._maximize = spec.metric.goal is Goal.MAXIMIZE
        self._storage.direction = (
            StudyDirection.MAXIMIZE if self._maximize else StudyDirection.MINIMIZE
        )
        # Made anew, since Optuna's study asks for its direction once.
        self._study = optuna.load_study(
            study_name=spec.name, storage=self._storage, sampler=optuna.samplers.RandomSampler()
        )
        self._pruner = make_pruner(spec.early_terminate)
        self.population = Population.of(spec)
        self._samplers = SamplerSource(spec, project)
        self._notes_results = self._samplers.notes_results

    @property
    def prunes(self) -> bool:
        return self._pruner is not None

    @property
    def judges(self) -> bool:
        """Whether reports of the metric wait for a verdict."""
        return self.prunes or self.population is not None

    def ask(self, state: StudyState) -> TrialAsked:
        """Propose the next trial, given all that was applied.

        Forks take numbers, but no suggestions: the n-th ask has the seed and the place in the grid
        that it has without them.
        """
        number, place = len(state.trials), state.asked
        before = self._storage.study_attrs
        if self._spec.method.ends:
            params = self._configuration(place)
            latents: dict[str, list[Any]] = {}
            wrote: dict[str, dict[str, Any]] = {}
        else:
            trial = self._study_with_sampler(place).ask()
            try:
                params = self._space.complete(
                    lambda dimension: dimension.domain.value(latent.suggest(trial, dimension))
                )
                frozen = self._storage.get_trial(trial.number)
                latents = {
                    name: latent.to_journal(value, frozen.distributions[name])
                    for name, value in frozen.params.items()
                }
                wrote = {
                    "trial": dict(frozen.system_attrs),
                    "study": _changed(before, self._storage.study_attrs),
                }
            finally:
                self._storage.remove(trial.number)
                self._storage.study_attrs = before
        return TrialAsked(
            trial=number,
            params=params,
            latents=latents,
            seed=ask_seed(self._spec.seed, place),
            wrote={part: values for part, values in wrote.items() if values},
            told=len(state.iterations),
            running=sorted(state.running),
        )

    def _configuration(self, place: int) -> dict[str, Any]:
        """What a method that goes through all configurations has at ``place``."""
        if self._spec.method.name == Method.BRUTE:
            place = permuted(place, self._space.grid_size or 0, self._spec.seed)
        return next(itertools.islice(self._space.grid(), place, None))

    def judge(self, trial: Trial, step: int, value: float) -> tuple[bool, dict[str, Any]]:
        """The pruner's verdict on a report, and the trial attributes that it wrote.

        A verdict that the journal holds for this step is given again, never computed anew.
        """
        if step in trial.verdicts:
            return trial.verdicts[step], {}
        if self._pruner is None:
            raise ValueError("no early_terminate in the spec")
        before = self._storage.get_trial(trial.number)
        self._storage.set_trial_intermediate_value(trial.number, step, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a trial whose reports are NaN, say
            prune = self._pruner.prune(self._study, self._storage.get_trial(trial.number))
        after = self._storage.get_trial(trial.number)
        self._storage.put(before)
        return bool(prune), _changed(before.system_attrs, after.system_attrs)

    def tell(self, state: StudyState, trial: Trial) -> TrialTold:
        """Tell a trial that was completed or pruned, and say who is the incumbent now."""
        wrote = self._after_trial(trial) if self._notes_results else {}
        best = self._incumbent(state, trial)
        return TrialTold(
            trial=trial.number,
            value=trial.value,
            iteration=len(state.iterations),
            best_trial=None if best is None else best.number,
            best_value=None if best is None else best.value,
            checkpoint=None if best is None else best.checkpoint,
            wrote={part: values for part, values in wrote.items() if values},
        )

    def apply(self, event: Event) -> None:
        """Follow the journal by one event."""
        match event:
            case SpecChanged():
                self._adopt(StudySpec.model_validate(event.spec), event.project)
            case TrialAsked():
                self._put_begun(event)
                self._write(event.trial, event.wrote)
            case TrialForked():
                self._put_begun(event)
            case TrialReported(value=float(value)):
                attrs = self._storage.get_trial(event.trial).system_attrs
                self._storage.set_trial_intermediate_value(event.trial, event.step, value)
                if event.wrote:
                    self._storage.change(event.trial, system_attrs={**attrs, **event.wrote})
            case TrialRestored():
                keep = -1 if event.step is None else event.step
                values = self._storage.get_trial(event.trial).intermediate_values
                self._storage.change(
                    event.trial,
                    intermediate_values={step: v for step, v in values.items() if step <= keep},
                )
            case TrialFinished():
                told = None if event.value is None else [event.value]
                known = event.trial not in self._outside
                state = _STATES[event.state] if known else OptunaState.FAIL
                self._storage.set_trial_state_values(event.trial, state, told if known else None)
            case TrialTold():
                self._write(event.trial, event.wrote)
            case _:
                pass

    def _after_trial(self, trial: Trial) -> dict[str, dict[str, Any]]:
        """What the sampler writes when it learns of a result."""
        before = self._storage.study_attrs
        frozen = self._storage.get_trial(trial.number)
        # A sampler learns of it before the trial is finished; the journal had it finish already.
        self._storage.change(trial.number, state=OptunaState.RUNNING, values=None)
        study = self._study_with_sampler(trial.number)
        values = None if trial.value is None else [trial.value]
        running = self._storage.get_trial(trial.number)
        study.sampler.after_trial(study, running, _STATES[trial.state], values)
        told = self._storage.get_trial(trial.number)
        self._storage.put(frozen)
        after, self._storage.study_attrs = self._storage.study_attrs, before
        return {
            "trial": _changed(frozen.system_attrs, told.system_attrs),
            "study": _changed(before, after),
        }

    def _study_with_sampler(self, number: int) -> optuna.Study:
        self._study.sampler = self._samplers.at(number)
        return self._study

    def _put_begun(self, event: TrialAsked | TrialForked) -> None:
        trial = running_trial(event.trial)
        for name, known in event.latents.items():
            trial.params[name], trial.distributions[name] = latent.from_journal(known)
        self._storage.put(trial)
        if isinstance(event, TrialForked) and not event.inside:
            self._outside.add(event.trial)

    def _write(self, number: int, wrote: dict[str, dict[str, Any]]) -> None:
        if "trial" in wrote:
            attrs = {**self._storage.get_trial(number).system_attrs, **wrote["trial"]}
            self._storage.change(number, system_attrs=attrs)
        if "study" in wrote:
            self._storage.study_attrs = {**self._storage.study_attrs, **wrote["study"]}

    def _incumbent(self, state: StudyState, trial: Trial) -> Trial | None:
        best = state.best
        if trial.state is not TrialState.COMPLETE or trial.value is None:
            return best
        if best is None or best.value is None:
            return trial
        better = trial.value > best.value if self._maximize else trial.value < best.value
        return trial if better else best


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What of ``after`` is not so in ``before``."""
    return {
        name: value for name, value in after.items() if name not in before or before[name] != value
    }


def is_objective(value: float | None) -> bool:
    """True for a value that may be told: NaN is the value of a failed trial."""
    return value is not None and not math.isnan(value)
