"""`sweep fork`, `sweep export` and `sweep migrate`: as users meet them, and killed anywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import PROGRAMS, Project, until
from safetensors import safe_open
from safetensors.torch import load_file

import sweep
from sweep.analysis import migration
from sweep.checkpoint import manifest as manifests
from sweep.cli.main import app
from sweep.errors import (
    CheckpointMismatchError,
    SpecChangedError,
    StudyLockedError,
    StudyNotFoundError,
    SweepError,
    UsageError,
)
from sweep.journal.event import DriverStarted, TrialForked
from sweep.journal.journal import Journal, read_state
from sweep.journal.maintenance import Maintenance
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths

PARAMETERS = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 0.5},
    "width": {"values": [2, 4]},
    "epochs": {"values": [6, 9], "probabilities": [1, 0.000000001]},
}
GRID = {
    "lr": {"values": [0.1, 0.01, 0.001]},
    "width": {"values": [2]},
    "epochs": {"values": [6]},
}


def spec_of(project: Project, program: str = "train", **content: object) -> Path:
    base = {
        "program": f"forks:{program}",
        "parameters": PARAMETERS,
        "trials": 3,
        "checkpoint": {"every": {"epochs": 1}, "keep": {"last": 6, "best": 1}},
    }
    return project.spec("s", **(base | content))


def state_of(project: Project) -> StudyState:
    return read_state(project.store / "s" / "journal")


def finished(project: Project, *arguments: str | Path) -> str:
    done = project.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a project with a complete study of three trials."""
    root = tmp_path_factory.mktemp("made")
    shutil.copy(PROGRAMS / "forks.py", root)
    project = Project(root)
    finished(project, "run", "--inline", spec_of(project))
    return root


@pytest.fixture
def complete(made: Path, project: Project) -> Project:
    """A copy of it."""
    shutil.copytree(made, project.root, dirs_exist_ok=True)
    return project


@pytest.fixture
def call(
    complete: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Calls the command in this process, in the copy; what it printed."""
    monkeypatch.chdir(complete.root)

    def called(*arguments: str) -> str:
        capsys.readouterr()
        with suppress(SystemExit):
            app(list(arguments), standalone_mode=False)
        return capsys.readouterr().out

    return called


def files(project: Project) -> set[str]:
    root = project.store / "s" / "checkpoints"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def unreferenced(project: Project) -> set[str]:
    """Files of checkpoints that the journal does not know, or no longer keeps."""
    kept = {
        known.record["manifest"].removesuffix(".json")
        for trial in state_of(project).trials.values()
        for known in trial.checkpoints.values()
        if known.retired is None
    }
    found = {name.split("/", 1)[1] for name in files(project)}
    return {name for name in found if not any(name.startswith(stem) for stem in kept)}


def test_fork_of_a_complete_study(complete: Project) -> None:
    """The study is no longer complete; a resume runs the fork alone, with its own rate."""
    before = sweep.open_study(complete.store / "s").trials
    made = json.loads(finished(complete, "fork", "s/1@3", "--set", "lr=0.002", "--json"))
    assert (made["trial"], made["parent"]) == (3, 1)
    assert made["source"].startswith("1@4.")
    assert "interrupted" in finished(complete, "ls")
    finished(complete, "resume", "s", "--inline")
    study = sweep.open_study(complete.store / "s")
    assert study.trials.iloc[:3].drop(columns="parent").equals(before.drop(columns="parent"))
    fork = study.trials.iloc[3]
    assert (fork["state"], fork["parent"], fork["attempts"]) == ("COMPLETE", 1, 1)
    assert fork["params.lr"] == 0.002
    assert study.trials["parent"].isna().sum() == 3
    reports = study.reports[study.reports["trial"] == 3]
    assert list(reports["step"]) == [4, 5]
    assert list(reports["metrics.rate"]) == pytest.approx([0.002 / 4, 0.002 / 4])
    kept = study.checkpoints[study.checkpoints["trial"] == 3]
    assert kept.iloc[0]["kind"] == "fork"
    assert kept.iloc[0]["parent"] == made["source"]
    assert len(study.iterations) == 4
    assert "4 results" in finished(complete, "replay", "s")
    assert "complete: " in finished(complete, "run", "--inline", complete.root / "s.yaml")


def test_fork_with_more_epochs_after_the_end(complete: Project) -> None:
    """A fork of the final checkpoint with more epochs executes just those."""
    study = sweep.open_study(complete.store / "s")
    with pytest.raises(UsageError, match=r"2@6\.0\.final is the end of trial 2"):
        study.fork(2, epochs=9)
    assert study.fork(2, force=True, epochs=9) == 3
    finished(complete, "resume", "s", "--inline")
    study.refresh()
    assert list(study.reports[study.reports["trial"] == 3]["step"]) == [6, 7, 8]


def test_fork_of_the_end_has_nothing_to_do(complete: Project) -> None:
    """The command refuses to fork where the function had returned; forced, the fork fails."""
    refused = complete.run("fork", "s/2", "--set", "lr=0.1")
    assert refused.returncode == 2
    assert "2@5.0" in refused.stderr
    finished(complete, "fork", "s/2", "--set", "lr=0.1", "--force")
    assert complete.run("resume", "s", "--inline").returncode == 1
    reason = state_of(complete).trials[3].reason
    assert "nothing was left to do after 2@6.0.final" in str(reason)


def test_fork_outside_of_the_space(complete: Project, call: Callable[..., str]) -> None:
    """It is refused, taken with --force, and then neither told nor the incumbent."""
    with pytest.raises(UsageError, match="must be one of 6, 9"):
        call("fork", "s/0@3", "--set", "epochs=7")
    with pytest.raises(UsageError, match="did you mean epochs"):
        call("fork", "s/0@3", "--set", "epoch=7")
    assert "outside" in call("fork", "s/0@3", "--set", "epochs=7", "--force")
    call("resume", "s", "--inline")
    study = sweep.open_study(complete.store / "s")
    assert study.trials.iloc[3]["state"] == "COMPLETE"
    assert len(study.iterations) == 3
    call("replay", "s")


@pytest.mark.parametrize("method", ["grid", pytest.param("tpe", marks=pytest.mark.long)])
def test_fork_of_an_interrupted_study(project: Project, method: str) -> None:
    """Forks between suggestions: all that was to be tried is tried, and it replays."""
    parameters = GRID if method == "grid" else PARAMETERS
    spec = spec_of(project, method=method, parameters=parameters, trials=1)
    finished(project, "run", "--inline", spec)
    change = "lr=0.01" if method == "grid" else "lr=0.3"
    finished(project, "fork", "s/0@2", "--set", change)
    finished(project, "run", "--inline", spec, "--set", "trials=3")
    study = sweep.open_study(project.store / "s")
    assert len(study.trials) == 4
    asked = study.trials[study.trials["parent"].isna()]
    assert len(asked) == 3
    if method == "grid":
        assert list(asked["params.lr"]) == [0.1, 0.01, 0.001]
    finished(project, "replay", "s")


def test_fork_of_a_running_study_is_refused(project: Project) -> None:
    """While a driver runs the study, the command and the call name it and change nothing."""
    process = project.start("run", "--inline", spec_of(project, "waits", trials=1))
    until(lambda: (project.root / "waiting").exists())
    done = project.run("fork", "s/0", "--set", "lr=0.1")
    assert done.returncode == 3
    assert str(process.pid) in done.stderr
    with pytest.raises(StudyLockedError):
        sweep.open_study(project.store / "s").fork(0, lr=0.1)
    (project.root / "go").touch()
    assert process.wait(timeout=60) == 0
    assert len(state_of(project).trials) == 1


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("s", "STUDY/TRIAL"),
        ("s/9", "has no trial 9"),
        ("s/0@", "STUDY/TRIAL"),
        ("s/0@77", "keeps no checkpoint"),
        ("s/0@newest", "latest, best, a step"),
        ("none/0", "no study"),
    ],
)
def test_fork_of_nothing_is_named(
    complete: Project, call: Callable[..., str], target: str, says: str
) -> None:
    """A target that there is not is one line, and nothing is written."""
    before = files(complete)
    with pytest.raises(SweepError, match=says) as caught:
        call("fork", target, "--set", "lr=0.1")
    assert "\n" not in str(caught.value)
    assert files(complete) == before


SHIM = """
import os, signal, sys
import pandas, torch
from sweep.cli import fork, migrate, run
from sweep.cli.main import main

def shot(real, wanted):
    calls = 0
    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for at in map(int, sys.argv[1].split(",")):
    child = os.fork()
    if not child:
        guard = shot(lambda: None, at)
        for name in ("fsync", "replace", "rename", "unlink", "mkdir", "link"):
            def call(*arguments, real=getattr(os, name), **options):
                guard()
                return real(*arguments, **options)
            setattr(os, name, call)
        sys.argv = ["sweep", *(word.replace("AT", str(at)) for word in sys.argv[2:])]
        sys.stdout = open(os.devnull, "w")
        main()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(at, status, flush=True)
    if status != -signal.SIGKILL:
        break
"""
"""Runs a command again and again, and kills it before its n-th call that changes the store; ends
when it was not killed. Each run is a process of its own, forked off one that has all imports."""


def kills(project: Project, places: Iterable[int], *arguments: str | Path) -> int:
    """How often the command was killed, until it succeeded or ``places`` were over."""
    done = subprocess.run(
        [sys.executable, "-c", SHIM, ",".join(map(str, places)), *map(str, arguments)],
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=200,
    )
    codes = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert set(codes) <= {0, -signal.SIGKILL}, done.stderr
    return codes.count(-signal.SIGKILL)


def test_fork_killed_anywhere(complete: Project) -> None:
    """Killed before any call that writes, a fork is there whole or not at all; nothing stays."""
    number = kills(complete, range(1, 99), "fork", "s/1@3", "--set", "lr=0.1AT")
    assert number > 8
    forks = [trial.fork for trial in state_of(complete).trials.values() if trial.fork is not None]
    assert 1 <= len(forks) < number
    for fork in forks:
        assert (complete.store / "s/checkpoints/manifests" / fork.record["manifest"]).exists()
    finished(complete, "resume", "s", "--inline")
    assert not unreferenced(complete)
    study = sweep.open_study(complete.store / "s")
    assert set(study.trials["state"]) == {"COMPLETE"}
    finished(complete, "replay", "s")


def test_trial_forks_itself(project: Project) -> None:
    """`trial.fork` adds a trial from there on; what the space does not have is refused."""
    spec = spec_of(project, "forks_itself", parameters=GRID, method="grid")
    done = project.run("run", "--inline", spec)
    assert done.returncode == 0, done.stderr
    assert "trial 0: not forked: lr: must be one of" in done.stderr
    study = sweep.open_study(project.store / "s")
    assert len(study.trials) == 4  # of the three of the grid one has a high rate
    fork = study.trials[study.trials["parent"] == 0].iloc[0]
    assert fork["params.lr"] == 0.01
    reports = study.reports[study.reports["trial"] == fork["number"]]
    assert list(reports["step"]) == [3, 4, 5]
    assert list(reports["metrics.rate"]) == pytest.approx([0.005, 0.0025, 0.0025])
    finished(project, "replay", "s")


@pytest.mark.parametrize(
    ("first", "each"), [(45, 45), pytest.param(9, 4, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_trial_that_forks_itself_is_killed(project: Project, first: int, each: int) -> None:
    """Killed anywhere and run again, the fork is made exactly once."""
    spec = spec_of(project, "forks_itself", parameters=GRID, method="grid", trials=1)
    assert kills(project, range(first, 400, each), "run", "--inline", spec) >= 2
    finished(project, "run", "--inline", spec)
    study = sweep.open_study(project.store / "s")
    assert list(study.trials["params.lr"]) == [0.1, 0.01]
    assert list(study.trials["state"]) == ["COMPLETE", "COMPLETE"]
    assert not unreferenced(project)
    finished(project, "replay", "s")


def test_export_as_safetensors(complete: Project, call: Callable[..., str]) -> None:
    """Other programs read the model under its own names, and where it is from."""
    said = call("export", "s/1@best", "--to", "out/model.safetensors")
    assert "2 tensors of model" in said
    path = complete.root / "out" / "model.safetensors"
    study = sweep.open_study(complete.store / "s")
    loaded = study.load_checkpoint(trial=1, which="best")
    for name, tensor in load_file(path).items():
        assert torch.equal(tensor, loaded["model"][name])
    with safe_open(path, "pt") as file:
        origin = file.metadata()
    assert (origin["study"], origin["trial"], origin["checkpoint"]) == ("s", "1", loaded.id)
    assert json.loads(origin["params"]) == loaded.params
    with pytest.raises(UsageError, match="--force"):
        call("export", "s/1@best", "--to", "out/model.safetensors")
    call("export", "s/1", "--to", "out/model.safetensors", "--force")
    call("export", "s/1", "--to", "all.safetensors", "--components", "model",
        "--components", "optimizer", "--json",
    )  # fmt: skip
    names = load_file(complete.root / "all.safetensors")
    assert "model.weight" in names
    assert any(name.startswith("optimizer.state.0") for name in names)
    with pytest.raises(UsageError, match="must end in"):
        call("export", "s/1", "--to", "model.bin")
    assert not list(complete.root.rglob("*.tmp"))


def test_export_for_torch(complete: Project, call: Callable[..., str]) -> None:
    """A .pt file loads with weights_only, as a state_dict, or as a dict of several."""
    call("export", "s/1", "--to", "model.pt")
    model = torch.nn.Linear(3, state_of(complete).trials[1].params["width"])
    model.load_state_dict(torch.load(complete.root / "model.pt", weights_only=True))
    call("export", "s/1", "--to", "all.pt", "--components", "*")
    everything = torch.load(complete.root / "all.pt", weights_only=True)
    assert set(everything) == {"model", "optimizer", "schedule"}
    with pytest.raises(UsageError, match="'head'"):
        call("export", "s/1", "--to", "x.pt", "--components", "head")


def test_load_checkpoint(complete: Project) -> None:
    """By id, trial and step; in parts; and what does not fit is reported, or an error."""
    study = sweep.open_study(complete.store / "s")
    latest = study.load_checkpoint(trial=0)
    assert latest.id.endswith(".final")
    assert study.load_checkpoint(latest.id).keys() == {"model", "optimizer", "schedule"}
    assert study.load_checkpoint(trial=0, which=4).step == 4
    best = study.load_checkpoint(trial=0, which="best")
    kept = study.checkpoints[(study.checkpoints["trial"] == 0)]
    assert best.id in set(kept["id"])
    part = study.load_checkpoint(trial=0, components=["model.w*"])
    assert {name: list(state) for name, state in part.items()} == {"model": ["weight"]}
    with pytest.raises(UsageError, match="head"):
        study.load_checkpoint(trial=0, components=["head"])
    with pytest.raises(StudyNotFoundError, match="0@99"):
        study.load_checkpoint("0@99.0")
    width = study.trials["params.width"][0]
    model = torch.nn.Linear(3, width)
    assert latest.load_into(model=model).whole
    assert torch.equal(model.weight, latest["model"]["weight"])


def test_load_into_what_does_not_fit(complete: Project) -> None:
    """Strict: an error with both sides and nothing changed. Not strict: a report, and the rest."""
    loaded = sweep.open_study(complete.store / "s").load_checkpoint(trial=0)

    class Other(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(9, 3))
            self.bias = torch.nn.Parameter(torch.zeros(len(loaded["model"]["bias"])))
            self.extra = torch.nn.Parameter(torch.zeros(2))

    other = Other()
    with pytest.raises(CheckpointMismatchError, match=r"model.weight: saved as \(\d, 3\), here"):
        loaded.load_into(model=other)
    assert not other.bias.any()
    fit = loaded.load_into(model=other, strict=False)
    assert fit.missing == ("model.extra",)
    assert fit.unexpected == ()
    assert dict(fit.reshaped) == {"model.weight": (tuple(loaded["model"]["weight"].shape), (9, 3))}
    assert torch.equal(other.bias, loaded["model"]["bias"])
    assert not other.weight.any()
    optimizer = torch.optim.SGD(other.parameters(), lr=1.0)
    with pytest.raises(CheckpointMismatchError, match="optimizer"):
        loaded.load_into(optimizer=optimizer)


def test_migrate_of_a_killed_migration(complete: Project, call: Callable[..., str]) -> None:
    """A file that was rewritten and not journaled is mended in its place; twice is once."""
    said = json.loads(call("migrate", "s", "--dry-run", "--json"))
    assert len(said["checkpoints"]) > 9
    assert not any(each["changed"] for each in said["checkpoints"])
    before = state_of(complete)
    assert "0 of" in call("migrate", "s")
    assert state_of(complete).seq == before.seq
    first = before.trials[1].kept[0]
    path = complete.store / "s" / "checkpoints" / "manifests" / first.record["manifest"]
    loaded = manifests.load(path.read_bytes(), "")
    path.write_bytes(manifests.dump(replace(loaded, meta={**loaded.meta, "migrated": True})))
    assert "1 of" in call("migrate", "s")
    assert "0 of" in call("migrate", "s")
    after = state_of(complete)
    assert [known.id for known in after.trials[1].kept] == [
        known.id for known in before.trials[1].kept
    ]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert after.trials[1].kept[0].record["digest"] == digest
    path.write_bytes(path.read_bytes()[:-5])
    assert f"{first.id} is left as it is" in call("migrate", "s")
    call("replay", "s")


def test_migrate_says_what_is_outdated(
    complete: Project, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run names the checkpoints of an older format, and writes nothing."""
    monkeypatch.setattr(migration, "VERSION", manifests.VERSION + 1)
    before = state_of(complete).seq
    said = json.loads(call("migrate", "s", "--dry-run", "--json"))
    assert all(each["changed"] for each in said["checkpoints"])
    assert state_of(complete).seq == before


@pytest.mark.parametrize("strict", [False, True])
def test_a_changed_source(complete: Project, call: Callable[..., str], strict: bool) -> None:
    """Trials that another source has begun go on with a warning, or not at all if it is strict."""
    call("fork", "s/1@3", "--set", "lr=0.1")
    before = state_of(complete).seq
    program = complete.root / "forks.py"
    program.write_text(program.read_text() + "# changed\n")
    arguments = ["run", "s.yaml", "--inline", "--set", f"strict_code={str(strict).lower()}"]
    if strict:
        with pytest.raises(SpecChangedError, match="forks:train is not the one that trial 3 was"):
            call(*arguments)
        assert state_of(complete).seq == before
        call(*arguments, "--set", "strict_code=false")
    else:
        done = complete.run(*arguments)
        assert done.returncode == 0
        assert "forks:train is not the one that trial 3 was saved with" in done.stderr
        assert "source has changed since checkpoint 3@4.0 was saved" in done.stderr
        assert not complete.run("resume", "s", "--inline").stderr
    assert state_of(complete).finished == 4


def test_time_between_drivers_is_not_time_of_the_study(complete: Project) -> None:
    """A fork made long after a driver was killed does not count as time that it worked."""
    paths = StudyPaths.of(complete.store, "s")
    journal = Journal(paths.journal)
    started = DriverStarted(session=2, host="h", pid=1, versions={})
    journal.append(started)
    later = journal.state.time + 9000.0
    journal._clock = lambda: later
    held = Maintenance(paths, journal, "fork")
    held.record(fork_event(journal.state))
    held.finish()
    journal.append(replace(started, session=4))
    journal.close()
    assert state_of(complete).active_s < 60


def fork_event(state: StudyState) -> TrialForked:
    source = state.trials[1].kept[0]
    return TrialForked(
        trial=3, parent=1, source=source.id, step=0, checkpoint="3@1.0", record=source.record,
        params={}, latents={}, inside=True,
    )  # fmt: skip
