"""The state of CMA-ES, which travels through the journal."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import FrozenTrial, create_trial
from test_search import Study, simulate, spec_of

from sweep.errors import JournalError
from sweep.journal.event import TrialAsked
from sweep.search.cmaes import Cmaes

METHOD = {"name": "cmaes", "n_startup_trials": 1, "popsize": 4}


def trial_with(state: bytes) -> FrozenTrial:
    return create_trial(value=1.0, system_attrs={"cma:optimizer:0": state.hex()})


def restore(state: bytes) -> Any:
    return Cmaes(always=frozenset(), seed=0)._restore_optimizer([trial_with(state)])


class Intruder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_hostile_state_runs_nothing(tmp_path: Path) -> None:
    """A journal that somebody else has made does nothing but raise."""
    with pytest.raises(JournalError, match=r"no state of CMA-ES: it names pathlib\.Path\.touch"):
        restore(pickle.dumps(Intruder(tmp_path / "was_here")))
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize("state", [b"", b"\x80", pickle.dumps(np.random.RandomState(1))])
def test_what_is_no_state_is_named(state: bytes) -> None:
    with pytest.raises(JournalError, match="the journal has no state of CMA-ES"):
        restore(state) if state else Cmaes(always=frozenset())._restore_optimizer(
            [create_trial(value=1.0, system_attrs={"cma:optimizer:0": "zz"})]
        )


def test_nothing_of_the_memory_is_written_down() -> None:
    """The same study writes the same states, wherever its arrays happened to lie."""
    wrote = []
    for size in (3, 1000, 40_000):
        np.full(size, 7.7)  # leaves memory behind that the next array of its size gets
        study = Study(spec_of(METHOD))
        simulate(study, 12, 1, rebuild=False)
        asked = [entry.event for entry in study.entries if isinstance(entry.event, TrialAsked)]
        wrote.append([event.wrote for event in asked])
    assert any("cma:optimizer:0" in each.get("trial", {}) for each in wrote[0])
    assert wrote[0] == wrote[1] == wrote[2]
