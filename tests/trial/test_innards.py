"""What is found in a dataset beside its data, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trial_harness import Recorder, Runner

from sweep.trial.innards import Innards
from sweep.trial.outcome import Outcome


class Settings(dict[str, Any]):
    """What many programs keep their settings in: a name that is not there is a KeyError."""

    __getattr__ = dict.__getitem__


class Holder:
    """An object with attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Lazy(torch.utils.data.Dataset[Any]):
    """Reads its data when it is first asked for an item."""

    def __init__(self) -> None:
        self.ready, self.where, self.asked = False, None, 0
        self.items: Any = None

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if not self.ready:
            self.items = [torch.full((2,), float(place)) for place in range(8)]
            self.ready, self.where = True, "a directory of this attempt"
        self.asked += 1
        return self.items[index]


def test_objects_that_answer_to_any_name_are_looked_into() -> None:
    """A dictionary whose attributes are its items does not break the loader that finds it."""
    held = Holder(settings=Settings(rate=0.1), count=3)
    assert Innards(dataset=held).plain()["dataset.count"] == 3


def test_what_describes_data_that_is_gone_is_not_put_back() -> None:
    """A flag that says that data was read comes from the process that has read it; counts stay."""
    lazy = Lazy()
    innards = Innards(dataset=lazy)
    lazy[0]
    tree = innards.capture()
    again = Lazy()
    Innards(dataset=again).restore(tree)
    assert (again.ready, again.where, again.asked) == (False, None, 1)
    assert again[7].tolist() == [7.0, 7.0]


def test_flags_of_objects_that_have_read_nothing_are_put_back() -> None:
    """A flag that is turned with each pass is part of where a pass stands."""
    held = Holder(turned=False, name="", items=[object()])
    innards = Innards(dataset=held)
    held.turned, held.name = True, "second"
    again = Holder(turned=False, name="", items=[object()])
    Innards(dataset=again).restore(innards.capture())
    assert (again.turned, again.name) == (True, "second")


def lazily(trial: Any) -> None:
    """Trains on such a dataset."""
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trial.track(model=model, optimizer=optimizer)
    loader = trial.loader(Lazy(), batch_size=2, shuffle=True)
    for _ in trial.epochs(3):
        for batch in loader:
            optimizer.zero_grad()
            loss = model(batch).pow(2).mean()
            loss.backward()
            optimizer.step()
            trial.step()
        trial.report(loss=loss.item())


def test_a_dataset_that_reads_its_data_lazily_resumes(tmp_path: Path) -> None:
    """A trial that was stopped in the middle of an epoch reads its data again and ends alike."""
    whole = Runner(tmp_path / "whole", lazily)
    whole.run()
    runner = Runner(tmp_path / "stopped", lazily)
    assert runner.run(Recorder(stop_at=6)).ended.outcome is Outcome.STOPPED
    resumed = runner.run()
    assert resumed.ended.outcome is Outcome.COMPLETE, resumed.ended.error
    assert runner.reports == whole.reports
