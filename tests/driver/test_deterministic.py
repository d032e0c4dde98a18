"""`deterministic: true` in whole studies: slots, timing and kills leave the tables as they are."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pandas as pd
import pytest
from conftest import PROGRAMS, Project
from test_kill import exact_spec, final_states, last_event, state_of, tables, until

TRIALS = 14
KILLS = 10


def ordered_spec(project: Project, slots: int) -> Path:
    return exact_spec(
        project,
        "study",
        program="uneven:train",
        trials=TRIALS,
        deterministic=True,
        window=6,
        concurrency=slots,
        resources={"cpu": 0.5},
    )


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["tpe", {"name": "cmaes", "n_startup_trials": 4}])
def test_slots_timing_and_kills_leave_the_same_bits(tmp_path: Path, method: object) -> None:
    """1, 2 and 4 slots at another pace each, two of them killed: equal tables and weights."""
    ends = []
    for slots in (1, 2, 4):
        root = tmp_path / str(slots)
        root.mkdir()
        for name in ("exact.py", "uneven.py"):
            (root / name).write_bytes((PROGRAMS / name).read_bytes())
        (root / "pace").write_text(str(slots))
        project = Project(root)
        spec = ordered_spec(project, slots)
        spec.write_text(spec.read_text().replace("method: tpe", f"method: {json.dumps(method)}"))
        killed = 0 if slots == 1 else killed_often(project, spec, slots)
        done = project.run("run", spec)
        assert done.returncode == 0, done.stderr
        assert killed == (0 if slots == 1 else KILLS)
        assert "of the slot time" in done.stdout
        assert project.run("replay", "study").returncode == 0
        ends.append((tables(project), final_states(project)))
    (whole, weights), *others = ends
    assert {"PRUNED", "COMPLETE"} <= set(whole["trials"]["state"])
    for found, states in others:
        for name, frame in found.items():
            pd.testing.assert_frame_equal(frame, whole[name], obj=name, check_exact=True)
        assert states == weights


def killed_often(project: Project, spec: Path, seed: int) -> int:
    """SIGKILL the driver at random instants, `KILLS` times at most; how often it came to that."""
    chooser, kills = random.Random(seed), 0
    while kills < KILLS:
        process = project.start("run", spec)
        wanted = last_event(project) + chooser.randint(2, 22)
        until(lambda p=process, w=wanted: last_event(project) >= w or p.poll() is not None)
        if process.poll() is not None:
            return kills
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
