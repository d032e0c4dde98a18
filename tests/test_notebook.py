"""The notebooks run from top to bottom on a real study, and are stored without output."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from conftest import Project
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # of the kernel's machinery, not of what it runs
def test_notebook_runs(path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell executes, and there is at least one picture."""
    spec = project.spec(
        "s",
        program="exact:train",
        trials=4,
        parameters={"width": {"value": 4}, "epochs": {"value": 3}, "lr": {"min": 0.01, "max": 0.1}},
    )
    assert project.run("run", "--inline", spec).returncode == 0
    monkeypatch.setenv("SWEEP_STUDY", str(project.store / "s"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": project.root}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_output(path: Path) -> None:
    """No output and no execution counts are committed."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
