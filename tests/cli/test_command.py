"""The command line as users meet it: one clear line and an exit code for whatever goes wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import Project, until

import sweep
from sweep.journal.journal import read_state


def one_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


BAD_YAML = [
    ("parameters: {x: {min: 1, max: 0}}", "parameters.x"),
    ("parameters: {x: {min: 0, max: 1, distribution: log_uniform_values}}", "parameters.x.min"),
    ("parameters: {x: {values: []}}", "parameters.x.values"),
    ("parameters: {x: {min: 0, max: 1, when: {y: 1}}}", "y"),
    ("parameters: {a: {values: [1, 2]}, x: {min: 0, max: 1, when: {a: 9}}}", "9"),
    ("parameters: {x: {values: [1], when: {y: 1}}, y: {values: [1], when: {x: 1}}}", "when"),
    ("parameters: {x: {min: 0.0, max: 1.0}}\ntrails: 3", "did you mean"),
    ("parameters: {x: {min: 0.0, max: 1.0}}\ntrials: many", "trials"),
    ("parameters: [", "bad.yaml"),
]


@pytest.mark.parametrize(("content", "names"), BAD_YAML)
def test_bad_yaml_is_one_line_with_its_place(project: Project, content: str, names: str) -> None:
    """Each mistake in a YAML is one line with file and line, exit code 2, and nothing written."""
    base = "program: odd:returns_loss\nmethod: random\nmetric: {name: loss}\n"
    trials = "" if "trials" in content else "trials: 3\n"
    (project.root / "bad.yaml").write_text(base + trials + content + "\n")
    done = project.run("run", "bad.yaml")
    assert done.returncode == 2
    message = one_line(done.stderr)
    assert "bad.yaml:" in message
    assert names in message
    assert not project.store.exists()


def test_missing_file_and_wrong_override(project: Project) -> None:
    """A YAML that is not there and an override that fits nothing are named."""
    done = project.run("run", "none.yaml")
    assert done.returncode == 2
    assert "none.yaml" in one_line(done.stderr)
    done = project.run("run", project.spec("s"), "--set", "trails=5")
    assert done.returncode == 2
    assert "trials" in one_line(done.stderr)
    assert not project.store.exists()


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("nowhere:train", "nowhere"),
        ("odd:nothing", "nothing"),
        ("odd:NOT_CALLABLE", "NOT_CALLABLE"),
        ("broken:train", "broken"),
    ],
)
def test_program_that_cannot_be_had(project: Project, program: str, says: str) -> None:
    """A program that is missing, broken or no function is one line, and no study is made."""
    (project.root / "broken.py").write_text("def train(:\n")
    done = project.run("run", "--inline", project.spec("s", program=program))
    assert done.returncode == 2
    assert says in one_line(done.stderr)
    assert not (project.store / "s").exists()


@pytest.mark.ray
def test_program_is_checked_where_it_will_run(project: Project) -> None:
    """Under Ray the worker says what is wrong with the program, before a study is made."""
    done = project.run("run", project.spec("s", program="nowhere:train"))
    assert done.returncode == 2
    assert "nowhere" in one_line(done.stderr)
    assert not (project.store / "s").exists()


def test_metric_that_is_never_reported(project: Project) -> None:
    """The first finished trial without the metric ends the study, and says what it reported."""
    done = project.run("run", "--inline", project.spec("s", program="odd:other_metric"))
    assert done.returncode == 2
    early, late = done.stderr.splitlines()
    assert "trial 0 has reported accuracy, but not loss" in early
    assert "never reported 'loss'; it reported accuracy" in late
    fixed = project.run(
        "run", "--inline", project.spec("s", program="odd:other_metric"), "--set",
        "metric.name=accuracy",
    )  # fmt: skip
    assert fixed.returncode == 1, fixed.stderr  # the trial that failed stays failed


def test_store_that_cannot_be_written(project: Project) -> None:
    """A store that is a file is one line and exit code 3."""
    (project.root / "file").write_text("")
    done = project.run("run", "--inline", project.spec("s"), "--store", "file")
    assert done.returncode == 3
    assert "file" in one_line(done.stderr)


def test_torn_and_foreign_journals(project: Project) -> None:
    """A damaged journal is exit code 3 for every command that needs it, and stays as it is."""
    spec = project.spec("s")
    assert project.call("run", "--inline", spec).returncode == 0
    (segment,) = (project.store / "s" / "journal").glob("*.parquet")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-20])
    for command in (["run", "--inline", spec], ["show", "s"], ["resume", "s"], ["replay", "s"]):
        done = project.run(*command)
        assert done.returncode == 3, done
        assert segment.name in one_line(done.stderr)
    assert segment.read_bytes() == whole[:-20]
    listed = project.run("ls")
    assert listed.returncode == 0
    assert "damaged" in listed.stdout
    segment.write_bytes(whole)
    (segment.parent / "stray").touch()
    assert "stray" in one_line(project.run("show", "s").stderr)


def test_second_driver_is_refused(project: Project) -> None:
    """While a driver runs a study, a second one is refused with the first one's number."""
    spec = project.spec("s", program="odd:sleeps", trials=1)
    first = project.start("run", "--inline", spec)
    until(lambda: (project.root / "running-0").exists())
    second = project.call("run", "--inline", spec)
    assert second.returncode == 3
    assert str(first.pid) in one_line(second.stderr)


def test_changed_space_is_refused_with_the_difference(project: Project) -> None:
    """Another space, metric or method is refused and shown; nothing of the study changes."""
    spec = project.spec("s")
    assert project.call("run", "--inline", spec).returncode == 0
    before = sorted((project.store / "s" / "journal").iterdir())
    for override, shown in [
        ("parameters.x.max=2.0", "parameters.x.max: 1.0 -> 2.0"),
        ("metric.name=accuracy", "metric.name"),
        ("metric.goal=maximize", "metric.goal"),
        ("method=tpe", "method"),
        ("seed=9", "seed"),
    ]:
        done = project.call("run", "--inline", spec, "--set", override)
        assert done.returncode == 2
        assert shown in done.stderr
    assert sorted((project.store / "s" / "journal").iterdir()) == before


def test_more_trials_go_on(project: Project) -> None:
    """A complete study says so; with more trials it goes on, and the old ones stay."""
    spec = project.spec("s")
    assert project.call("run", "--inline", spec).returncode == 0
    first = sweep.open_study(project.store / "s").trials
    again = project.run("run", spec)  # not inline: Ray must not be needed
    assert again.returncode == 0
    assert "already complete" in again.stdout
    assert project.run("run", "--inline", spec, "--set", "trials=5").returncode == 0
    second = sweep.open_study(project.store / "s").trials
    assert len(second) == 5
    pd.testing.assert_frame_equal(second.head(3), first)
    assert project.call("replay", "s").returncode == 0


def test_complete_study_starts_no_ray(project: Project) -> None:
    """Running a complete study loads neither Ray nor torch."""
    spec = project.spec("s")
    assert project.call("run", "--inline", spec).returncode == 0
    again = project.run("run", spec, PYTHONPROFILEIMPORTTIME="1")
    assert again.returncode == 0
    imported = {line.split("|")[-1].strip() for line in again.stderr.splitlines()}
    assert "sweep" in imported
    assert not imported & {"ray", "torch"}


def test_failed_trials_are_shown(project: Project) -> None:
    """A raising trial is tried again, then failed with its traceback; the study goes on: exit 1."""
    spec = project.spec("s", program="odd:raises", retries=2)
    done = project.call("run", "--inline", spec)
    assert done.returncode == 1
    trials = sweep.open_study(project.store / "s").trials
    assert list(trials["state"]) == ["FAILED"] * 3
    assert list(trials["attempts"]) == [3, 3, 3]
    assert trials["error"].str.contains("RuntimeError: no luck").all()
    shown = project.run("show", "s/1").stdout
    assert "Traceback" in shown
    assert "no luck with" in shown


def test_raising_trial_goes_on_from_its_checkpoint(project: Project) -> None:
    """A trial that raised once goes on from its last checkpoint and completes."""
    spec = project.spec("s", program="odd:raises_once")
    assert project.call("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "s")
    assert list(study.trials["attempts"]) == [2, 2, 2]
    assert list(study.reports[study.reports["trial"] == 0]["attempt"]) == [1, 1, 2, 2]


def test_mismatch_is_not_tried_again(project: Project) -> None:
    """A trial that its checkpoint does not fit fails at once, whatever `retries` says, and says
    what to do; put right, a fork goes on where it was."""
    spec = project.spec("s", program="odd:tracks_another", retries=9, trials=1)
    assert project.call("run", "--inline", spec).returncode == 1
    trial = sweep.open_study(project.store / "s").trials.iloc[0]
    assert (trial["state"], trial["attempts"]) == ("FAILED", 2)
    assert "holds model, but the trial tracks other: track the same objects" in trial["reason"]
    assert "not tried again" in trial["reason"]
    (project.root / "changed").unlink()
    assert project.call("fork", "s/0").returncode == 0
    assert project.run("resume", "--inline").returncode == 1
    study = sweep.open_study(project.store / "s")
    assert study.trials["state"][1] == "COMPLETE"
    assert study.reports[study.reports["trial"] == 1]["step"].min() > 0


def test_nan_is_a_failed_trial(project: Project) -> None:
    """A NaN objective fails its trial, is told as the worst, and is not tried again."""
    spec = project.spec("s", program="odd:is_nan", trials=4)
    assert project.call("run", "--inline", spec).returncode == 1
    study = sweep.open_study(project.store / "s")
    assert list(study.trials["state"]) == ["COMPLETE", "FAILED", "COMPLETE", "FAILED"]
    assert list(study.trials["attempts"]) == [1, 1, 1, 1]
    assert list(study.iterations["trial"]) == [0, 1, 2, 3]
    assert list(study.iterations["best_trial"]) == [0, 0, 0, 0]


def test_resume_needs_no_yaml(project: Project) -> None:
    """`sweep resume` goes on with every interrupted study, and only with those."""
    spec = project.spec("s", trials=3)
    other = project.spec("other", program="odd:sleeps", trials=1)
    assert project.call("run", "--inline", spec).returncode == 0
    running = project.start("run", "--inline", other)
    until(lambda: (project.root / "running-0").exists())
    assert "no interrupted study" in project.run("resume").stdout
    running.terminate()
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 143
    assert out.splitlines()[-1].endswith("sweep resume other")
    other.unlink()
    again = project.start("resume", "--inline")
    until(lambda: read_state(project.store / "other" / "journal").trials[0].attempts == 2)
    assert "running" in project.run("ls").stdout
    again.terminate()
    assert again.wait(timeout=30) == 143
    assert sweep.open_study(project.store / "other").trials["attempts"][0] == 2


def test_json_everywhere(project: Project) -> None:
    """`--json` prints valid JSON for every command that prints."""
    spec = project.spec("s", program="odd:is_nan", trials=2)
    lines = project.call("run", "--inline", "--json", spec).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record.get("trial") for record in records[:2]] == [0, 1]
    assert records[-1]["reason"] == "complete"
    for command in (["ls"], ["show", "s"], ["show", "s/0"], ["best", "s"], ["replay", "s"]):
        done = project.run(*command, "--json")
        assert done.returncode == 0, done.stderr
        json.loads(one_line(done.stdout))
    assert json.loads(project.run("stop", "s", "--json").stdout)["state"] == "not running"
    assert json.loads(project.run("resume", "--json").stdout) == {"studies": []}
    assert "properties" in json.loads(project.run("schema").stdout)


def test_unknown_study_lists_what_there_is(project: Project) -> None:
    """A study that is not there is one line that names those that are."""
    assert project.call("run", "--inline", project.spec("s")).returncode == 0
    for command in ("show", "best", "stop", "resume", "replay"):
        done = project.run(command, "nope")
        assert done.returncode == 3
        message = one_line(done.stderr)
        assert "nope" in message
        assert "there is: s" in message
    assert "has no trial 77" in one_line(project.run("show", "s/77").stderr)


def test_empty_store(project: Project) -> None:
    """Without a study, `ls` and `resume` say so and are no errors."""
    for command in ("ls", "resume"):
        done = project.run(command)
        assert done.returncode == 0
        one_line(done.stdout)


def test_two_sweeps_of_one_name(project: Project) -> None:
    """Two files with the same study name in one command are refused."""
    done = project.run("run", project.spec("a", name="x"), project.spec("b", name="x"))
    assert done.returncode == 2
    assert "'x'" in one_line(done.stderr)


def test_timeout_ends_the_study(project: Project) -> None:
    """When the time is up the running trial saves, and the study says so; more time goes on."""
    spec = project.spec("s", program="odd:sleeps", trials=1, timeout=0.5)
    done = project.call("run", "--inline", spec)
    assert done.returncode == 124, done.stderr
    assert "timeout" in done.stdout
    assert "timeout" in project.call("run", "--inline", spec).stdout
    state = sweep.open_study(project.store / "s").trials["state"][0]
    assert state == "RUNNING"


def test_init_gives_a_sweep_that_runs(project: Project) -> None:
    """What `sweep init` writes runs as it is, and is never overwritten."""
    assert project.run("init", "new").returncode == 0
    new = Project(project.root / "new")
    done = new.run("run", "--inline", "my_sweep.yaml", "--set", "trials=2")
    assert done.returncode == 0, done.stderr
    other = project.run("init", "other", "--json")
    assert json.loads(other.stdout)["files"] == ["my_trial.py", "my_sweep.yaml"]
    again = project.run("init", "new")
    assert again.returncode == 2
    assert "is there already" in one_line(again.stderr)


def test_help_says_of_each_command_what_it_does() -> None:
    """In a whole sentence: none is cut."""
    command = [sys.executable, "-m", "sweep", "--help"]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "  top " in said
    described = said.partition("Commands:")[2].splitlines()
    assert len(described) > 10
    assert [line for line in described if line.endswith("...")] == []


def test_help_is_quick() -> None:
    """`sweep --help` takes a quarter of a second at most: of CPU time, whatever else runs here."""
    import resource

    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "sweep", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.25, times


@pytest.mark.ray
def test_several_sweeps_share_the_slots(project: Project) -> None:
    """Three specs on two slots run together: none waits until another is complete."""
    names = ["a", "b", "c"]
    done = project.run("run", *(project.spec(name, trials=30) for name in names))
    assert done.returncode == 0, done.stderr
    tables = project.store.glob("*/tables/trials.parquet")
    starts = [pd.read_parquet(path)["started"] for path in tables]
    assert len(starts) == 3
    assert max(start.min() for start in starts) < min(start.max() for start in starts)
    assert all(f"{name}: complete: 30 trials" in done.stdout for name in names)


@pytest.mark.ray
def test_asking_for_more_than_there_is(project: Project) -> None:
    """A trial that can never be placed is refused instead of waited for."""
    done = project.run("run", project.spec("s", resources={"cpu": 4096}))
    assert done.returncode == 2
    assert "4096" in one_line(done.stderr)
    assert not (project.store / "s").exists()


def test_shipped_specs_are_valid() -> None:
    """Every YAML in search_spaces/ loads."""
    from sweep.spec import load_spec

    root = Path(__file__).parents[2] / "search_spaces"
    assert {load_spec(path).name for path in root.glob("*.yaml")} == {"digits", "chars", "tabular"}


def test_shipped_schema_is_current(project: Project) -> None:
    """The schema that editors are pointed at is the one that `sweep schema` prints."""
    shipped = Path(__file__).parents[2] / "search_spaces" / "schema.json"
    assert json.loads(shipped.read_text()) == json.loads(project.run("schema").stdout)


def test_changed_goal_turns_the_search_around(project: Project) -> None:
    """A metric that is mended before the first result is the one that the sampler gets."""
    spec = project.spec("s", program="odd:other_metric", method="tpe", trials=3)
    assert project.call("run", "--inline", spec).returncode == 2
    mended = project.spec(
        "s",
        program="odd:returns_loss",
        method="tpe",
        trials=40,
        metric={"name": "loss", "goal": "maximize"},
    )
    assert project.call("run", "--inline", mended).returncode == 1  # the first one stays failed
    trials = sweep.open_study(project.store / "s").trials
    assert trials["params.x"].tail(15).mean() > 0.7
    assert project.call("replay", "s").returncode == 0


def test_full_disk_halts_and_fails_no_trial(project: Project) -> None:
    """A checkpoint that the store refuses ends the run with exit code 3; with room it goes on."""
    (project.root / "large.py").write_text(
        "import numpy as np\n\n\nclass Large:\n"
        "    def state_dict(self):\n        return {'a': np.zeros(200_000)}\n\n"
        "    def load_state_dict(self, state):\n        pass\n\n\n"
        "def train(trial):\n    trial.track(large=Large())\n"
        "    for epoch in trial.epochs(3):\n        trial.report(loss=float(epoch))\n"
    )
    spec = project.spec("s", program="large:train", trials=2)
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "sys.argv = ['sweep', 'run', '--inline', sys.argv[1]]\n"
        "from sweep.cli.main import main\nmain()\n"
    )
    full = subprocess.run(
        [sys.executable, "-c", limited, str(spec)],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 3, full.stderr
    assert "cannot be saved" in one_line(full.stderr)
    assert project.call("run", "--inline", spec).returncode == 0
    assert set(sweep.open_study(project.store / "s").trials["state"]) == {"COMPLETE"}


def test_removed_lock_ends_the_driver(project: Project) -> None:
    """A driver whose lock file was removed writes no more, so that a second one can."""
    spec = project.spec("s", program="odd:sleeps", trials=1)
    first = project.start("run", "--inline", spec)
    until(lambda: (project.root / "running-0").exists())
    (project.store / "s" / "lock").unlink()
    _, err = first.communicate(timeout=30)
    assert first.returncode == 3
    assert "lock" in one_line(err)
    second = project.start("run", "--inline", spec)
    until(lambda: "running" in project.run("ls").stdout)
    second.terminate()
    assert second.wait(timeout=30) == 143


def test_copies_and_beginnings_do_not_confuse_resume(project: Project) -> None:
    """A copied study is refused by name; one that never began is passed over."""
    spec = project.spec("s", program="odd:sleeps", trials=1)
    running = project.start("run", "--inline", spec)
    until(lambda: (project.root / "running-0").exists())
    running.terminate()
    running.communicate(timeout=30)
    (project.store / "unborn" / "journal").mkdir(parents=True)
    shutil.copytree(project.store / "s", project.store / "copy")
    done = project.run("resume", "--inline")
    assert done.returncode == 2
    assert "'s'" in one_line(done.stderr)


@pytest.mark.ray
def test_unwritable_log_and_closed_output_do_not_hang(project: Project) -> None:
    """A worker that cannot write its log, or whose output a trial has closed, goes on."""
    (project.root / "closes.py").write_text(
        "import sys\n\n\ndef train(trial):\n    print('hello')\n    sys.stdout.close()\n"
        "    return 1.0\n"
    )
    (project.store / "s").mkdir(parents=True)
    (project.store / "s" / "logs").touch()
    done = project.run("run", project.spec("s", program="closes:train", concurrency=1))
    assert done.returncode == 1, done.stderr  # later trials cannot print, and say so
    assert list(sweep.open_study(project.store / "s").trials["attempts"]) == [1, 2, 2]


def test_value_of_an_early_stop_does_not_choose_the_checkpoint(project: Project) -> None:
    """The best checkpoint is that of the best report, also where the function returns the best."""
    (project.root / "early.py").write_text(
        "def train(trial):\n    trial.track()\n    values = [3.0, 1.0, 2.0, 4.0]\n"
        "    for epoch in trial.epochs(4):\n        trial.report(loss=values[epoch])\n"
        "    return min(values)\n"
    )
    spec = project.spec("s", program="early:train", trials=1)
    assert project.call("run", "--inline", spec).returncode == 0
    study = sweep.open_study(project.store / "s")
    kept = study.checkpoints[study.checkpoints["retired"].isna()]
    assert list(kept["id"]) == ["0@2.0", "0@4.0.final"]
    assert study.trials["value"][0] == 1.0
    assert study.load_checkpoint("0@2.0") == {}
