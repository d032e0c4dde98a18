"""Population based training in real runs: schedules, lineage, and kills at every commit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Project
from test_every_event import recorder, run, tables

import sweep
from sweep.driver import prepare
from sweep.journal.event import CheckpointDamaged, TrialState
from sweep.journal.journal import read_state
from sweep.journal.segment import read_entries
from sweep.journal.state import StudyState

SHARE = {"share": {"min": 0.0, "max": 1.0}}


def spec_of(project: Project, name: str = "s", /, *, epochs: int = 8, **content: Any) -> Path:
    base: dict[str, Any] = {
        "program": "quadratic:train",
        "method": {"name": "pbt", "perturbation_interval": 2},
        "metric": {"name": "q", "goal": "maximize"},
        "parameters": {**SHARE, "epochs": {"value": epochs}},
        "trials": 4,
    }
    return project.spec(name, **(base | content))


def state_of(project: Project, name: str = "s") -> StudyState:
    return read_state(project.store / name / "journal")


def epochs_of(project: Project) -> int:
    return len((project.root / "execution.log").read_text().splitlines())


def done(project: Project, spec: Path) -> StudyState:
    assert run(spec, project.store) == 0
    return state_of(project, spec.stem)


@pytest.fixture(autouse=True)
def _here(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)


def test_it_finds_what_no_constant_parameters_reach(project: Project) -> None:
    """On the toy problem of the paper it beats random search with the same number of epochs."""
    # Hardly more than one of the two numbers is trained: a trial that changes does best.
    share = {"share": {"values": [0.0, 0.05, 0.95, 1.0]}}
    options = {"perturbation_interval": 2, "quantile_fraction": 0.5}
    content: dict[str, Any] = {"parameters": {**share, "epochs": {"value": 12}}}
    spec = spec_of(project, "s", **content, method={"name": "pbt", **options})
    trained = done(project, spec)
    spent = epochs_of(project)
    plain = done(
        project, spec_of(project, "plain", **content, method="random", trials=-(-spent // 12))
    )
    assert epochs_of(project) - spent >= spent
    assert trained.best is not None
    assert plain.best is not None
    assert trained.best.value is not None
    assert plain.best.value is not None
    assert plain.best.value < 0.6
    assert trained.best.value > 0.9


def test_members_keep_in_step_on_one_slot(project: Project) -> None:
    """After each interval a member makes room; nothing is executed twice, and all is derived."""
    state = done(project, spec_of(project))
    log = [line.split() for line in (project.root / "execution.log").read_text().splitlines()]
    assert len({tuple(line) for line in log}) == len(log)
    begun = [int(line[2]) // 2 for line in log if int(line[1]) < 4]
    assert begun[:8] == [0] * 8
    assert all(trial.state.finished for trial in state.trials.values())
    replaced = [trial for trial in state.trials.values() if trial.successor is not None]
    assert replaced
    for trial in replaced:
        assert (trial.state, trial.reason) == (TrialState.PRUNED, "exploited")
        assert trial.kept[-1].step == trial.pruned_at
    assert state.counts[TrialState.COMPLETE] == 4
    assert project.call("replay", "s").returncode == 0


def test_a_space_function_is_explored(project: Project) -> None:
    """Steps are kept, and all follows from the journal."""
    spec = project.spec(
        "s",
        program="quadratic:train",
        space="quadratic:space",
        method={"name": "pbt", "perturbation_interval": 2},
        metric={"name": "q", "goal": "maximize"},
        trials=4,
    )
    text = spec.read_text().splitlines()
    start = text.index("parameters:")
    end = next(at for at in range(start + 1, len(text)) if not text[at].startswith(" "))
    spec.write_text("\n".join([*text[:start], *text[end:]]))
    state = done(project, spec)
    assert state.forks
    for trial in state.trials.values():
        assert trial.params["share"] == round(trial.params["share"] * 20) / 20
    assert project.call("replay", "s").returncode == 0


def test_the_lineage_is_in_tables_and_on_the_screen(project: Project) -> None:
    state = done(project, spec_of(project))
    table = sweep.open_study(project.store / "s").trials.set_index("number")
    child = next(trial for trial in state.trials.values() if trial.fork is not None)
    fork = child.fork
    assert fork is not None
    row = table.loc[child.number]
    assert (row["parent"], row["source"], row["exploits"]) == (
        fork.parent,
        fork.source,
        fork.exploits,
    )
    assert table["exploits"].notna().sum() == state.forks
    shown = project.call("show", f"s/{child.number}").stdout.splitlines()
    assert ["forked", "from", fork.source] in [line.split() for line in shown]
    assert ["in", "place", "of", f"s/{fork.exploits}"] in [line.split() for line in shown]
    shown = project.call("show", f"s/{fork.exploits}").stdout.splitlines()
    assert ["replaced", "by", f"s/{child.number}"] in [line.split() for line in shown]
    assert fork.source in project.call("show", "s").stdout


def test_a_member_that_saves_nothing_says_so(project: Project) -> None:
    """One line, instead of members that begin anew for ever."""
    (project.root / "idle.py").write_text(
        "def train(trial):\n"
        "    for epoch in trial.epochs(8):\n"
        "        trial.report(q=float(epoch))\n"
    )
    assert run(spec_of(project, program="idle:train"), project.store) == 1
    failed = state_of(project).trials[0]
    assert failed.attempts == 1
    assert failed.reason is not None
    assert "have the trial track its objects" in failed.reason


def test_nan_makes_way(project: Project) -> None:
    """A member whose metric is NaN is replaced, not failed."""
    (project.root / "bad.py").write_text(
        "import math\n"
        "def train(trial):\n"
        "    for epoch in trial.epochs(6):\n"
        "        trial.state['epoch'] = epoch\n"
        "        bad = trial.number == 3 and epoch\n"
        "        trial.report(q=math.nan if bad else trial.number + epoch)\n"
    )
    state = done(project, spec_of(project, program="bad:train"))
    gone = state.trials[3]
    assert (gone.state, gone.value, gone.reason) == (TrialState.PRUNED, None, "exploited")
    assert gone.successor == 4
    assert state.counts[TrialState.COMPLETE] == 4
    assert project.call("replay", "s").returncode == 0


def test_a_fork_of_an_end_is_no_failure(project: Project) -> None:
    """Trials without epochs do not say where they end: a fork that has nothing to do is pruned."""
    (project.root / "loop.py").write_text(
        "def train(trial):\n"
        "    state = trial.state\n"
        "    for index in range(state.get('index', 0), 4):\n"
        "        state['index'] = index + 1\n"
        "        trial.report(q=trial.params.share + index)\n"
    )
    method = {"name": "pbt", "perturbation_interval": 4}
    state = done(project, spec_of(project, program="loop:train", method=method))
    forks = [trial for trial in state.trials.values() if trial.fork is not None]
    assert forks
    for trial in forks:
        assert trial.state is TrialState.PRUNED
        assert trial.reason == f"nothing was left to do after {trial.fork.source}"  # type: ignore[union-attr]
    assert project.call("replay", "s").returncode == 0


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("slope", [0.001, 0.1])
def test_a_metric_that_gets_worse_with_training_ends(
    project: Project, slope: float, ordered: bool
) -> None:
    """Whoever is ahead is not held against those behind, so all come to their end on one slot."""
    (project.root / "worse.py").write_text(
        "def train(trial):\n"
        "    trial.state['x'] = 1\n"
        "    for epoch in trial.epochs(12):\n"
        f"        trial.report(q=trial.params.share + {slope} * epoch)\n"
    )
    metric = {"name": "q", "goal": "minimize"}
    spec = spec_of(project, program="worse:train", metric=metric, deterministic=ordered)
    state = done(project, spec)
    assert sum(len(trial.reports) for trial in state.trials.values()) == 4 * 12
    assert state.counts[TrialState.COMPLETE] == 4
    assert state.forks
    assert project.call("replay", "s").returncode == 0


def test_a_damaged_parent_is_passed_over(project: Project) -> None:
    """Its checkpoint is recorded as damaged, and another one is forked."""
    (project.root / "harm.py").write_text(
        "from pathlib import Path\n"
        "import quadratic\n"
        "def train(trial):\n"
        "    chosen = Path('chosen').read_text()\n"
        "    for path in Path('runs/s/checkpoints/manifests', chosen).glob('*.json'):\n"
        "        if trial.number == 3:\n"
        "            path.write_text('{}')\n"
        "    quadratic.train(trial)\n"
    )
    first = next(
        trial for trial in done(project, spec_of(project)).trials.values() if trial.fork is not None
    )
    assert first.fork is not None
    assert first.fork.exploits == 3
    (project.root / "chosen").write_text(f"{first.fork.parent:05d}")
    shutil.rmtree(project.store)
    run(spec_of(project, program="harm:train"), project.store)
    state = state_of(project)
    entries = read_entries(project.store / "s" / "journal")
    damaged = [entry.event for entry in entries if isinstance(entry.event, CheckpointDamaged)]
    assert [event.checkpoint for event in damaged] == [first.fork.source]
    child = state.trials[4].fork
    assert child is None or child.source != first.fork.source
    assert project.call("replay", "s").returncode == 0


def has_vacancy(study: Path) -> bool:
    """Whether a member has made way and nobody has taken its place."""
    return any(
        trial.state is TrialState.PRUNED and trial.successor is None
        for trial in read_state(study / "journal").trials.values()
    )


@pytest.mark.parametrize(
    ("epochs", "every", "ordered"),
    [
        (4, 12, False),
        (4, 12, True),
        *(pytest.param(n, 1, o, marks=pytest.mark.long) for n in (4, 7) for o in (False, True)),
    ],
)
def test_every_prefix_goes_on_to_the_same_tables(
    project: Project, monkeypatch: pytest.MonkeyPatch, epochs: int, every: int, ordered: bool
) -> None:
    """Killed after any commit and run again, a population ends with the tables of a whole run.

    Each ``every``-th commit is tried, and each that leaves a place vacant.
    """
    spec = spec_of(project, epochs=epochs, deterministic=ordered)
    copies = project.root / "copies"
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "Journal", recorder(project.store / "s", copies))
        assert run(spec, project.store) == 0
    assert state_of(project).forks
    whole = tables(project.store / "s")
    prefixes = sorted(copies.iterdir())
    vacant = [prefix for prefix in prefixes if has_vacancy(prefix / "s")]
    assert vacant
    for prefix in sorted({*prefixes[::every], *vacant}):
        assert run(spec, prefix) == 0, prefix.name
        for name, table in tables(prefix / "s").items():
            pd.testing.assert_frame_equal(table, whole[name], obj=f"{name} after {prefix.name}")
