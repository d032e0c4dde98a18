"""The rungs at which trials are paused, and the brackets of Hyperband: arithmetic, and no state.

Resources are counted in steps: a trial has had ``step + 1`` of them when it reports at ``step``.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from sweep.spec import AshaPruning, HyperbandPruning, PruningMode, Termination

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
        if wanted.mode is not PruningMode.PAUSE:
            return None
        factor, top = wanted.reduction_factor, wanted.max_resource
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
