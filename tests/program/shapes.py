"""Trials of every shape that a loop can have; what they sum up shows a step done twice or never."""

from __future__ import annotations

import random

import sweep


class Sum:
    def __init__(self) -> None:
        self.value = 0.0

    def state_dict(self) -> dict[str, float]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.value = state["value"]


def tracked(trial: sweep.Trial) -> Sum:
    total = Sum()
    trial.track(total=total)
    return total


def epochs(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for _ in trial.epochs(3):
        total.value += trial.params.x + random.random() / 100
        trial.report(loss=total.value)


def preamble(trial: sweep.Trial) -> None:
    total = tracked(trial)
    trial.report(parameters=100)
    for _ in trial.epochs(3):
        total.value += trial.params.x
        trial.report(loss=total.value)


def long_preamble(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for index in range(3):
        trial.report(**{f"base{index}": float(index)})
    for _ in trial.epochs(3):
        total.value += trial.params.x
        trial.report(loss=total.value)


def report_between(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for _ in trial.epochs(2):
        total.value += trial.params.x
        trial.report(loss=total.value)
    trial.report(between=total.value)
    for _ in trial.epochs(4):
        total.value += 10 * trial.params.x
        trial.report(loss=total.value)


def phases(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for _ in trial.epochs(2):
        total.value += trial.params.x
        trial.report(loss=total.value)
    for _ in trial.epochs(4):
        total.value += 10 * trial.params.x
        trial.report(loss=total.value)


def phase_left(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for epoch in trial.epochs(10):
        total.value += trial.params.x
        trial.report(loss=total.value, phase=1)
        if epoch == 1:
            break
    for _ in trial.epochs(4):
        total.value += 10 * trial.params.x
        trial.report(loss=total.value, phase=2)


def in_epoch(trial: sweep.Trial) -> None:
    total = tracked(trial)
    loader = trial.loader(list(range(4)), batch_size=1)
    for _ in trial.epochs(3):
        for batch in loader:
            total.value += trial.params.x
            if int(batch) in (1, 3):
                trial.report(loss=total.value)
            trial.step()


def state_only(trial: sweep.Trial) -> None:
    state = trial.state
    for index in range(state.get("index", 0), 4):
        state["sum"] = state.get("sum", 0.0) + trial.params.x
        state["index"] = index + 1
        trial.report(loss=state["sum"])


def raises_in_the_middle(trial: sweep.Trial) -> None:
    total = tracked(trial)
    for epoch in trial.epochs(3):
        total.value += trial.params.x
        trial.report(loss=total.value)
        if trial.number == 1 and epoch == 1:
            raise ValueError("always")


def nested(trial: sweep.Trial) -> None:
    trial.report(loss=trial.params.x + trial.params.optimizer["lr"])
    assert trial.params.optimizer.name == "sgd"
