"""Trials of several processes: saved together or not at all, and gone on with to the bit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trial_harness import PROJECT, Recorder, Runner, same

import sweep
from sweep.checkpoint.policy import Policy
from sweep.errors import UsageError
from sweep.trial import ranks
from sweep.trial.message import Verdict
from sweep.trial.outcome import Outcome

TRAIN = "rank_programs:train"


def runner(root: Path, program: str = TRAIN) -> Runner:
    return Runner(root, program, policy=Policy(steps=2))


@pytest.fixture
def happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], None]:
    """Has something happen in a rank, after so many steps; see `rank_programs.Events`."""

    def happen(what: str, rank: int, step: int) -> None:
        monkeypatch.setenv("EVENT", f"{what} {rank} {step} {tmp_path / f'{what}{step}'}")

    return happen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Runner, Recorder]:
    """A run of two processes that nothing has interrupted."""
    made = runner(tmp_path_factory.mktemp("whole"))
    link = made.run()
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    return made, link


def check_equal(made: Runner, link: Recorder, whole: tuple[Runner, Recorder]) -> None:
    expected, reference = whole
    assert link.ended.outcome is Outcome.COMPLETE, link.ended.error
    assert link.ended.returned == reference.ended.returned
    assert made.reports == expected.reports
    assert link.records[-1].id == reference.records[-1].id
    for rank in (0, 1):
        ours = made.store.read(link.records[-1].manifest, rank=rank).tree
        theirs = expected.store.read(reference.records[-1].manifest, rank=rank).tree
        for name in ("tracked", "rng", "loaders", "state"):
            assert same(ours[name], theirs[name]), (rank, name)


def test_each_rank_has_its_part(whole: tuple[Runner, Recorder]) -> None:
    """A checkpoint holds what each rank tracks, once where it is the same in both."""
    made, link = whole
    manifest = made.store.read(link.records[-1].manifest).manifest
    assert manifest.world_size == manifest.meta["world_size"] == 2
    zero, one = (
        made.store.read(link.records[-1].manifest, rank=rank).tree["tracked"] for rank in (0, 1)
    )
    assert same(zero["model"]["0.weight"], one["model"]["0.weight"])
    assert same(zero["same"], one["same"])
    assert not same(zero["own"], one["own"])
    large = [blob for blob in manifest.blobs if blob.shared]
    assert len(large) == 3, "one of both ranks, and one of each"


def test_a_rank_is_killed_and_another_told_to_go(
    tmp_path: Path, whole: tuple[Runner, Recorder], happen: Callable[[str, int, int], None]
) -> None:
    """SIGTERM on a rank: all save at that step. SIGKILL: it is named. They go on to the bit."""
    made = runner(tmp_path / "study")
    happen("SIGTERM", 1, 4)
    link = made.run()
    assert link.ended.outcome is Outcome.STOPPED
    assert [record.id for record in link.records][-1] == "3@1.5"
    assert link.records[-1].kind == "stop"

    happen("SIGKILL", 1, 8)
    link = made.run()
    assert link.ended.outcome is Outcome.FAILED
    assert link.ended.reason == "sweep.errors.RankError: rank 1 of 2 was killed by SIGKILL"

    link = made.run()
    # The one of step 7 may have been in flight.
    assert link.messages[0].checkpoint in ("3@1.5", "3@2.7")
    check_equal(made, link, whole)


def test_an_exception_names_its_rank(
    tmp_path: Path, happen: Callable[[str, int, int], None]
) -> None:
    """The attempt fails with the traceback of the rank that raised, not of those that were left."""
    happen("raise", 1, 2)
    ended = runner(tmp_path / "study").run().ended
    assert ended.outcome is Outcome.FAILED
    assert ended.reason == "sweep.errors.RankError: rank 1 of 2: ValueError: a bad batch"
    assert re.search(r'rank_programs.py", line \d+, in happen\n', ended.error or "")


@pytest.mark.parametrize(
    ("program", "ranks", "there"),
    [(TRAIN, "3", "3 processes"), ("rank_programs:train_alone", "1", "1 process")],
    ids=["three", "alone"],
)
def test_another_world_size_is_refused(
    whole: tuple[Runner, Recorder],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    ranks: str,
    there: str,
) -> None:
    """A checkpoint of two processes is not gone on with by three, nor by one alone."""
    made, link = whole
    monkeypatch.setenv("RANKS", ranks)
    other = runner(made.store._layout.root.parent, program)
    other.known = [link.records[0].manifest]
    ended = other.run(session=2).ended
    assert "checkpoint 3@0.2 was saved by 2 processes" in (ended.reason or "")
    assert f"but the trial has {there}" in (ended.reason or "")
    assert not ended.again


def test_an_end_that_was_not_recorded(whole: tuple[Runner, Recorder]) -> None:
    """Where only the final checkpoint is known, the trial is complete, and nothing runs again."""
    made, link = whole
    other = runner(made.store._layout.root.parent, "rank_programs:train_alone")
    other.known = [link.records[-1].manifest]
    ended = other.run(session=2).ended
    assert (ended.outcome, ended.returned) == (Outcome.COMPLETE, link.ended.returned)


def test_a_damaged_part_is_passed_over(
    whole: tuple[Runner, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage in the part of any rank is found before one is started; the next older one is used."""
    made, link = whole
    root = tmp_path / "copy"
    shutil.copytree(made.store._layout.root, root / "checkpoints")
    newest = link.records[-2].manifest.removesuffix(".json")
    path = root / "checkpoints" / "blobs" / newest / "state.1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    other = runner(root)
    other.known = [record.manifest for record in link.records[:-1]]
    monkeypatch.setenv("RANKS", "3")  # what is gone on from is in the message: none is started
    restored = other.run(session=2)
    assert restored.messages[0].checkpoint == link.records[-3].id
    assert "state.1.safetensors" in restored.messages[0].skipped[0][1]


@pytest.mark.long
@pytest.mark.parametrize("verdict", [Verdict.PRUNE, Verdict.PAUSE])
def test_a_verdict_is_every_ranks(tmp_path: Path, verdict: Verdict) -> None:
    """A trial that is to leave by a report of rank 0 is saved and left by all ranks at one step."""
    made = Runner(tmp_path, TRAIN, policy=Policy(steps=2), verdicts=True)
    link = made.run(
        Recorder(verdict=lambda report: verdict if report.step == 1 else Verdict.CONTINUE)
    )
    assert link.ended.outcome == f"{verdict}d", link.ended.error
    assert (link.records[-1].id, link.records[-1].kind) == ("3@2.6", f"{verdict}d")
    for rank in (0, 1):
        position = made.store.read(link.records[-1].manifest, rank=rank).tree["position"]
        assert (position["epoch"], position["global_step"]) == (2, 6)


@pytest.mark.long
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_killed_before_its_first_step(
    tmp_path: Path,
    whole: tuple[Runner, Recorder],
    happen: Callable[[str, int, int], None],
    rank: int,
) -> None:
    """Nothing was saved: the trial begins again, and ends with the same bits."""
    made = runner(tmp_path / "study")
    happen("SIGKILL", rank, 0)
    assert f"rank {rank} of 2 was killed by SIGKILL" in (made.run().ended.reason or "")
    assert made.known == []
    check_equal(made, made.run(), whole)


def test_a_rank_astray_is_found(tmp_path: Path, happen: Callable[[str, int, int], None]) -> None:
    """A rank that saves where the others do not fails the attempt, and says where it is."""
    happen("astray", 1, 3)
    ended = runner(tmp_path / "study").run().ended
    assert ended.outcome is Outcome.FAILED
    assert "rank 1 is at trial.checkpoint() (epoch 1, step 3)" in (ended.reason or "")


@pytest.mark.parametrize(
    ("ahead", "place"),
    [
        ("0", "rank 1 has come to the end of an epoch"),
        pytest.param("1", "rank 0 has come to the end of the trial", marks=pytest.mark.long),
    ],
)
def test_a_batch_more_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: str, place: str
) -> None:
    """One rank waits in a collective, the other at a safe point, or for the save made there: the
    attempt fails long before the process group's timeout, and says where each is."""
    monkeypatch.setattr(ranks, "LOOK_S", 0.2)
    monkeypatch.setenv("AHEAD", ahead)
    ended = Runner(tmp_path, "rank_programs:train_uneven", policy=Policy()).run().ended
    assert ended.outcome is Outcome.FAILED
    reason = ended.reason or ""
    assert reason.startswith(f"sweep.errors.RankError: {place}"), reason
    assert f"after 6 collectives of torch.distributed, but rank {ahead}, which has not" in reason
    assert "has called 7: they wait for each other" in reason


@pytest.mark.long
def test_looks_change_nothing(
    tmp_path: Path, whole: tuple[Runner, Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the ranks are asked where they are, none is accused, and the bits are equal."""
    monkeypatch.setattr(ranks, "LOOK_S", 0.001)
    made = runner(tmp_path)
    check_equal(made, made.run(), whole)


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a study the processes run as well, and what rank 0 reports and returns is there."""
    monkeypatch.syspath_prepend(PROJECT)
    import rank_programs

    trial = sweep.Trial.offline({"epochs": 2})
    returned = rank_programs.train(trial)
    assert [report.step for report in trial.reports] == [0, 1]
    assert returned == {"": trial.reports[-1]["loss"]}


def test_a_lambda_is_refused() -> None:
    """What another process could not import is refused before any is started."""
    with pytest.raises(UsageError, match="not a lambda"):
        sweep.Trial.offline({}).spawn(lambda trial: None, world_size=2)
