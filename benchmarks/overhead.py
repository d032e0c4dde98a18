"""What a checkpoint every 10 s costs the training of ``trials/chars.py``: at most 2 % (goal).

Both kinds of run are interleaved, each in a process of its own, and medians are compared. With
``--memory``: the peak memory and the time of a step with and without gradient checkpointing.
Run: ``python benchmarks/overhead.py [--repeat N] [--seconds S] [--memory]``.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
INTERVAL_S = 10.0
PARAMS = {
    "megabytes": 2.0,
    "width": 128,
    "heads": 4,
    "layers": 4,
    "dropout": 0.1,
    "lr": 1e-3,
    "weight_decay": 0.1,
    "batch_size": 32,
    "accumulate": 1,
    "warmup": 10,
    "epochs": 1000,
}


class Finished(Exception):  # noqa: N818  ends the training after the time to measure
    pass


def rate(every_s: float | None, seconds: float) -> dict[str, float]:
    """Training steps a second over ``seconds``, and how many checkpoints were saved in them."""
    from sweep.checkpoint.policy import Policy
    from sweep.trial.attempt import run_attempt
    from sweep.trial.message import Assignment, Ended, Message, Saved, Verdict
    from sweep.trial.trial import Trial

    saved, steps, begun = 0, 0, 0.0

    class Link:
        stopping = False

        def send(self, message: Message) -> None:
            nonlocal saved
            saved += isinstance(message, Saved)
            if isinstance(message, Ended) and "Finished" not in (message.reason or ""):
                raise RuntimeError(message.error or message.reason)

        def verdict(self) -> Verdict:
            return Verdict.CONTINUE

    real = Trial.step

    def step(self: Trial) -> None:
        nonlocal steps, begun
        real(self)
        steps += 1
        if steps == WARM_UP:
            begun = time.monotonic()
        elif steps > WARM_UP and time.monotonic() - begun >= seconds:
            raise Finished

    Trial.step = step  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as root:
        run_attempt(
            Assignment(
                study="overhead",
                trial=0,
                attempt=1,
                session=1,
                params=PARAMS,
                seed=0,
                program="chars:train",
                project=str(ROOT / "trials"),
                root=root,
                policy=Policy(seconds=every_s),
            ),
            Link(),
        )
    return {"rate": (steps - WARM_UP) / (time.monotonic() - begun), "saved": saved}


WARM_UP = 5
"""Steps that are not measured."""


def memory(recompute: bool) -> dict[str, float]:
    """Peak memory above that of the model, in MB, and seconds a step, for long sequences."""
    import torch
    from torch.nn import functional

    sys.path.insert(0, str(ROOT / "trials"))
    import chars

    torch.manual_seed(0)
    model = chars.Transformer(128, 4, 8, 0.1, recompute=recompute)
    inputs = torch.randint(0, 128, (64, chars.CONTEXT))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    for _ in range(STEPS):
        model.zero_grad()
        functional.cross_entropy(model(inputs).flatten(0, 1), inputs.flatten()).backward()
    step_s = (time.monotonic() - begun) / STEPS
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"megabytes": (after - before) / 1024, "step_s": step_s}


STEPS = 3


def alone(*arguments: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def compare_rates(repeat: int, seconds: float) -> None:
    plain, saving = [], []
    for _ in range(repeat):
        plain.append(alone("--one", "plain", "--seconds", str(seconds)))
        saving.append(alone("--one", "saving", "--seconds", str(seconds)))
    before = statistics.median(each["rate"] for each in plain)
    after = statistics.median(each["rate"] for each in saving)
    count = statistics.median(each["saved"] for each in saving)
    print(f"without checkpoints {before:7.2f} steps/s")
    print(f"every {INTERVAL_S:g} s          {after:7.2f} steps/s ({count:g} saved)")
    print(f"slower by {1 - after / before:.2%} (median of {repeat}; goal: at most 2 %)")


def compare_memory(repeat: int) -> None:
    rows = {"kept": "memory", "recomputed": "recomputed"}
    found = {name: [alone("--one", what) for _ in range(repeat)] for name, what in rows.items()}
    for name, each in found.items():
        megabytes = statistics.median(one["megabytes"] for one in each)
        step_s = statistics.median(one["step_s"] for one in each)
        print(f"activations {name:10}: {megabytes:6.0f} MB, {step_s:.2f} s a step")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--one", choices=["plain", "saving", "memory", "recomputed"])
    given = parser.parse_args()
    match given.one:
        case "plain" | "saving":
            print(json.dumps(rate(INTERVAL_S if given.one == "saving" else None, given.seconds)))
        case "memory" | "recomputed":
            print(json.dumps(memory(given.one == "recomputed")))
        case None if given.memory:
            compare_memory(given.repeat)
        case None:
            compare_rates(given.repeat, given.seconds)


if __name__ == "__main__":
    main()
