"""The notebooks run from top to bottom, find what they say, and are stored without output."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

BEFORE = "import warnings; warnings.simplefilter('error')"
FINDINGS = {
    "analyse_a_sweep": """
import numpy as np
assert len(study.trials) == 20 and study.trials["state"].isin(["COMPLETE", "PRUNED"]).all()
spent = study.attempts.groupby("trial")["duration_s"].sum()
assert np.allclose(spent, study.trials["duration_s"])
assert np.isclose(costs["duration_s"].sum(), study.trials["duration_s"].sum())
assert costs["lost"].sum() >= costs["steps"].sum() - len(study.reports) >= 0
assert list(study.attempts["end"]).count("killed") == len(again) == 1  # the resumed one is marked
assert study.best["value"] - chosen["value"] <= 0.005 and len(important) == 4
""",
    "resume_and_fork": """
assert driver.returncode == -9
assert len(study.trials) == 7 and (study.trials["state"] == "COMPLETE").all()
gone_on = study.attempts[study.attempts["attempt"] > 1]
assert list(study.attempts["end"]).count("killed") == len(gone_on) == 1
assert gone_on["checkpoint"].notna().all() and finished.sum() == 2 and len(twin.attempts) == 5
assert (study.trials.loc[[control, fork], "source"] == source["id"]).all()
assert source["metrics.loss"] == kept["metrics.loss"].min()
first = study.reports.groupby("trial")["step"].min()
assert first[parent] == 0 and first[control] == first[fork] == source["step"] + 1
assert study.trials["params.lr"][fork] == lr / 10
assert all(moved[fork][name] < moved[control][name] for name in begun)
""",
    "compare_studies": """
import numpy as np
assert len(store) == 15 and (told.groupby("study").size() == TRIALS).all()
assert set(band.index.levels[0]) == set(SAMPLERS) and len(SAMPLERS) == 3
for sampler in SAMPLERS:
    runs = [store[f"{sampler}-{seed}"].trials["value"].cummin() for seed in range(SEEDS)]
    expected = np.quantile(runs, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(band.loc[sampler].T, expected)
assert (band[0.75] > band[0.25]).any()
for study in several:
    points = study.trials[["values_0", "values_1"]].to_numpy()
    beaten = [((points <= each).all(1) & (points < each).any(1)).any() for each in points]
    assert set(study.pareto["number"]) == set(np.flatnonzero(~np.array(beaten)))
""",
}
"""Run after the last cell of each: what must be true of the names that it leaves."""


def copied(path: Path, root: Path) -> Path:
    """A copy of the notebook at ``path``, beside what notebooks may use of the repository."""
    for name in ("notebooks", "search_spaces", "trials"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root / "notebooks" / path.name


def files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # of the kernel's machinery, not of what it runs
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a warning, in a kernel of its own, to the findings; it leaves nothing where it is."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("SWEEP_STUDY", raising=False)
    (tmp_path / "repository").mkdir()
    copy = copied(path, tmp_path / "repository")
    before = files(tmp_path / "repository")
    notebook = nbformat.read(copy, as_version=4)
    cells = notebook.cells
    cells.insert(0, nbformat.v4.new_code_cell(BEFORE))
    cells.append(nbformat.v4.new_code_cell(f"warnings.resetwarnings()\n{FINDINGS[path.stem]}"))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": copy.parent}}).execute()
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert files(tmp_path / "repository") == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_output(path: Path) -> None:
    """No output, no counts, no metadata but the language, and no path of anybody's machine."""
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert cell.metadata == {}
        assert cell.id == f"cell-{number}"
        assert not re.search(r"/(home|root|Users|tmp|work)/", cell.source)


def test_every_notebook_has_findings() -> None:
    """None is only executed."""
    assert {path.stem for path in NOTEBOOKS} == set(FINDINGS)
