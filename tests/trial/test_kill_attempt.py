"""An attempt in a process of its own, killed with SIGKILL at random instants, goes on exactly."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from trial_harness import PROJECT, Runner, same

from sweep.checkpoint.store import CheckpointStore

WORKER = """
import json, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from sweep.checkpoint.policy import Policy
from sweep.trial.message import Ended, Saved
from trial_harness import Recorder, Runner

class Told(Recorder):
    def send(self, message):
        if isinstance(message, (Saved, Ended)):
            print(json.dumps(message.record.manifest if isinstance(message, Saved)
                             else [message.outcome, message.error]), flush=True)

runner = Runner(Path(sys.argv[1]), "trial_programs:train", params={"epochs": 20},
                policy=Policy(steps=1), session=int(sys.argv[3]))
runner.known = json.loads(sys.argv[4])
runner.run(Told())
"""


def work(root: Path, session: int, known: list[str], delay: float | None) -> list[object]:
    """What an attempt said until its end, or until it was killed ``delay`` s after it began."""
    command = [sys.executable, "-c", WORKER, str(root), PROJECT, str(session), json.dumps(known)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        said = [worker.stdout.readline()]
        if delay is not None:
            time.sleep(delay)  # a random instant is what this test is about
            worker.kill()
        said += worker.stdout.readlines()
    return [json.loads(line) for line in said if line.endswith("\n")]


def test_killed_at_random_instants(tmp_path: Path) -> None:
    """After any kill the trial goes on from the last durable step, and ends with the same bits."""
    whole = Runner(tmp_path / "whole", "trial_programs:train", params={"epochs": 20})
    expected = whole.final(whole.run())

    instants, known = random.Random(3), list[str]()
    for session in (1, 2, 3):
        said = work(tmp_path / "killed", session, known, instants.uniform(0, 0.3))
        saved = [manifest for manifest in said if isinstance(manifest, str)]
        if len(saved) < len(said):
            break  # it was complete before it was killed
        assert not known or saved[0] > known[-1]
        known += saved
    else:
        *saved, (outcome, error) = work(tmp_path / "killed", 4, known, None)
        assert outcome == "complete", error
    found = CheckpointStore(tmp_path / "killed" / "checkpoints").read(saved[-1])
    assert found.manifest.id == "3@20.120.final"
    assert same(found.tree["tracked"], expected)
