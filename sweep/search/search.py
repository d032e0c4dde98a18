"""The search of one study: proposes trials, judges reports, tells results.

It follows the journal (`apply`) and answers from that alone, so a search that is rebuilt after a
kill gives the same answers as one that never stopped. Each answer is an event for the journal and
has no effect until it is applied.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState

from sweep.journal.event import (
    Event,
    HistoryAdded,
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
from sweep.search.past import Fit, Past, Tried
from sweep.search.proposal import Proposer
from sweep.search.pruner import make_pruner
from sweep.search.sampler import SamplerSource, ask_seed
from sweep.search.storage import HistoryStorage
from sweep.spec import Duplicates, Goal, StudySpec
from sweep.spec.value import identity

_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.PRUNED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


class Search:
    """Optuna over the history of one study."""

    def __init__(self, spec: StudySpec, project: str = "") -> None:
        """Begin with the spec that the study began with; a change of it is an event.

        ``project`` is where a sampler of the user's is imported from, once it is needed.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._storage = HistoryStorage(spec.name)
        self._past = Past()
        self._notes: set[str] = set()
        """Attributes of trials that samplers wrote."""
        self._adopted: set[int] = set()
        """Trials that are known as if the sampler had proposed them."""
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
        self._project = project
        self._samplers: SamplerSource | None = None
        self._proposer = Proposer(spec, self._storage, self._past, self._study_with_sampler)

    def _change(self, spec: StudySpec, project: str) -> None:
        """Go on under another spec: where its space or sampler is another, fit what was tried."""
        before = self._spec
        self._adopt(spec, project)
        if (spec.parameters, spec.method) == (before.parameters, before.method):
            return
        self._storage.study_attrs, self._storage.user_attrs = {}, {}
        own, imported = self._past.fits(spec)
        self._outside, self._adopted = set(), set()
        for number, (tried, fit) in enumerate(zip(self._past.own, own, strict=True)):
            self._fit(number, tried, fit)
        for place, (tried, fit) in enumerate(zip(self._past.imported, imported, strict=True)):
            self._fit(-1 - place, tried, fit)

    def _fit(self, number: int, tried: Tried, fit: Fit) -> None:
        """Have the sampler know a trial as if it had been asked in the space that there is now.

        What samplers wrote about it is dropped: it was about the older space, or by another kind.
        """
        attrs = self._storage.get_trial(number).system_attrs
        attrs = {name: value for name, value in attrs.items() if name not in self._notes}
        if isinstance(fit, str) or not tried.searched:
            self._outside.add(number)
            self._storage.change(
                number,
                params={},
                distributions={},
                state=OptunaState.FAIL,
                values=None,
                system_attrs=attrs,
            )
            return
        known = {name: latent.from_journal(value) for name, value in fit.items()}
        self._storage.change(
            number,
            params={name: value for name, (value, _) in known.items()},
            distributions={name: range_ for name, (_, range_) in known.items()},
            state=OptunaState.RUNNING if tried.state is None else _STATES[tried.state],
            values=None if tried.state is TrialState.FAILED else tried.values,
            system_attrs=attrs,
            user_attrs={},
        )
        self._adopted.add(number)
        if self._samplers is not None:
            self._found(number, self._samplers)

    def _found(self, number: int, samplers: SamplerSource) -> None:
        attrs, founding = self._storage.get_trial(number).system_attrs, samplers.founding
        self._notes.update(founding)
        self._storage.change(number, system_attrs=attrs | founding)

    def _import(self, known: Mapping[str, Any]) -> None:
        number = self._storage.add_imported()
        if known["report"] is not None:
            step, value = known["report"]
            self._storage.set_trial_intermediate_value(number, step, value)
        self._fit(number, self._past.imported[-1 - number], known["latents"])

    def prepare(self) -> SamplerSource:
        """Have the samplers at hand; every question does so by itself.

        Raises:
            ProgramError: a factory of the user's cannot be had, or does not take its options.
        """
        # Not before they are needed: where a study has moved, with a factory of the user's, the
        # journal says so after it has named the place where that was.
        if self._samplers is None:
            self._samplers = SamplerSource(self._spec, self._project)
            for number in self._adopted:
                self._found(number, self._samplers)
        return self._samplers

    @property
    def prunes(self) -> bool:
        return self._pruner is not None

    def ask(self, state: StudyState) -> TrialAsked:
        """Propose the next trial, given all that was applied.

        Forks take numbers, but no suggestions: the n-th ask has the seed and the place in the grid
        that it has without them.

        Raises:
            ProgramError: the sampler failed.
        """
        place = state.asked
        if self._spec.method.ends:
            made = self._proposer.configured(place)
        else:
            with self.prepare().guarded():
                made = self._proposer.sampled(place)
        wanted = self._spec.duplicates is Duplicates.REUSE
        return TrialAsked(
            trial=len(state.trials),
            params=made.params,
            latents=made.latents,
            seed=ask_seed(self._spec.seed, made.number),
            wrote=made.wrote,
            told=len(state.iterations),
            running=sorted(state.running),
            enqueued=made.enqueued,
            again=made.again,
            reuses=self._past.complete.get(identity(made.params)) if wanted else None,
        )

    def accept(self, spec: StudySpec, project: str, changes: Sequence[str]) -> SpecChanged:
        """The event with which the study goes on under another ``spec``."""
        return SpecChanged(
            spec=spec.model_dump(mode="json"),
            project=project,
            changes=list(changes),
            left_out=[[name, reason] for name, reason in self._past.left_out(spec)],
        )

    def judge(self, trial: Trial, step: int, value: float) -> tuple[bool, dict[str, Any]]:
        """The pruner's verdict on a report, and the trial attributes that it wrote.

        A verdict that the journal holds for this step is given again, never computed anew.
        """
        if step in trial.verdicts:
            return trial.verdicts[step], {}
        if self._pruner is None:
            raise ValueError("no early_terminate in the spec")
        with self._storage.aside(trial.number) as written:
            self._storage.set_trial_intermediate_value(trial.number, step, value)
            with warnings.catch_warnings(), self._storage.alone():
                warnings.simplefilter("ignore")  # of a trial whose reports are NaN, say
                prune = self._pruner.prune(self._study, self._storage.get_trial(trial.number))
            return bool(prune), written().get("trial", {})

    def tell(self, state: StudyState, trial: Trial) -> TrialTold:
        """Tell a trial that was completed or pruned, and say who is the incumbent now.

        Raises:
            ProgramError: the sampler failed.
        """
        known = trial.number not in self._outside
        wrote = self._after_trial(trial) if known and self.prepare().notes_results else {}
        best = self._incumbent(state, trial)
        return TrialTold(
            trial=trial.number,
            value=trial.value,
            iteration=len(state.iterations),
            best_trial=None if best is None else best.number,
            best_value=None if best is None else best.value,
            checkpoint=None if best is None else best.checkpoint,
            wrote=wrote,
        )

    def apply(self, event: Event) -> None:
        """Follow the journal by one event."""
        self._past.follow(event, self._spec)
        match event:
            case SpecChanged():
                self._change(StudySpec.model_validate(event.spec), event.project)
            case HistoryAdded():
                for one in event.trials:
                    self._import(one)
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
        with self._storage.aside(trial.number) as written, self.prepare().guarded():
            # A sampler learns of it before the trial is finished; the journal has it finished.
            self._storage.change(trial.number, state=OptunaState.RUNNING, values=None)
            study = self._study_with_sampler(trial.number)
            values = None if trial.value is None else [trial.value]
            running = self._storage.get_trial(trial.number)
            study.sampler.after_trial(study, running, _STATES[trial.state], values)
            return written()

    def _study_with_sampler(self, number: int) -> optuna.Study:
        self._study.sampler = self.prepare().at(number)
        return self._study

    def _put_begun(self, event: TrialAsked | TrialForked) -> None:
        trial = self._storage.begun()
        for name, known in event.latents.items():
            trial.params[name], trial.distributions[name] = latent.from_journal(known)
        self._storage.put(trial)
        if isinstance(event, TrialForked) and not event.inside:
            self._outside.add(event.trial)

    def _write(self, number: int, wrote: dict[str, dict[str, Any]]) -> None:
        self._notes.update(wrote.get("trial", {}))
        self._storage.write(number, wrote)

    def _incumbent(self, state: StudyState, trial: Trial) -> Trial | None:
        best = state.best
        if trial.state is not TrialState.COMPLETE or trial.value is None:
            return best
        if best is None or best.value is None:
            return trial
        better = trial.value > best.value if self._maximize else trial.value < best.value
        return trial if better else best


def is_objective(value: float | None) -> bool:
    """True for a value that may be told: NaN is the value of a failed trial."""
    return value is not None and not math.isnan(value)
