"""Methods as a user meets them: samplers of one's own, and what is said of a poor choice."""

from __future__ import annotations

import json

from conftest import Project

import sweep

FACTORIES = """
import optuna

def make(seed, startup=5):
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
"""


def test_a_sampler_of_ones_own(project: Project) -> None:
    """It proposes, goes on after an end, and its suggestions are derived again."""
    (project.root / "mine.py").write_text(FACTORIES)
    method = {"name": "mine:make", "startup": 2}
    ran = project.run("run", project.spec("own", method=method, trials=4), "--inline")
    assert ran.returncode == 0, ran.stderr
    more = project.run("run", project.spec("own", method=method, trials=6), "--inline")
    assert more.returncode == 0, more.stderr
    shown = json.loads(project.run("show", "own", "--json").stdout)
    assert shown["spec"]["method"]["name"] == "mine:make"
    replayed = project.run("replay", "own")
    assert (replayed.returncode, "6 suggestions" in replayed.stdout) == (0, True)
    project.root.joinpath("mine.py").write_text(FACTORIES.replace("seed=seed", "seed=seed + 1"))
    assert project.run("replay", "own").returncode == 3


def test_a_factory_that_is_not_there(project: Project) -> None:
    """One line, exit code 2, and nothing is written."""
    ran = project.run("run", project.spec("own", method="mine:make"))
    assert ran.returncode == 2
    assert "method 'mine:make': there is no module 'mine' in" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not project.store.exists()


FORGETFUL = """
import optuna

class Forgetful(optuna.samplers.RandomSampler):
    def after_trial(self, study, trial, state, values):
        if trial.number == 1:
            raise RuntimeError("what was it?")
"""


def test_a_result_that_a_sampler_failed_on_is_told_when_it_is_mended(project: Project) -> None:
    """The error is one line; the study goes on, and no result is missing among the iterations."""
    mine = project.root / "mine.py"
    mine.write_text(FORGETFUL)
    spec = project.spec("own", method="mine:Forgetful", trials=4)
    ran = project.run("run", spec, "--inline")
    assert ran.returncode == 2
    raised = f"method 'mine:Forgetful': raised RuntimeError: what was it? ({mine}:7)"
    assert ran.stderr.strip() == f"sweep: {raised}"
    assert raised in project.run("resume", "own", "--inline").stderr
    mine.write_text(FORGETFUL.replace("== 1", "== 9"))
    assert project.run("resume", "own", "--inline").returncode == 0
    told = sweep.open_study(project.store / "own").iterations
    assert sorted(told["trial"]) == [0, 1, 2, 3]
    assert project.run("replay", "own").returncode == 0


def test_another_option_is_refused(project: Project) -> None:
    """An option decides what was proposed, as the method itself does."""
    tpe = {"name": "tpe", "n_startup_trials": 2}
    assert project.run("run", project.spec("s", method=tpe), "--inline").returncode == 0
    again = project.run("run", project.spec("s", method="tpe", trials=5), "--inline")
    assert again.returncode == 2
    assert "method: {name: tpe, n_startup_trials: 2} -> tpe" in again.stderr


def test_what_cmaes_cannot_model_is_said(project: Project) -> None:
    """Once, when the study begins."""
    parameters = {
        "x": {"min": 0.0, "max": 1.0},
        "y": {"min": 0.0, "max": 1.0},
        "kind": {"values": ["a", "b"]},
    }
    spec = project.spec("c", method="cmaes", parameters=parameters)
    said = "warning: c: cmaes draws kind at random: it knows numbers that every trial has, two"
    ran = project.run("run", spec, "--inline")
    assert (ran.returncode, said in ran.stderr) == (0, True)
    more = project.run("run", spec, "--inline", "--set", "trials=5")
    assert (more.returncode, said in more.stderr) == (0, False)


def test_too_few_trials_for_the_rungs_are_said(project: Project) -> None:
    """A study may end with all trials paused at rungs: it says so before, and plainly after."""
    wanted = {"type": "asha", "reduction_factor": 2, "max_resource": 4}
    spec = project.spec("a", program="odd:raises_once", early_terminate=wanted, trials=1)
    done = project.run("run", "--inline", spec)
    said = "warning: a: it may be that no trial is complete: to pass all rungs takes one of 4, and"
    assert said in done.stderr
    assert project.call("best", "a").stdout == "a: no trial is complete: 1 trial (1 pruned)\n"
    more = project.run("run", "--inline", spec, "--set", "trials=4")
    assert "warning" not in more.stderr


def test_brute_goes_through_everything_once(project: Project) -> None:
    parameters = {"x": {"values": [0.0, 1.0, 2.0]}, "y": {"values": [0, 1]}}
    spec = project.spec("b", method="brute", parameters=parameters, trials=None)
    spec.write_text(spec.read_text().replace("trials: null\n", ""))
    ran = project.run("run", spec, "--inline", "--json")
    assert ran.returncode == 0, ran.stderr
    best = json.loads(project.run("best", "b", "-n", "9", "--json").stdout)
    seen = {json.dumps(trial["params"], sort_keys=True) for trial in best}
    assert len(seen) == 6
