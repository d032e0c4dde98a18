"""What a manifest says of where a checkpoint comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sweep.checkpoint import origin


def test_digest_of_parameters_is_canonical() -> None:
    """Order does not matter; every value and its type does."""
    digest = origin.params_digest({"lr": 0.1, "n": 1})
    assert digest == origin.params_digest({"n": 1, "lr": 0.1})
    for other in ({"lr": 0.1, "n": 1.0}, {"lr": 0.2, "n": 1}, {"lr": 0.1, "n": True}):
        assert digest != origin.params_digest(other)
    assert origin.params_digest({}).startswith("44136fa355b3678a")  # sha256 of {}


def test_commit_of_a_real_repository(tmp_path: Path) -> None:
    """The commit is named, and whether a tracked file differs; elsewhere there is none."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert origin.git_commit(tmp_path) is None
    origin.git_commit.cache_clear()
    git("init", "-q")
    assert origin.git_commit(tmp_path) is None
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-qm", "x")
    for text, dirty in (("1", False), ("2", True)):
        (tmp_path / "a.py").write_text(text)
        origin.git_commit.cache_clear()
        assert origin.git_commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": dirty}


def test_git_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is kept: a worker asks git once, however many attempts it runs."""
    origin.git_commit.cache_clear()
    first = origin.git_commit(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(subprocess, "run", None)
    assert origin.git_commit(tmp_path) is first
