"""The next suggestion, prepared while trials run, so that no slot waits for the sampler.

It is made in a thread, as the search would have made it when that began, and recorded once it is
there, with the event up to which it knew the journal. Until then it is nothing: a kill loses no
more than its time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Literal

from sweep.journal.event import TrialAsked
from sweep.journal.state import StudyState
from sweep.search.search import Ahead, Search

PAYS_FROM = 0.02
"""The part of a trial's time that an ask must take for it to be prepared (`lookahead: auto`)."""

WORTH_S = 0.001
"""An ask that takes less than this is over sooner than a thread has heard of it."""

RECENT = 16
"""So many asks and trials tell what they take."""


class Lookahead:
    """Prepares one suggestion at a time for one study."""

    def __init__(self, search: Search, wanted: bool | Literal["auto"]) -> None:
        """``wanted`` is ``lookahead`` of the spec, False where it must not be."""
        self._search, self._wanted = search, wanted
        self._pending: Future[TrialAsked] | None = None
        self._asks: deque[float] = deque(maxlen=RECENT)
        self._jobs: SimpleQueue[tuple[Ahead, Future[TrialAsked]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether a suggestion is there, or an error."""
        return self._pending is not None and self._pending.done()

    def ask(self, state: StudyState) -> TrialAsked:
        """The next suggestion: the prepared one, which may have to be waited for, or a new one.

        Raises:
            SweepError: as `Search.ask`.
        """
        if self._pending is not None:
            pending, self._pending = self._pending, None
            asked = pending.result()
            if asked.trial == len(state.trials):  # else a fork has taken its number meanwhile
                return asked
        return self._timed(lambda: self._search.ask(state))

    def begin(self, state: StudyState) -> None:
        """Prepare what comes after ``state``, where that pays and is not under way."""
        if self._pending is not None or not self._pays(state):
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lookahead", daemon=True)
            self._thread.start()
        self._pending = Future[TrialAsked]()
        self._jobs.put((self._search.ahead(state), self._pending))

    def close(self) -> None:
        """Return when nothing is under way; what was prepared is forgotten."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.exception()
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            ahead, prepared = job
            try:
                prepared.set_result(self._timed(ahead.ask))
            except BaseException as error:  # noqa: BLE001  raised where it is asked for
                prepared.set_exception(error)
            del job, ahead, prepared  # what they hold is not to wait for the next

    def _timed(self, ask: Callable[[], TrialAsked]) -> TrialAsked:
        begun = time.perf_counter()
        asked = ask()
        self._asks.append(time.perf_counter() - begun)
        return asked

    def _pays(self, state: StudyState) -> bool:
        if self._wanted != "auto":
            return self._wanted
        executing = sum(trial.executing for trial in state.running.values())
        if executing < 2 or not self._asks:
            # With one slot the next trial would never be asked with the result of the last.
            return False
        recent = [state.trials[each.trial].duration for each in state.iterations[-RECENT:]]
        return bool(recent) and pays(sum(self._asks) / len(self._asks), sum(recent) / len(recent))


def pays(ask_s: float, trial_s: float) -> bool:
    """Whether an ask of ``ask_s`` seconds is a notable part of a trial of ``trial_s``."""
    return ask_s > max(WORTH_S, PAYS_FROM * trial_s)
