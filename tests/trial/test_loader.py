"""Loaders in every kind of loop: what they yield over interruptions is what they yield without."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler
from trial_harness import Recorder, Runner

from sweep.checkpoint.policy import Policy
from sweep.errors import UsageError
from sweep.trial.outcome import Outcome
from sweep.trial.trial import Trial

Program = Callable[[Any], Any]


def note(trial, *values: Any) -> None:
    """Write down what was seen, with a random number of the time, where it is saved."""
    flat = [value.tolist() if isinstance(value, torch.Tensor) else value for value in values]
    trial.state.setdefault("seen", []).append([*flat, random.random(), torch.rand(()).item()])


def seen(runner: Runner, link: Recorder) -> list[Any]:
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    return runner.store.read(link.records[-1].manifest).tree["state"]["seen"]


def check_every_stop(tmp_path: Path, program: Program) -> list[Any]:
    """Stopped anywhere, and once more two safe points later, ``program`` sees the same."""
    whole = Runner(tmp_path / "whole", program)
    link = whole.run()
    expected = seen(whole, link)
    for stop in range(1, link.safe_points + 1):
        other = Runner(tmp_path / str(stop), program)
        assert seen(other, other.until_done([stop, 2])) == expected, stop
        assert other.reports == whole.reports
    return expected


def data(count: int = 7) -> list[int]:
    return list(range(count))


def test_break(tmp_path: Path) -> None:
    """A pass that was left early is over: the next epoch begins a new one."""

    def train(trial):
        loader = trial.loader(data(), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(3):
            for batch in loader:
                note(trial, batch)
                if len(trial.state["seen"]) % 2 == 0:
                    break
                trial.step()

    check_every_stop(tmp_path, train)


def test_two_loaders_side_by_side(tmp_path: Path) -> None:
    """Two loaders that are iterated together go on together."""

    def train(trial):
        one = trial.loader(data(), batch_size=2, shuffle=True)
        two = trial.loader(data(9), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(2):
            for left, right in zip(one, two, strict=False):
                note(trial, left, right)
                trial.step()

    check_every_stop(tmp_path, train)


def test_two_loaders_one_after_the_other(tmp_path: Path) -> None:
    """A training pass that was over before the checkpoint is not made again."""

    def train(trial):
        one = trial.loader(data(5), batch_size=2, shuffle=True)
        two = trial.loader(data(5), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(2):
            for batch in itertools.chain(one, two):
                note(trial, batch)
                trial.step()

    check_every_stop(tmp_path, train)


def test_same_loader_twice_in_an_epoch(tmp_path: Path) -> None:
    """Two passes over one loader in an epoch are shuffled apart, and counted."""

    def train(trial):
        loader = trial.loader(data(5), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(2):
            for which in range(2):
                for batch in loader:
                    note(trial, which, batch)
                    trial.step()

    check_every_stop(tmp_path, train)


def test_evaluation_before_training(tmp_path: Path) -> None:
    """An evaluation before the training of an epoch runs again, and its report stands."""

    def train(trial):
        held_out = trial.loader(data(4), batch_size=2)
        loader = trial.loader(data(5), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(2):
            total, count = 0.0, 0
            for batch in held_out:
                total, count = total + batch.sum().item() + torch.rand(()).item(), count + 1
            trial.report(before=total / count)
            for batch in loader:
                note(trial, batch)
                trial.step()
            trial.report(after=random.random())

    check_every_stop(tmp_path, train)


def test_look_at_a_batch_before_training(tmp_path: Path) -> None:
    """A batch that is drawn before the epochs is the same each time and takes nothing away."""

    def train(trial):
        loader = trial.loader(data(), batch_size=2, shuffle=True)
        first = next(iter(loader))
        trial.track()
        for _ in trial.epochs(2):
            for batch in loader:
                note(trial, first, batch)
                trial.step()

    check_every_stop(tmp_path, train)


def test_iterator_that_outlives_epochs(tmp_path: Path) -> None:
    """An iterator made before the epochs goes on over their ends, and over resumes."""

    def train(trial):
        batches = iter(trial.loader(data(20), batch_size=2, shuffle=True))
        trial.track()
        for _ in trial.epochs(4):
            note(trial, next(batches), next(batches))
            trial.report(loss=1)

    check_every_stop(tmp_path, train)


def test_iterator_made_in_each_epoch(tmp_path: Path) -> None:
    """An iterator of an epoch ends with it, also where a variable still refers to it."""

    def train(trial):
        loader = trial.loader(data(), batch_size=2, shuffle=True)
        trial.track()
        for _ in trial.epochs(3):
            batches = iter(loader)
            for _ in range(2):
                note(trial, next(batches))
                trial.step()

    whole = Runner(tmp_path / "whole", train)
    link = whole.run()
    # In the middle of an epoch `range` begins anew, so only the ends of epochs are looked at.
    for stop in (3, 6):
        other = Runner(tmp_path / str(stop), train)
        assert seen(other, other.until_done([stop])) == seen(whole, link)


def test_loader_made_in_each_epoch(tmp_path: Path) -> None:
    """A loader that is made anew in each epoch has the place of the one before."""

    def train(trial):
        trial.track()
        for epoch in trial.epochs(3):
            loader = trial.loader(data(3 + epoch), batch_size=2, shuffle=True)
            for batch in loader:
                note(trial, batch)
                trial.step()

    expected = check_every_stop(tmp_path, train)
    assert len(expected) == 2 + 2 + 3


def test_loader_without_epochs(tmp_path: Path) -> None:
    """Without epochs a pass goes on in the middle, and later passes are new ones."""

    def train(trial):
        loader = trial.loader(data(5), batch_size=2, shuffle=True)
        trial.track()
        while trial.state.get("passes", 0) < 3:
            for batch in loader:
                note(trial, batch)
                trial.step()
            trial.state["passes"] = trial.state.get("passes", 0) + 1

    check_every_stop(tmp_path, train)


class Odd(Sampler):
    """A sampler that draws as it goes and does not know its length."""

    def __iter__(self):
        for index in range(1, 9, 2):
            yield (index + random.randrange(2)) % 7


class Drawn(Sampler):
    """A sampler that draws from the global generators."""

    def __len__(self):
        return 5

    def __iter__(self):
        return iter(random.sample(range(7), 5))


def test_sampler_that_draws_globally(tmp_path: Path) -> None:
    """A sampler of the user's own is asked once per pass; a resume takes its first answer."""

    def train(trial):
        loader = trial.loader(data(), batch_size=2, sampler=Drawn())
        trial.track()
        for _ in trial.epochs(2):
            for batch in loader:
                note(trial, batch)
                trial.step()

    check_every_stop(tmp_path, train)


def test_sampler_without_length() -> None:
    """A sampler that may be endless is asked for an index at a time."""
    trial = Trial.offline({})
    batches = list(trial.loader(data(), batch_size=3, sampler=Odd()))
    assert [len(batch) for batch in batches] == [3, 1]


@pytest.mark.parametrize("batch_size", [None, 1, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_batch_sizes(tmp_path: Path, batch_size: int | None, workers: int) -> None:
    """Without batches, with single ones and with uneven ones a pass goes on where it was."""

    def train(trial):
        loader = trial.loader(data(7), batch_size=batch_size, shuffle=True, num_workers=workers)
        trial.track()
        for _ in trial.epochs(2):
            for batch in loader:
                note(trial, batch)
                trial.step()

    whole = Runner(tmp_path / "whole", train)
    expected = seen(whole, whole.run())
    other = Runner(tmp_path / "other", train)
    assert seen(other, other.until_done([2, 1])) == expected


class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return index + torch.rand(())


def test_augmentation_does_not_depend_on_the_number_of_workers() -> None:
    """Each batch has a seed of its own, so any number of worker processes makes the same."""

    def batches(workers: int) -> list[list[float]]:
        trial = Trial.offline({})
        loader = trial.loader(Noisy(), batch_size=2, shuffle=True, num_workers=workers)
        return [batch.tolist() for _ in trial.epochs(2) for batch in loader]

    assert batches(1) == batches(2)
    assert len({value for batch in batches(1) for value in batch}) == 16


def test_order_depends_on_the_trial_alone() -> None:
    """What else draws random numbers changes no order; epochs, names and seeds do."""

    def order(seed: int = 0, disturb: bool = False, name: str | None = None) -> list[list[int]]:
        trial = Trial.offline({}, seed=seed)
        loader = trial.loader(data(30), batch_size=30, shuffle=True, name=name)
        if disturb:
            torch.rand(9)
            random.random()
        return [batch.tolist() for _ in trial.epochs(2) for batch in loader]

    first = order()
    assert order(disturb=True) == first
    assert first[0] != first[1]
    assert order(seed=1) != first
    assert order(name="other") != first


def test_making_an_iterator_draws_nothing() -> None:
    """The global generators do not notice that a loader is iterated."""
    trial = Trial.offline({})
    expected = torch.rand(3), random.random()
    trial = Trial.offline({})
    for _ in trial.loader(data(), shuffle=True):
        pass
    assert torch.equal(torch.rand(3), expected[0])
    assert random.random() == expected[1]


def test_it_is_a_data_loader() -> None:
    """Whatever wants a DataLoader gets one, with its dataset and sizes."""
    dataset = Noisy()
    loader = Trial.offline({}).loader(dataset, batch_size=3, num_workers=1)
    assert isinstance(loader, DataLoader)
    assert len(loader) == 3
    assert loader.batch_size == 3
    assert loader.dataset is dataset
    batches = iter(loader)
    next(batches)
    assert loader.dataset is dataset


def test_options_that_exclude_each_other() -> None:
    """A sampler and a shuffle are refused together, as torch does."""
    trial = Trial.offline({})
    with pytest.raises(ValueError, match="either a sampler or shuffle"):
        trial.loader(data(), sampler=[1, 2], shuffle=True)
    with pytest.raises(ValueError, match="mutually exclusive"):
        trial.loader(data(), batch_sampler=[[1, 2]], batch_size=3)


def test_a_name_is_one_loaders() -> None:
    """Two loaders of one name would share their place; a name is free when its loader is gone."""
    trial = Trial.offline({})
    loader = trial.loader(data(), name="train")
    with pytest.raises(UsageError, match="'train' is the name of another loader"):
        trial.loader(data(), name="train")
    del loader
    trial.loader(data(), name="train")


def test_loader_that_is_not_made_again_is_a_mismatch(tmp_path: Path) -> None:
    """A checkpoint in the middle of a loader that nobody iterates is no place to go on from."""

    def train(trial):
        name = "one" if trial.directory.name == "1.1" else "other"
        loader = trial.loader(data(), batch_size=2, name=name)
        trial.track()
        for _ in trial.epochs(2):
            for _ in loader:
                trial.step()

    runner = Runner(tmp_path, train)
    runner.run(Recorder(stop_at=2))
    reason = runner.run().ended.reason
    assert reason is not None
    assert (
        "CheckpointMismatchError: checkpoint 3@0.2 is in the middle of the loader 'one'" in reason
    )


class Plain(IterableDataset):
    """A stream without a state."""

    def __iter__(self):
        return iter(range(7))


def test_stream_without_state_is_run_ahead(tmp_path: Path) -> None:
    """A stream that cannot tell its place is run ahead to it."""

    def train(trial):
        loader = trial.loader(Plain(), batch_size=2)
        trial.track()
        for _ in trial.epochs(2):
            for batch in loader:
                note(trial, batch)
                trial.step()

    check_every_stop(tmp_path, train)


class Placed(Plain):
    """A stream that knows its place."""

    def __iter__(self):
        self.at = 0
        return self

    def __next__(self):
        if self.at >= 7:
            raise StopIteration
        self.at += 1
        return self.at

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def test_stream_needs_the_same_number_of_workers(tmp_path: Path) -> None:
    """A stream's place belongs to its worker processes; another number is named on both sides."""

    workers = 0

    def train(trial):
        loader = trial.loader(Placed(), batch_size=2, num_workers=workers)
        trial.track()
        for _ in trial.epochs(2):
            for _ in loader:
                trial.step()

    runner = Runner(tmp_path, train)
    runner.run(Recorder(stop_at=2))
    workers = 1
    reason = runner.run().ended.reason
    assert reason is not None
    assert "saved in the middle of a pass with num_workers=0 and is now made with 1" in reason


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_loader_of_the_users_own_keeps_its_place(tmp_path: Path) -> None:
    """A StatefulDataLoader that is tracked by hand goes on in the middle of an epoch too."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    def train(trial):
        loader = StatefulDataLoader(data(8), batch_size=2)
        trial.track(loader=loader)
        for _ in trial.epochs(2):
            for batch in loader:
                trial.state.setdefault("seen", []).append(batch.tolist())
                trial.step()

    whole = Runner(tmp_path / "whole", train, policy=Policy(steps=1))
    expected = seen(whole, whole.run())
    for stop in (1, 3):
        other = Runner(tmp_path / str(stop), train, policy=Policy(steps=1))
        assert seen(other, other.until_done([stop])) == expected


def test_workers_end_with_the_attempt(tmp_path: Path) -> None:
    """No worker process of a loader outlives the attempt, however it ends."""
    import multiprocessing

    def train(trial):
        loader = trial.loader(data(), num_workers=2, persistent_workers=True)
        trial.track()
        for _ in trial.epochs(2):
            for _ in loader:
                trial.step()
                if trial.params.get("fail"):
                    raise ValueError("x")

    runner = Runner(tmp_path, train)
    runner.run(Recorder(stop_at=2))
    assert multiprocessing.active_children() == []
    runner.run(params={"fail": True})
    assert multiprocessing.active_children() == []
