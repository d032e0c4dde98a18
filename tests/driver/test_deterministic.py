"""`deterministic: true` in whole studies: slots, timing and kills leave the tables as they are."""

from __future__ import annotations

import json
import random
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import PROGRAMS, Project
from test_kill import PARAMETERS, exact_spec, final_states, last_event, state_of, tables, until

TRIALS = 16
KILLS = 5
BEGUN_WITHIN_S = 600.0
"""Ray, and as many workers as slots that import torch, on a machine with other work."""


ENDED: dict[str, dict[str, Any]] = {
    "median": {},
    "asha": {"early_terminate": {"type": "asha", "reduction_factor": 2, "max_resource": 4}},
    "hyperband": {
        "early_terminate": {"type": "hyperband", "reduction_factor": 2, "max_resource": 4}
    },
    "pbt": {
        "method": {"name": "pbt", "perturbation_interval": 1, "quantile_fraction": 0.4},
        "early_terminate": None,
        "parameters": PARAMETERS | {"width": {"value": 4}},  # a fork must fit
        "trials": 5,
    },
}
"""By what ends trials early, what a spec says of it besides that of `exact_spec`."""


def ordered_spec(project: Project, slots: int, **more: Any) -> Path:
    content: dict[str, Any] = {
        "program": "uneven:train",
        "trials": TRIALS,
        "deterministic": True,
        "window": 6,
        "concurrency": slots,
        "resources": {"cpu": 0.5},
    }
    return exact_spec(project, "study", **(content | more))


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ended", ENDED)
def test_slots_timing_and_kills_leave_the_same_bits(tmp_path: Path, ended: str) -> None:
    """1, 2 and 4 slots at another pace each, two of them killed: equal tables and weights."""
    ends = []
    for slots in (1, 2, 4):
        root = tmp_path / str(slots)
        root.mkdir()
        for name in ("exact.py", "uneven.py"):
            (root / name).write_bytes((PROGRAMS / name).read_bytes())
        (root / "pace").write_text(str(slots))
        project = Project(root)
        spec = ordered_spec(project, slots, **ENDED[ended])
        killed = 0 if slots == 1 else killed_often(project, spec, slots)
        end = project.start("run", spec, *(["--inline"] if slots == 1 else []))
        out, err = end.communicate(timeout=BEGUN_WITHIN_S)
        assert end.returncode == 0, err
        assert killed == (0 if slots == 1 else KILLS)
        assert "of the slot time" in out
        assert project.call("replay", "study").returncode == 0
        ends.append((tables(project), final_states(project)))
    (whole, weights), *others = ends
    assert {"PRUNED", "COMPLETE"} <= set(whole["trials"]["state"])
    for found, states in others:
        for name, frame in found.items():
            pd.testing.assert_frame_equal(frame, whole[name], obj=name, check_exact=True)
        assert states == weights


def _reached(project: Project, process: subprocess.Popen[str], event: int) -> bool:
    return last_event(project) >= event or process.poll() is not None


def killed_often(project: Project, spec: Path, seed: int) -> int:
    """SIGKILL the driver at random instants, `KILLS` times; how often it came to that."""
    chooser, kills = random.Random(seed), 0
    while kills < KILLS:
        process = project.start("run", spec)
        wanted = last_event(project) + chooser.randint(5, 60)
        reached = partial(_reached, project, process, wanted)
        until(reached, within=BEGUN_WITHIN_S)
        assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
        kills += 1
    return kills


def test_what_waiting_costs_is_said(project: Project) -> None:
    """The end of a run and `sweep show` give the share of slot time lost, and others do not."""
    spec = project.spec("s", deterministic=True, window=2, trials=4)
    done = project.run("run", spec, "--inline")
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.startswith("s: ")
    assert "of the slot time" in line
    assert "(deterministic, window 2)" in line
    assert line.removeprefix("s: ") in project.call("show", "s").stdout
    assert 0 <= json.loads(project.call("show", "s", "--json").stdout)["lost"] < 1
    assert state_of(project, "s").idling.slots == 1
    plain = project.run("run", project.spec("p"), "--inline")
    assert "slot time" not in plain.stdout
    refused = project.run("run", spec, "--inline", "--set", "deterministic=false")
    assert refused.returncode == 2
    assert "deterministic: true -> false" in refused.stderr
