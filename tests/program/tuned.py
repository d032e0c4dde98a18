"""An experiment of Ray Tune's in a given directory, and in ``known.json`` what Tune says of it."""

import json
import sys
from pathlib import Path

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import BasicVariantGenerator

SHIFT = {"late": 1.0, "blind": -1.0}
"""Late ones are stopped at once, blind ones never."""


def train(config):
    for step in range(1, 5):
        loss = config["optimizer"]["lr"] * (5 - step) + SHIFT.get(config["kind"], 0.0)
        result = {"loss": loss, "eval": {"accuracy": 1 - loss}, "note": "a text"}
        if config["kind"] == "blind" and step == 2:
            result["loss"] = float("nan")
        tune.report(result)
        if config["kind"] == "bad" and step == 2:
            raise ValueError("a bad kind\nof error")
        if config["kind"] == "blind" and step == 2:
            return


if __name__ == "__main__":
    # Without an address it would join whatever cluster it finds on this machine.
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    space = {
        "kind": tune.grid_search(["good", "bad", "late", "blind"]),
        "optimizer": {"lr": tune.loguniform(1e-4, 1e-1), "layers": tune.choice([[8], [8, 8]])},
        "momentum": tune.sample_from(lambda config: len(config["kind"]) / 10),
        "model": lambda: None,
        "flag": True,
    }
    known = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=3,
            search_alg=BasicVariantGenerator(random_state=1),
            reuse_actors=True,
            scheduler=ASHAScheduler(max_t=4, grace_period=1, reduction_factor=4),
        ),
        run_config=tune.RunConfig(storage_path=sys.argv[1], name="tuned", verbose=0),
    ).fit()
    content = [
        {
            "id": each.metrics["trial_id"],
            "failed": each.error is not None,
            "config": {k: v for k, v in each.config.items() if k != "model"},
            "losses": [None if loss != loss else loss for loss in each.metrics_dataframe["loss"]],
        }
        for each in known
    ]
    Path(sys.argv[1], "known.json").write_text(json.dumps(content))
