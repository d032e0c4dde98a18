"""A study that a newer version has gone on with is refused before anything happens to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Project

from sweep.checkpoint import manifest
from sweep.checkpoint.seal import sealed
from sweep.journal.event import CheckpointRetired, Event
from sweep.journal.journal import Journal, read_state
from sweep.paths import StudyPaths

Change = Callable[[StudyPaths], None]


def interrupted(project: Project) -> StudyPaths:
    """A study whose first trial has saved, failed to end, and waits to be gone on with."""
    spec = project.spec(
        "s", program="odd:stops_itself", trials=2, parameters={"x": {"min": 0.0, "max": 1.0}}
    )
    done = project.run("run", spec, "--inline")
    assert done.returncode == 143, done.stderr
    return StudyPaths.of(project.store, "s")


def files(root: Path) -> dict[str, bytes]:
    """Every file of a study but its lock, which is taken and given back."""
    found = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def manifests(paths: StudyPaths) -> list[Path]:
    return sorted((paths.checkpoints / "manifests").rglob("*.json"))


def newer_format(paths: StudyPaths) -> None:
    for path in manifests(paths):
        body = json.loads(path.read_bytes())
        path.write_bytes(sealed({k: v for k, v in body.items() if k != "sha256"} | {"version": 99}))


def journaled(paths: StudyPaths, event: Event) -> None:
    journal = Journal(paths.journal)
    journal.append(event)
    journal.close()


def newer_event(paths: StudyPaths) -> None:
    kept = read_state(paths.journal).trials[0].kept[0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CheckpointRetired, "version", 99)
        journaled(paths, CheckpointRetired(trial=0, checkpoint=kept.id))


def rewritten(paths: StudyPaths, change: Callable[[dict[str, Any]], None]) -> None:
    """The journal once more, its events' payloads changed, as a newer version would write them."""
    from sweep.journal import segment
    from sweep.journal.segment import read_entries

    entries = list(read_entries(paths.journal))
    for path in paths.journal.glob("*.parquet"):
        path.unlink()
    encode = segment.encode

    def changed(entry: Any) -> dict[str, Any]:
        row = encode(entry)
        data = json.loads(row["data"])
        change(data)
        return {**row, "data": json.dumps(data)}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segment, "encode", changed)
        segment.write_segment(paths.journal, entries, 0)


def newer_spec(paths: StudyPaths) -> None:
    rewritten(paths, lambda data: data["spec"].update(novelty=1) if "spec" in data else None)


def newer_field(paths: StudyPaths) -> None:
    rewritten(paths, lambda data: data.update(novelty=1) if "record" in data else None)


def newer_record(paths: StudyPaths) -> None:
    rewritten(paths, lambda data: data["record"].update(novelty=1) if "record" in data else None)


def newer_kind(paths: StudyPaths) -> None:
    rewritten(paths, lambda data: data["record"].update(kind="dream") if "record" in data else None)


@pytest.mark.parametrize(
    "change", [newer_format, newer_event, newer_spec, newer_field, newer_record, newer_kind]
)
def test_a_newer_study_is_refused_untouched(project: Project, change: Change) -> None:
    """Resumed or run again: exit code 3, a line that says to update, and not one byte changed."""
    paths = interrupted(project)
    change(paths)
    before = files(paths.root)
    for command in (["resume", "s"], ["run", project.root / "s.yaml", "--inline"]):
        done = project.call(*command)
        assert done.returncode == 3, (done.stdout, done.stderr)
        assert "update sweep" in done.stderr
        assert files(paths.root) == before


def test_a_checkpoint_that_turns_out_newer_fails_no_trial(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the worker finds out, the study halts, and its trial goes on once one updates."""
    paths = interrupted(project)
    version = manifest.VERSION
    monkeypatch.setattr("sweep.driver.prepare.check_readable", lambda paths, state: None)
    whole = {path: path.read_bytes() for path in manifests(paths)}
    newer_format(paths)
    done = project.call("resume", "s", "--inline")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert f"this one reads up to {version}: update sweep" in done.stderr
    trial = read_state(paths.journal).trials[0]
    assert not trial.state.finished
    assert not trial.failed
    for path, content in whole.items():
        path.write_bytes(content)
    done = project.call("resume", "s", "--inline")
    assert done.returncode == 0, done.stderr
