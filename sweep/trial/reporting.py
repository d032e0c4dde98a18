"""What a trial reports: at which step, whether it is new to the driver, and the verdict on it."""

from __future__ import annotations

from sweep.trial.inventory import Inventory
from sweep.trial.message import Link, Reported, Verdict
from sweep.trial.metric import Report
from sweep.trial.saving import Saving
from sweep.trial.setting import Setting


class Reporting:
    """The reports of one attempt.

    Attributes:
        reports: all so far, one for each step.
        stop: whether the driver has answered one with STOP.
        room: whether it has answered one with YIELD.
    """

    def __init__(
        self,
        setting: Setting,
        link: Link,
        inventory: Inventory,
        saving: Saving,
        *,
        preamble: bool,
    ) -> None:
        """``preamble``: what comes before the epochs has been reported by an earlier attempt."""
        self._setting, self._link, self._saving = setting, link, saving
        self._position, self._loaders = inventory.position, inventory.loaders
        self._measurement = inventory.measurement
        self._preamble, self._beside, self._last = preamble, 0, False
        self.reports: list[Report] = []
        self.stop = self.room = False

    @property
    def count(self) -> int:
        """Changes with every report at this place of the trial."""
        return self._beside + len(self._position.partial)

    def end_preamble(self) -> None:
        """A loop over the epochs is reached that is not over."""
        self._preamble = False

    def begin_epoch(self, *, last: bool) -> None:
        """``last``: no other epoch follows in this loop."""
        self._beside, self._last = 0, last

    def report(self, metrics: dict[str, float]) -> None:
        """Report ``metrics`` for where the trial stands."""
        position = self._position
        if position.within:
            if not self._loaders.waiting:  # else it is what the checkpoint contains already
                first = not self.reports or self.reports[-1].step != position.epoch
                position.partial |= metrics
                # A driver replaces what an earlier attempt said, so the first must be whole.
                self._send(position.epoch, dict(position.partial) if first else metrics)
        elif position.looped:
            if not self._preamble:
                self._beside += 1
                self._send(position.epoch + self._beside - 1, metrics)
        else:
            position.reports += 1
            self._send(position.reports - 1, metrics)

    def _send(self, step: int, metrics: dict[str, float]) -> None:
        position = self._position
        position.step = max(step, position.step or 0)
        position.metrics |= metrics
        self._measurement.reported(metrics)
        if self.reports and self.reports[-1].step == step:
            self.reports[-1] |= metrics
        else:
            self.reports.append(Report(step, metrics))
        self._saving.reported(metrics)
        last = self._last and position.within
        self._link.send(Reported(step=step, metrics=dict(metrics), last=last))
        if self._setting.verdicts and self._setting.metric in metrics:
            verdict = self._link.verdict()
            position.prune |= verdict is Verdict.PRUNE
            position.pause |= verdict is Verdict.PAUSE
            self.stop |= verdict is Verdict.STOP
            self.room |= verdict is Verdict.YIELD
