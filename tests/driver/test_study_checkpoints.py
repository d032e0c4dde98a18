"""What a driver does with checkpoints when it hears of them: keeps, retires, sets aside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sweep.checkpoint.codec import encode
from sweep.checkpoint.draft import Draft
from sweep.checkpoint.record import CheckpointRecord, Content, Kind
from sweep.checkpoint.store import CheckpointStore
from sweep.driver.backend import Key, WorkerDied
from sweep.driver.prepare import open_study, request_run
from sweep.driver.verification import verify
from sweep.spec import parse_spec
from sweep.trial.message import Assignment, Restored, Saved

YAML = """
program: odd:sleeps
metric: {name: loss}
parameters: {x: {min: 0.0, max: 1.0}}
method: random
trials: 2
retries: 9
checkpoint: {keep: {last: 9, best: 0, bytes: 250KB}}
"""
EACH = 12_000
"""Of float64: two checkpoints fit into what is kept, three do not."""


class Driven:
    """A study whose workers are played by the test."""

    def __init__(self, store: Path) -> None:
        self.study = open_study(request_run(store, parse_spec(YAML, "s.yaml"), str(store)))
        self.study.begin({})
        self.store = CheckpointStore(self.study.paths.checkpoints)
        self.root = self.study.paths.checkpoints

    def dispatch(self, trial: int | None = None) -> Assignment:
        return self.study.assign(self.study.ask() if trial is None else trial)

    def save(self, by: Assignment, epoch: int, content: Content = Content.FULL) -> CheckpointRecord:
        draft = Draft(
            trial=by.trial,
            attempt=by.attempt,
            session=by.session,
            kind=Kind.PERIODIC,
            epoch=epoch,
            global_step=0,
            step=epoch,
            parent=None,
            metrics={},
            meta={},
            content=content,
        )
        record = self.store.write(draft, encode({"x": np.full(EACH, epoch + 10 * by.trial)}))
        self.study.handle(Key.of(by), Saved(record=record))
        return record

    def dies(self, who: Assignment) -> None:
        self.study.handle(Key.of(who), WorkerDied(reason="a test"))

    def kept(self, trial: int) -> list[str]:
        return [known.id for known in self.study.state.trials[trial].kept]

    def end(self) -> None:
        self.study.end("stopped", lambda entry: None)


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[Driven]:
    made = Driven(tmp_path)
    yield made
    made.end()


def test_what_a_restore_may_read_stays_until_it_has(driven: Driven) -> None:
    """All that an attempt may go on from stays, whatever the budget, until it says what it took."""
    first = driven.dispatch()
    older, newer = driven.save(first, 1), driven.save(first, 2)
    driven.dies(first)
    again = driven.dispatch(0)
    assert again.restore == (newer.manifest, older.manifest)
    other = driven.dispatch()
    driven.save(other, 1)
    assert driven.kept(0) == [older.id, newer.id]
    driven.study.handle(Key.of(again), Restored(checkpoint=newer.id))
    driven.save(other, 2)
    assert driven.kept(0) == [newer.id]


@pytest.mark.parametrize("content", [Content.PARTIAL, Content.LIGHT])
def test_only_full_ones_are_gone_on_from(driven: Driven, content: Content) -> None:
    """What does not hold the whole state is never handed to an attempt."""
    first = driven.dispatch()
    full = driven.save(first, 1)
    driven.save(first, 2, content)
    driven.dies(first)
    assert driven.dispatch(0).restore == (full.manifest,)


def test_what_was_passed_over_is_set_aside(tmp_path: Path) -> None:
    """A damaged checkpoint is no longer kept, and lies in the quarantine with the reason."""
    driven = Driven(tmp_path)
    first = driven.dispatch()
    older, newer = driven.save(first, 1), driven.save(first, 2)
    driven.dies(first)
    again = driven.dispatch(0)
    skipped = ((newer.manifest, "a flipped bit"),)
    driven.study.handle(Key.of(again), Restored(checkpoint=older.id, skipped=skipped))
    assert driven.kept(0) == [older.id]
    driven.end()
    assert driven.store.manifests(0) == [older.manifest]
    aside = driven.root / "quarantine" / newer.manifest.removesuffix(".json")
    assert (aside / "reason.txt").read_text() == "a flipped bit\n"


def test_the_same_position_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """A trial that comes to a position again after a resume leaves no file of the first time."""
    driven = Driven(tmp_path)
    first = driven.dispatch()
    driven.save(first, 1)
    before = driven.save(first, 2)
    driven.dies(first)
    again = driven.dispatch(0)
    driven.study.handle(Key.of(again), Restored(checkpoint=again.restore[1]))
    after = driven.save(again, 2)
    assert after.id == before.id
    driven.end()
    assert after.manifest in driven.store.manifests(0)
    assert before.manifest not in driven.store.manifests(0)
    assert not (driven.root / "blobs" / before.manifest.removesuffix(".json")).exists()


def test_retired_while_it_is_verified_is_no_damage(tmp_path: Path) -> None:
    """A look that read the journal before a checkpoint was retired, and its files after it."""
    driven = Driven(tmp_path)
    first = driven.dispatch()
    older = driven.save(first, 1)
    driven.save(first, 2)
    driven.study._logbook.flush()
    retired = list[str]()

    def retire(done: int, total: int, size: int) -> None:
        if not retired:
            driven.save(first, 3)
            driven.end()
            retired.extend({older.id}.difference(driven.kept(0)))
            assert older.manifest not in driven.store.manifests(0)

    found = verify(driven.study.paths, retire)
    assert retired == [older.id]
    assert found.whole, found.bad
