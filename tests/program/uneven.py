"""`exact` at a pace that a file decides: trials take their time, and end out of order."""

from __future__ import annotations

import os
import random
from pathlib import Path

import exact

import sweep

PACE = Path(__file__).with_name("pace")


def train(trial: sweep.Trial) -> None:
    pace = random.Random(f"{PACE.read_text()}:{trial.number}")
    os.environ["STEP_S"] = str(pace.uniform(0.0, 0.04))
    exact.train(trial)
