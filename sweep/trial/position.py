"""Where a trial stands: its counters, its reports, and how far each of its loaders is.

A loader's passes are counted per epoch, and outside of epochs on their own. What a pass yields is a
function of (trial's seed, loader's name, epoch, number of the pass), so a position is three numbers
and a resumed trial needs no more to go on with the next batch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from sweep.errors import CheckpointVersionError


@dataclass(kw_only=True, slots=True)
class Position:
    """Counters of a trial; a checkpoint holds them."""

    epoch: int = 0
    """Completed epochs."""
    within: bool = False
    """Whether an epoch is under way."""
    looped: bool = False
    """Whether `Trial.epochs` was used."""
    reports: int = 0
    """Completed reports before the first epoch."""
    loops: int = 0
    """Loops over `Trial.epochs` that are over."""
    global_step: int = 0
    """Completed calls of `Trial.step`."""
    step: int | None = None
    """The highest step that was reported."""
    partial: dict[str, float] = field(default_factory=dict)
    """What was reported in the epoch that is not completed yet."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Latest value of each metric."""
    forks: list[dict[str, Any]] = field(default_factory=list)
    """Parameters that differ in the forks to be made from here; the driver may not know them."""
    prune: bool = False
    """The driver has said PRUNE, and the epoch is not at its end yet."""
    pause: bool = False
    """The driver has said PAUSE, and the epoch is not at its end yet."""
    best: float | None = None
    """Best value so far of the metric whose improvements are saved."""
    measured: list[str] = field(default_factory=list)
    """Metrics that were reported of the state that the trial is in."""
    leading: float | None = None
    """Best value of the study's metric of those states that were measured and saved."""
    training_s: float = 0.0
    """Seconds spent in attempts up to here, from their start or restore on."""
    begun: float | None = None
    """Unix time at which the first attempt began."""

    @property
    def progress(self) -> int:
        """Completed epochs, and reports before them: never the same at two safe points."""
        return self.epoch + self.reports

    def to_tree(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Position:
        """The position that `to_tree` made ``tree`` of.

        Raises:
            CheckpointVersionError: it has what this version does not know.
        """
        unknown = tree.keys() - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise CheckpointVersionError(
                f"the position of the trial has {', '.join(sorted(unknown))}, which this sweep "
                "does not know: it was saved by a newer one; update sweep"
            )
        return cls(**tree)


@dataclass(kw_only=True, slots=True)
class Passes:
    """Passes over one loader, within one epoch or outside of epochs."""

    stepped: list[bool] = field(default_factory=list)
    """For each pass begun: whether `Trial.step` was called in it, so that it is training."""
    batches: int | None = None
    """Batches that the last one has yielded; None where it is over."""

    @property
    def in_flight(self) -> bool:
        return self.batches is not None


@dataclass(frozen=True, slots=True)
class Start:
    """How a pass is to begin.

    ``skip``: it was over when the checkpoint was taken, and its steps are in the checkpoint.
    ``resumed``: it goes on after ``batches``, from ``inner`` where the loader saved something.
    """

    passes: Passes
    number: int
    epoch: int | None
    batches: int = 0
    skip: bool = False
    resumed: bool = False
    inner: Any = None

    @property
    def current(self) -> bool:
        """False once another pass was begun, or the epoch is over."""
        return self.passes.in_flight and len(self.passes.stepped) == self.number + 1

    def advance(self) -> None:
        """One batch was yielded."""
        if self.current and self.passes.batches is not None:
            self.passes.batches += 1

    def end(self) -> None:
        if self.current:
            self.passes.batches = None


class LoaderPosition:
    """How far one loader is. ``name`` names it within its trial."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._inside, self._outside = Passes(), Passes()
        self._saved: dict[str, Passes] = {}
        self._inner: Any = None
        self.source: Any = None
        """What sampler and dataset held, from a restore up to the first safe point."""
        self.transient = False
        """Whether the loader is made anew in each epoch, and begins each with nothing."""

    def begin(self, epoch: int | None) -> Start:
        """Begin a pass inside ``epoch``, or outside (None)."""
        where = "outside" if epoch is None else "inside"
        passes = self._outside if epoch is None else self._inside
        saved, number = self._saved.get(where, Passes()), len(passes.stepped)
        stepped = number < len(saved.stepped) and saved.stepped[number]
        goes_on = saved.in_flight and number == len(saved.stepped) - 1
        passes.stepped.append(stepped)
        passes.batches = 0
        if goes_on:
            passes.batches = saved.batches
            return Start(passes, number, epoch, saved.batches or 0, resumed=True, inner=self._inner)
        return Start(passes, number, epoch, skip=stepped and epoch is not None)

    def step(self) -> None:
        """`Trial.step` was called."""
        for passes in (self._inside, self._outside):
            if passes.in_flight:
                passes.stepped[-1] = True

    def end_epoch(self) -> None:
        """What was begun in the epoch is over; what was begun outside goes on."""
        self._inside = Passes()
        self._saved.pop("inside", None)

    @property
    def in_flight(self) -> bool:
        """Whether the middle of an epoch can be found again by this loader."""
        return self._inside.in_flight

    @property
    def goes_on(self) -> bool:
        """Whether a pass of the checkpoint is, or is to be, taken up in its middle."""
        return any(passes.in_flight for passes in self._saved.values())

    @property
    def in_first_pass(self) -> bool:
        """Whether the first pass outside of epochs is under way: it is its own place."""
        return self._outside.in_flight and len(self._outside.stepped) == 1

    def capture(self, inner: Any, source: Any) -> dict[str, Any]:
        """A tree for a checkpoint; ``inner`` is what the loader itself needs to go on."""
        return {
            "inside": _to_tree(self._inside),
            "outside": _to_tree(self._outside),
            "inner": inner if self._inside.in_flight or self._outside.in_flight else None,
            "source": None if self.transient and not self._inside.stepped else source,
        }

    def resume(self, tree: dict[str, Any], looped: bool) -> None:
        """Go on from a captured tree. ``looped``: the trial uses `Trial.epochs`.

        Code outside of epochs is executed again from the start in such a trial, and with it the
        passes there; without epochs they go on where they were.
        """
        self._saved = {"inside": Passes(**tree["inside"]), "outside": Passes(**tree["outside"])}
        self._inner, self.source = tree["inner"], tree["source"]
        outside = self._saved["outside"]
        if not looped:
            over = len(outside.stepped) - (1 if outside.in_flight else 0)
            self._outside.stepped = outside.stepped[:over]


def _to_tree(passes: Passes) -> dict[str, Any]:
    return {"stepped": list(passes.stepped), "batches": passes.batches}
