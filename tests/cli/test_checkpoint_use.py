"""`sweep export`, `sweep migrate` and the checkpoints of a study in Python: as users meet them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from conftest import Project
from fork_study import state_of
from safetensors import safe_open
from safetensors.torch import load_file

import sweep
from sweep.analysis import migration
from sweep.checkpoint import manifest as manifests
from sweep.errors import (
    CheckpointMismatchError,
    SpecChangedError,
    StudyNotFoundError,
    UsageError,
)
from sweep.journal.event import DriverStarted, TrialForked
from sweep.journal.journal import Journal
from sweep.journal.maintenance import Maintenance
from sweep.journal.state import StudyState
from sweep.paths import StudyPaths


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
    with pytest.raises(UsageError, match=r"of a trial: load_checkpoint\(trial=0\)"):
        study.load_checkpoint(0)  # type: ignore[arg-type]
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
    assert "nothing to rewrite" in call("migrate", "s")
    assert state_of(complete).seq == before.seq
    first = before.trials[1].kept[0]
    path = complete.store / "s" / "checkpoints" / "manifests" / first.record["manifest"]
    loaded = manifests.load(path.read_bytes(), "")
    path.write_bytes(manifests.dump(replace(loaded, meta={**loaded.meta, "migrated": True})))
    assert "1 of" in call("migrate", "s")
    assert "nothing to rewrite" in call("migrate", "s")
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
