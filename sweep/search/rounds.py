"""Population based training in rounds: what ``deterministic: true`` makes of a population.

At the end of each interval a member saves, leaves its slot, and waits until all others stand there,
too. Then all are judged by the values of that round, by number, and those that make way are
replaced, before any goes on. So who is compared with whom follows from numbers, not from timing.
"""

from __future__ import annotations

from sweep.journal.state import StudyState, Trial
from sweep.search.comparison import is_over
from sweep.search.population import Population
from sweep.search.rules import Rules
from sweep.spec import Pbt, StudySpec


def population_of(spec: StudySpec) -> Population | None:
    """The rules of the population that ``spec`` trains, if its method has one."""
    if not isinstance(spec.method, Pbt):
        return None
    rules = PopulationInRounds if spec.deterministic else Population
    return rules(spec.method, spec)


class PopulationInRounds(Population):
    """The rules of one study whose members wait for each other; it holds no state of its own."""

    ordered = True

    def judge(
        self, state: StudyState, trial: Trial, step: int, value: float, *, last: bool
    ) -> bool | None:
        """None: a verdict waits until all have come so far. One that the journal holds is given
        again."""
        return trial.verdicts.get(step)

    def awaits_verdict(self, state: StudyState, trial: Trial) -> bool:
        """False: all are judged at once (`unjudged`)."""
        return False

    def judgement(self, state: StudyState, trial: Trial) -> tuple[int, bool] | None:
        """The verdict on ``trial``, and the step at which it stands; None before all have come."""
        if trial.number not in self.unjudged(state):
            return None
        kept = self._kept(trial)
        step = max(kept)
        if state.rules < Rules.EQUAL_STEPS:
            values = self._latest_of_round(state, step, without=trial.number)
        else:
            values = self._values(state, step, without=trial.number)
        return step, self._is_beaten(state, trial, kept[step], values)

    def unjudged(self, state: StudyState) -> list[int]:
        """Numbers of the members that are to be judged now, as all have come so far."""
        members = self._members(state)
        if state.asked < self._size or any(member.executing for member in members):
            return []
        round_ = min(map(self._stands, members), default=0)
        return [
            member.number
            for member in members
            if self._stands(member) == round_ and not self._is_judged(member, round_)
        ]

    def may_run(self, state: StudyState, trial: Trial) -> bool:
        """Whether ``trial`` need not wait for others: it is behind none, and was judged."""
        members = self._members(state)
        if trial not in members:
            return True
        round_ = self._stands(trial)
        return round_ == min(map(self._stands, members)) and self._is_judged(trial, round_)

    def makes_room(self, state: StudyState, trial: Trial, step: int, verdict: bool | None) -> bool:
        """Whether ``trial`` is to save and to wait: at the end of each interval."""
        return verdict is None and self._due(trial, step) and not trial.reports[step].last

    def _value_at(self, state: StudyState, trial: Trial, step: int) -> float | None:
        """As far as a resume keeps it: what a kill takes back is not there yet."""
        if trial.number in state.running:
            return self._kept(trial).get(step)
        return super()._value_at(state, trial, step)

    def _latest_values(self, state: StudyState, step: int, *, without: int) -> dict[int, float]:
        """A fork that begins in this round stands for nobody yet."""
        return {
            number: value
            for number, value in super()._latest_values(state, step, without=without).items()
            if state.trials[number].reports
        }

    def _latest_of_round(self, state: StudyState, step: int, *, without: int) -> dict[int, float]:
        """Under the older rules: what a verdict in a round depends on."""
        values = {}
        for member in self._members(state):
            # Some may be further: with more trials later, or where a member seldom reports.
            kept = {each: value for each, value in self._kept(member).items() if each <= step}
            if kept and member.number != without:
                values[member.number] = kept[max(kept)]
        return values

    def _members(self, state: StudyState) -> list[Trial]:
        """Those that run or wait, also those that were just judged to make way."""
        return [
            trial
            for trial in state.running.values()
            if trial.searched and (trial.pruned_at is not None or not is_over(trial))
        ]

    def _stands(self, member: Trial) -> int:
        """The intervals that are over, saved and reported; those of its parent count for a fork."""
        begun = None if member.fork is None else member.fork.step
        return self._round(max(self._kept(member), default=begun))

    def _is_judged(self, member: Trial, round_: int) -> bool:
        begun = 0 if member.fork is None else self._round(member.fork.step)
        return round_ <= begun or any(self._round(step) == round_ for step in member.verdicts)
