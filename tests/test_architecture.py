"""The layers of the package: which may import which, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sweep"

BASE = {"errors", "paths", "fsio", "clock", "quantity", "reference"}
ALLOWED = {
    "errors": set(),
    "paths": set(),
    "fsio": set(),
    "clock": set(),
    "quantity": set(),
    "reference": {"errors"},
    "spec": BASE,
    "journal": BASE | {"spec"},
    "search": BASE | {"spec", "journal"},
    "checkpoint": BASE,
    "trial": BASE | {"checkpoint"},
    "integration": BASE | {"spec", "journal"},
    "driver": BASE | {"spec", "journal", "search", "checkpoint", "trial", "integration"},
    "analysis": BASE | {"spec", "journal", "search", "checkpoint"},
    "report": BASE | {"spec", "journal", "search", "analysis"},
    "dashboard": BASE | {"journal", "search", "driver", "report"},
    "cli": BASE
    | {"spec", "journal", "search", "checkpoint", "integration", "driver"}
    | {"analysis", "report", "dashboard"},
}
"""Layer -> layers that it may import, itself apart. Imports point down; siblings keep apart."""

ONLY_HERE = {
    "ray": {"driver/cluster.py"},
    "mlflow": {"integration/mlflow_run.py"},
    "tensorboardX": {"integration/event_file.py"},
    "wandb": {"integration/wandb_run.py"},
    "optuna": {
        "search/cmaes.py",
        "search/horizon.py",
        "search/importance.py",
        "search/intersection.py",
        "search/latent.py",
        "search/optuna_copy.py",
        "search/optuna_database.py",
        "search/optuna_import.py",
        "search/optuna_range.py",
        "search/optuna_read_only.py",
        "search/optuna_space.py",
        "search/optuna_study.py",
        "search/optuna_trials.py",
        "search/penalty.py",
        "search/proposal.py",
        "search/pruner.py",
        "search/sampler.py",
        "search/search.py",
        "search/storage.py",
    },
    "optuna_dashboard": {"dashboard/site.py"},
}
"""Libraries that few modules may import."""

HEAVY = (
    "ray",
    "torch",
    "optuna",
    "pandas",
    "pyarrow",
    "plotly",
    "mlflow",
    "tensorboardX",
    "wandb",
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    """A module imports only from its own layer and from those that the table allows."""
    place = path.relative_to(PACKAGE).parts
    layer = place[0].removesuffix(".py")
    if layer in ("__init__", "__main__"):
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "sweep" and len(parts) > 1 and parts[1] not in ("__version__", layer):
            assert parts[1] in ALLOWED[layer], f"{path}: {layer} must not import {name}"


@pytest.mark.parametrize(("library", "places"), ONLY_HERE.items())
def test_libraries_stay_in_their_place(library: str, places: set[str]) -> None:
    """Ray and Optuna are imported by the modules that stand for them, and by no other."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users <= places


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import sweep",
        "import sweep.cli.main",
        "import sweep.spec",
        "import sweep.checkpoint\nfrom sweep.checkpoint import Checkpointer",
        "import sys\nfrom sweep.cli.main import app\nsys.argv = ['sweep', '--help']\n"
        "try:\n    app()\nexcept SystemExit:\n    pass",
    ],
    ids=["sweep", "cli", "spec", "checkpoint", "help"],
)
def test_light_imports_load_nothing_heavy(code: str) -> None:
    """`import sweep` and `sweep --help` load none of the heavy libraries."""
    assert not loaded_by(code) & set(HEAVY)
