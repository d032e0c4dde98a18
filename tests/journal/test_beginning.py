"""How a study began is read from the first row of its journal, and from no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from journal_events import asked, created, reported

from sweep.errors import JournalError, StudyNotFoundError
from sweep.journal import segment
from sweep.journal.event import Entry
from sweep.journal.journal import Journal, beginning_of, first_event, read_state


def write(directory: Path, count: int) -> None:
    journal = Journal(directory, clock=lambda: 7.5)
    journal.append(created(), asked(0), *(reported(0, step, 1.0) for step in range(count)))
    journal.close()


def test_one_row_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the journal is."""
    write(tmp_path, 3000)
    decoded: list[int] = []
    decode = segment.decode_rows

    def counted(columns: Mapping[str, Sequence[Any]]) -> Iterator[Entry]:
        decoded.extend(columns["seq"])
        return decode(columns)

    monkeypatch.setattr(segment, "decode_rows", counted)
    assert beginning_of(tmp_path) == (created(), 7.5)
    assert decoded == [0]


def test_nothing_has_begun(tmp_path: Path) -> None:
    """Where no event is committed."""
    assert beginning_of(tmp_path) is None
    assert first_event(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"PAR1PAR1", None])
def test_damage_is_named(tmp_path: Path, content: bytes | None) -> None:
    """With the file: empty, foreign, or cut off."""
    write(tmp_path, 5)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5] if content is None else content)
    with pytest.raises(JournalError, match=f"{file}: torn"):
        beginning_of(tmp_path)


@pytest.mark.parametrize("read", [beginning_of, read_state])
def test_a_link_to_nothing_is_damage(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    """And no segment that was compacted away since it was listed: nobody waits for it to go."""
    write(tmp_path, 5)
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match=f"{file}: a link to a file that is missing"):
        read(tmp_path)


@pytest.mark.parametrize("read", [beginning_of, read_state])
def test_a_study_that_is_removed_meanwhile_is_gone(
    tmp_path: Path, read: Callable[[Path], Any]
) -> None:
    """It is said in a line, and is no bare error of the system's."""
    with pytest.raises(StudyNotFoundError, match=f"{tmp_path}: the study is gone"):
        read(tmp_path / "journal")


def test_another_event_is_no_beginning(tmp_path: Path) -> None:
    """It is said which one it is."""
    journal = Journal(tmp_path)
    journal.append(asked(0))
    journal.close()
    with pytest.raises(JournalError, match="begins with a trial_asked"):
        beginning_of(tmp_path)
