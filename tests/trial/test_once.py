"""`Trial.once`: computed once, by one, durably, and without a trace in anybody's random numbers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import until
from trial_harness import PROJECT, Recorder, Runner, same

import sweep
from sweep.checkpoint.memo import MemoStore
from sweep.errors import CheckpointError, UsageError
from sweep.trial.outcome import Outcome

WORKER = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from trial_harness import Runner
root, trial, params = Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
link = Runner(root, "once_light:shared", trial=trial, params=params).run()
assert link.ended.outcome == "complete", link.ended.error
print(json.dumps(link.messages[0].metrics))
"""


def worker(root: Path, trial: int, log: Path, gate: Path) -> subprocess.Popen[str]:
    params = f'{{"log": "{log}", "gate": "{gate}"}}'
    command = [sys.executable, "-c", WORKER, PROJECT, str(root), str(trial), params]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    started.append(process)
    return process


started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_worker_is_left() -> Iterator[None]:
    yield
    while started:
        process = started.pop()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def waiting(root: Path) -> int:
    """How many processes wait for the lock of the study's only memo."""
    found = list((root / "memos" / "study").glob("*.lock"))
    inode = f":{found[0].stat().st_ino} " if found else None
    table = Path("/proc/locks").read_text().splitlines()
    return sum("->" in line and inode is not None and inode in line for line in table)


def release(gate: Path) -> None:
    gate.write_bytes(b"")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


def test_four_processes_compute_once(tmp_path: Path, gate: Path) -> None:
    """Of four trials that ask at the same time one computes; the others wait and have its value."""
    log = tmp_path / "log"
    workers = [worker(tmp_path, trial, log, gate) for trial in range(4)]
    until(lambda: waiting(tmp_path) == 3)
    release(gate)
    said = [process.communicate(timeout=60)[0] for process in workers]
    assert [process.returncode for process in workers] == [0] * 4
    assert [line.split()[0] for line in lines(log)] == ["begin", "end"]
    assert len({text.split(",")[0] for text in said}) == 1
    assert len(set(said)) == 4  # each trial's own numbers are its own
    assert not list(tmp_path.glob("memos/*/*.lock"))


def test_a_killed_one_is_taken_over(tmp_path: Path, gate: Path) -> None:
    """SIGKILL of the trial that computes: a waiting one computes in its place."""
    log = tmp_path / "log"
    first = worker(tmp_path, 0, log, gate)
    until(lambda: lines(log))
    second = worker(tmp_path, 1, log, gate)
    until(lambda: waiting(tmp_path) == 1)
    first.kill()
    first.communicate()
    until(lambda: len(lines(log)) == 2)
    release(gate)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert lines(log) == [
        f"begin {first.pid}",
        f"begin {second.pid}",
        f"end {second.pid}",
    ]


def test_waiting_hears_a_stop(tmp_path: Path, gate: Path) -> None:
    """A trial that waits leaves when it is told to stop; the next attempt has the value."""
    log = tmp_path / "log"
    other = worker(tmp_path, 0, log, gate)
    until(lambda: lines(log))

    class Stopped(Recorder):
        def when_stopping(self, call: Callable[[], None]) -> None:
            threading.Thread(target=call).start()

    params = {"log": str(log), "gate": str(gate)}
    runner = Runner(tmp_path, "once_light:shared", params=params)
    assert runner.run(Stopped()).ended.outcome is Outcome.STOPPED
    assert other.poll() is None
    release(gate)
    other.communicate(timeout=60)
    assert other.returncode == 0
    assert runner.run().ended.outcome is Outcome.COMPLETE
    assert len(lines(log)) == 2


def test_an_abandoned_wait_is_taken_up_again(tmp_path: Path, gate: Path) -> None:
    """Who waits again in the process of a wait that was ended gets the lock, and holds it alone."""
    log = tmp_path / "log"
    other = worker(tmp_path, 0, log, gate)
    until(lambda: lines(log))
    calls: list[Callable[[], None]] = []

    class Stopped(Recorder):
        def when_stopping(self, call: Callable[[], None]) -> None:
            calls.append(call)
            call() if len(calls) == 1 else threading.Thread(target=other.kill).start()

    params = {"log": str(log), "gate": str(gate)}
    runner = Runner(tmp_path, "once_light:shared", params=params)
    assert runner.run(Stopped()).ended.outcome is Outcome.STOPPED

    def let_the_second_one_end() -> None:
        until(lambda: len(lines(log)) == 2)
        release(gate)

    releaser = threading.Thread(target=let_the_second_one_end)
    releaser.start()
    assert runner.run(Stopped()).ended.outcome is Outcome.COMPLETE
    releaser.join()
    other.communicate()
    assert len(calls) == 2
    assert lines(log)[-1] == f"end {os.getpid()}"


def validated(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Runner, Path]:
    log = root / "log"
    root.mkdir()
    monkeypatch.setenv("ONCE_LOG", str(log))
    return Runner(root, "once_programs:validated"), log


def test_a_resumed_trial_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped anywhere, a trial with noisy validations ends the same, and validates 3 times."""
    whole, log = validated(tmp_path / "whole", monkeypatch)
    link = whole.run()
    expected = whole.final(link)
    assert len(lines(log)) == 3
    for place in range(1, link.safe_points + 1):
        runner, log = validated(tmp_path / str(place), monkeypatch)
        assert same(runner.final(runner.until_done([place])), expected), place
        assert runner.reports == whole.reports, place
        assert len(lines(log)) == 3, place


def test_what_was_finished_before_a_kill_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt from the checkpoint before a validation reads it back, with the same end."""
    runner, log = validated(tmp_path / "study", monkeypatch)
    expected = runner.final(runner.run())
    runner.known = runner.known[:1]
    assert same(runner.final(runner.run()), expected)
    assert len(lines(log)) == 3


def test_trials_of_their_own_and_shared_ones(tmp_path: Path) -> None:
    """With scope "trial" each trial computes its own value, other numbers included."""
    log = tmp_path / "log"
    for scope, count in (("trial", 2), ("study", 3)):
        losses = []
        for trial in (1, 2):
            params = {"log": str(log), "gate": str(tmp_path), "scope": scope}
            runner = Runner(tmp_path, "once_light:shared", trial=trial, params=params)
            runner.run()
            losses.append(runner.reports[0]["loss"])
        assert sum(line.startswith("begin") for line in lines(log)) == count
        assert (losses[0] == losses[1]) is (scope == "study")


def used(root: Path, ask: Callable[[Any], Any]) -> Any:
    """What ``ask`` returns within an attempt of trial 3."""
    found: list[Any] = []
    link = Runner(root, lambda trial: found.append(ask(trial))).run()
    if not found:
        raise RuntimeError(link.ended.reason, link.ended.outcome)
    return found[0]


def test_values_come_back_as_they_were_read(tmp_path: Path) -> None:
    """Computed or read back, the value is the same; changing it does not change what is kept."""

    def make() -> dict[str, Any]:
        return {"a": torch.ones(2, requires_grad=True), "b": (1, b"x", np.float32(2)), "n": None}

    def ask(trial: Any) -> Any:
        value = trial.once("v", make)
        value["a"] += 1
        return trial.once("v", make)

    for _ in range(2):
        value = used(tmp_path, ask)
        assert torch.equal(value["a"], torch.ones(2))
        assert not value["a"].requires_grad
        assert value["b"] == (1, b"x", np.float32(2))


def test_changed_code_or_arguments_are_computed_anew(tmp_path: Path) -> None:
    """Another argument, default, closed-over value or line of code gives another value."""

    def made(factor: int) -> Callable[[int], int]:
        return lambda x: x * factor

    def one(x: int, add: int = 1) -> int:
        return x + add

    def two(x: int, add: int = 2) -> int:
        return x + add

    cases: list[tuple[Callable[[int], int], int, int]] = [
        (made(2), 5, 10), (made(3), 5, 15), (made(3), 6, 18), (one, 5, 6), (two, 5, 7),
        (lambda x: x - 1, 5, 4), (lambda x: x - 2, 5, 3),
    ]  # fmt: skip
    for function, argument, expected in cases:
        for _ in range(2):
            assert used(tmp_path, lambda t, f=function, a=argument: t.once("f", f, a)) == expected
    assert len(list(tmp_path.glob("memos/00003/*.json"))) == len(cases)


@pytest.mark.parametrize("pattern", ["*.json", "*.safetensors"])
def test_a_flipped_bit_is_computed_anew(tmp_path: Path, pattern: str) -> None:
    """A flipped bit in either file is noticed; the file is set aside and the value made again."""
    params = {"log": str(tmp_path / "log"), "gate": str(tmp_path)}
    runner = Runner(tmp_path, "once_light:shared", params=params)
    runner.run()
    (path,) = tmp_path.glob(f"memos/study/{pattern}")
    data = bytearray(path.read_bytes())
    # In the manifest: a digit of the time, which nothing but the seal would notice.
    data[data.index(b'"saved":') + 12 if pattern == "*.json" else -1] ^= 1
    path.write_bytes(data)
    before = runner.reports
    assert runner.run().ended.outcome is Outcome.COMPLETE
    assert runner.reports == before
    assert sum(line.startswith("begin") for line in lines(tmp_path / "log")) == 2
    assert path.with_name(f"{path.name}.damaged").read_bytes() == data
    runner.run()
    assert sum(line.startswith("begin") for line in lines(tmp_path / "log")) == 2


def test_an_exception_is_not_kept(tmp_path: Path) -> None:
    """A function that raises is called again by the next one who asks."""
    called = tmp_path / "called"

    def once_bad(path: Path) -> str:
        if not path.exists():
            path.touch()
            raise OSError("no network")
        return "good"

    with pytest.raises(RuntimeError, match="no network"):
        used(tmp_path, lambda trial: trial.once("download", once_bad, called))
    assert used(tmp_path, lambda trial: trial.once("download", once_bad, called)) == "good"


def test_nested_and_recursive(tmp_path: Path) -> None:
    """A function may ask for another value; one that asks for its own is told so."""

    def ask(trial: Any) -> int:
        box.append(trial)
        return trial.once("outer", outer)

    with pytest.raises(RuntimeError, match="the very value that it computes"):
        used(tmp_path, lambda trial: box.append(trial) or trial.once("again", again))
    assert used(tmp_path, ask) == 42


box: list[Any] = []


def outer() -> int:
    return int(box[-1].once("inner", lambda: 41)) + 1


def again() -> int:
    return int(box[-1].once("again", again))


def reports() -> None:
    box[-1].report(loss=1.0)


def test_misuse_is_named(tmp_path: Path) -> None:
    """What cannot be compared or kept is named by its path; reports inside are refused."""

    def asked(*arguments: Any, **options: Any) -> str:
        def ask(trial: Any) -> None:
            box.append(trial)
            trial.once(*arguments, **options)

        with pytest.raises(RuntimeError) as caught:
            used(tmp_path, ask)
        return str(caught.value.args[0])

    model = torch.nn.Linear(1, 1)
    assert "arguments[0].net: torch.nn" in asked("v", len, {"net": model})
    assert "function (closes over) model: torch" in asked("v", lambda: model.weight.sum().item())
    assert "function: " in asked("v", 3)
    assert "value.x[1]: set cannot be saved" in asked("v", lambda: {"x": [1, {2}]})
    assert "scope" in asked("v", lambda: 1, scope="world")
    assert "trial.report" in asked("v", reports)


def test_a_full_disk_leaves_the_trial_unsaved(tmp_path: Path) -> None:
    """Where the system refuses to write, the trial is not failed: it can be resumed."""
    (tmp_path / "memos").write_text("a file where a directory belongs")
    with pytest.raises(RuntimeError) as caught:
        used(tmp_path, lambda trial: trial.once("v", lambda: 1))
    assert caught.value.args[1] is Outcome.UNSAVED
    assert "memos" in caught.value.args[0]


def test_offline_computes_once_in_memory(tmp_path: Path) -> None:
    """Without a study a value is computed once, with the generators put back, and not on disk."""
    trial = sweep.Trial.offline({})
    calls = tmp_path / "calls"

    def draw(path: Path) -> float:
        with path.open("a") as file:
            file.write("x")
        return random.random()

    random.random()
    state = random.getstate()
    assert trial.once("draw", draw, calls) == trial.once("draw", draw, calls)
    assert random.getstate() == state
    assert calls.read_text() == "x"
    with pytest.raises(CheckpointError, match=r"value: object"):
        trial.once("v", object_of_no_content)
    with pytest.raises(UsageError):
        trial.once("v", len, object())


def object_of_no_content() -> object:
    return object()


def test_garbage_is_what_nobody_needs(tmp_path: Path) -> None:
    """Memos of finished trials, of changed code and what was set aside; nothing that is in use."""
    store = MemoStore(tmp_path / "memos")
    used(tmp_path, lambda trial: trial.once("own", lambda: 1))
    used(tmp_path, lambda trial: trial.once("s", lambda x: x, torch.ones(1), scope="study"))
    used(tmp_path, lambda trial: trial.once("s", lambda x: x + 1, torch.ones(1), scope="study"))
    used(tmp_path, lambda trial: trial.once("s", lambda x: x + 1, torch.ones(2), scope="study"))
    own = set((tmp_path / "memos" / "00003").iterdir())
    study = tmp_path / "memos" / "study"
    old = set(store.garbage([]))
    assert sorted(path.suffix for path in old) == [".json", ".safetensors"]
    assert set(store.garbage([3])) == old | own
    left = study / f"{'0' * 64}.abc.safetensors"
    left.touch()
    assert set(store.garbage([])) == old | {left}
    for path in store.garbage([3]):
        path.unlink()
    assert len(list(study.iterdir())) == 4
    assert store.garbage([3]) == []
