"""One attempt leaves nothing to the next, and takes no more than its share."""

from __future__ import annotations

import logging
import os
import random
import sys
from pathlib import Path

import numpy as np
import torch
from trial_harness import Runner
from trial_programs import counting

from sweep.trial.outcome import Outcome


def test_seed_follows_from_study_and_trial(tmp_path: Path) -> None:
    """What a trial draws depends on the study's seed and its number, and on nothing else."""

    def draws(**fields: int) -> list[float]:
        drawn: list[float] = []

        def train(trial):
            drawn.extend([random.random(), np.random.rand(), torch.rand(()).item(), trial.seed])

        Runner(tmp_path, train, **fields).run()
        return drawn

    first = draws(seed=1, trial=5)
    random.seed(1234)
    torch.rand(7)
    assert draws(seed=1, trial=5) == first
    for other in (draws(seed=2, trial=5), draws(seed=1, trial=6)):
        assert all(one != another for one, another in zip(first, other, strict=True))


def test_nothing_leaks_into_the_next_attempt(tmp_path: Path) -> None:
    """An attempt may change the process as it likes; the next one finds it as it was."""

    def messy(trial):
        logging.basicConfig(level=logging.DEBUG, force=True)
        trial.log.addHandler(logging.NullHandler())
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.set_default_device("meta")
        os.environ["MESSY"] = "1"
        os.chdir("/")
        sys.path.insert(0, "/messy")
        raise ValueError("and fails")

    def probe() -> dict[str, object]:
        found: dict[str, object] = {}

        def look(trial):
            root = logging.getLogger()
            found.update(
                handlers=list(root.handlers),
                own=len(trial.log.handlers),
                level=root.level,
                grad=torch.is_grad_enabled(),
                dtype=torch.get_default_dtype(),
                deterministic=torch.are_deterministic_algorithms_enabled(),
                device=torch.get_default_device(),
                environment=dict(os.environ),
                directory=Path.cwd(),
                path=list(sys.path),
                drawn=[random.random(), np.random.rand(), torch.rand(()).item()],
            )

        assert Runner(tmp_path, look).run().ended.outcome is Outcome.COMPLETE
        return found

    before = probe()
    for _ in range(2):
        assert Runner(tmp_path, messy).run().ended.reason == "ValueError: and fails"
    assert probe() == before


def test_failed_attempt_lets_go_of_what_it_held(tmp_path: Path) -> None:
    """The objects of a failed trial are freed although a traceback of it was taken."""
    import weakref

    kept = []

    def train(trial):
        model = torch.nn.Linear(2, 2)
        kept.append(weakref.ref(model))
        trial.track(model=model)
        raise ValueError("x")

    Runner(tmp_path, train).run()
    import gc

    gc.collect()
    assert kept[0]() is None


def test_threads(tmp_path: Path) -> None:
    """Torch and what is told by the environment use as many threads as the trial has."""
    found = []

    def train(trial):
        found.append((torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))

    before = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            Runner(tmp_path, train, threads=count).run()
    finally:
        torch.set_num_threads(before)
    assert found == [(1, "1"), (2, "2"), (1, "1")]


def test_directory(tmp_path: Path) -> None:
    """Each attempt has a scratch directory of its own, made only where it is asked for."""
    found = []

    def train(trial):
        trial.track()
        found.extend(trial.directory for _ in trial.epochs(2))

    runner = Runner(tmp_path, train)
    runner.until_done([1])
    assert found == [tmp_path / "scratch" / "00003" / "1.1", tmp_path / "scratch/00003/1.2"]
    assert all(path.is_dir() for path in found)
    Runner(tmp_path / "other", counting).run()
    assert not (tmp_path / "other" / "scratch").exists()
