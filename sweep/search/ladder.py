"""The rungs at which trials are paused, and the brackets of Hyperband: arithmetic, and no state.

Resources are counted in steps: a trial has had ``step + 1`` of them when it reports at ``step``.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from sweep.spec import AshaPruning, HyperbandPruning, PatientPruning, PruningMode, Termination

_GOLDEN = 0x9E3779B97F4A7C15
"""2 ** 64 over the golden ratio."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rungs at ``lowest * factor ** k`` steps, below ``top``; Algorithm 2 of arXiv 1810.05934.

    Attributes:
        lowest: the first rung of each bracket, in steps; ASHA alone has one bracket.
        factor: the reduction factor eta.
        top: what a trial has at its end, in steps; None where nobody knows.
        weights: how often each bracket comes.
    """

    lowest: tuple[int, ...]
    factor: int
    top: int | None
    weights: tuple[int, ...]

    @classmethod
    def of(cls, wanted: Termination) -> Ladder | None:
        """The ladder of a study; None where its trials are not paused."""
        if not isinstance(wanted, AshaPruning | HyperbandPruning):
            return None
        return cls.described(wanted) if wanted.mode is PruningMode.PAUSE else None

    @classmethod
    def described(cls, wanted: Termination) -> Ladder | None:
        """The ladder whether trials are paused or stopped at it; None where there is none.

        Those that are stopped have no top: Optuna's pruners judge them for as long as they report.
        """
        if isinstance(wanted, PatientPruning):
            return cls.described(wanted.then)
        if not isinstance(wanted, AshaPruning | HyperbandPruning):
            return None
        factor = wanted.reduction_factor
        top = wanted.max_resource if wanted.mode is PruningMode.PAUSE else None
        if isinstance(wanted, AshaPruning):
            lowest = wanted.min_resource * factor**wanted.min_early_stopping_rate
            return cls((lowest,), factor, top, (1,))
        rates = range(wanted.brackets or wanted.possible_brackets)
        return cls(
            tuple(wanted.min_resource * factor**rate for rate in rates),
            factor,
            top,
            tuple(bracket_size(wanted.possible_brackets, factor, rate) for rate in rates),
        )

    def rungs(self, bracket: int, most: int) -> list[int]:
        """The rungs of a bracket, in steps; the first ``most`` of them where nobody knows the end.

        There is one more behind each, then.
        """
        found, rung = list[int](), self.lowest[bracket]
        while rung < self.top if self.top is not None else len(found) < most:
            found.append(rung)
            rung *= self.factor
        return found

    def bracket(self, place: int) -> int | None:
        """The bracket of the trial that is asked at ``place``, from 0; None where there is one.

        Brackets come in proportion to their weights, and evenly spread, so that a study of few
        trials has all of them: by the multiples of the golden ratio modulo 1 (Knuth, The Art of
        Computer Programming, 6.4).
        """
        if len(self.lowest) == 1:
            return None
        sums = list(accumulate(self.weights))
        point = place * _GOLDEN % 2**64 * sums[-1] >> 64
        return bisect_right(sums, point)

    @property
    def trials_needed(self) -> int:
        """Of how many trials one passes all rungs of the shortest bracket; of fewer maybe none.

        1 where nobody knows where the rungs end.
        """
        needed, rung = 1, self.lowest[-1]
        while self.top is not None and rung < self.top:
            needed, rung = needed * self.factor, rung * self.factor
        return needed

    def rung(self, bracket: int | None, steps: int, after: int) -> int | None:
        """The highest rung that a trial reaches with ``steps``, above ``after``; None for none.

        A trial that does not report at each step may pass several at once.
        """
        lowest = self.lowest[min(bracket or 0, len(self.lowest) - 1)]
        below = steps if self.top is None else min(steps, self.top - 1)
        found, rung = None, lowest
        while rung <= below:
            found = rung
            rung *= self.factor
        return found if found is not None and found > after else None


def bracket_size(brackets: int, factor: int, rate: int) -> int:
    """Trials that Hyperband begins in the bracket whose ``rate`` lowest rungs are left out.

    ``n`` in Algorithm 1 of Li et al., Hyperband, JMLR 18 (2018), where all ``brackets`` cost alike.
    """
    s = brackets - 1 - rate
    size: int = -(-brackets * factor**s // (s + 1))  # rounded up
    return size
