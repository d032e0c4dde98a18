"""Giving a study another name: its journal, its directory and its mirror come to agree."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweep import fsio
from sweep.driver.mirroring import catch_up, study_mirror
from sweep.errors import StoreError, UsageError
from sweep.journal.event import SpecChanged, StudyCreated
from sweep.journal.journal import read_state
from sweep.journal.lock import Lock
from sweep.journal.maintenance import maintenance
from sweep.journal.segment import read_entries
from sweep.paths import StudyPaths
from sweep.search.search import Search
from sweep.spec import StudySpec, dump_spec, parse_spec


def rename_study(paths: StudyPaths, name: str) -> StudyPaths:
    """Call a study that nobody runs ``name``; where it lies then.

    The journal has the new name first, so after a kill the same call ends what was begun.

    Raises:
        SpecError: no study can be called so.
        UsageError: there is one of that name, in the store or in the mirror.
        StudyLockedError: a driver runs it.
        StoreError: it cannot be written or moved.
        ProgramError: its space function cannot be had.
    """
    spec = StudySpec.accepted(read_state(paths.journal).spec)
    renamed = parse_spec(dump_spec(spec), str(paths.spec), [f"name={name}"])
    target = paths.root.with_name(renamed.name)
    if target == paths.root and spec.name == renamed.name:
        raise UsageError(f"{paths.name}: has that name already")
    if target != paths.root and target.exists():
        raise UsageError(f"{target}: is there already; choose another name, or `sweep rm` it")
    before, after = _folder(spec), _folder(renamed)
    if before != after and after is not None and after.exists():
        raise UsageError(f"{after}: is there already, in the mirror; choose another name")
    with maintenance(paths, "rename") as held:
        if spec.name != renamed.name:
            held.record(_changed(paths, spec, renamed))
        fsio.write_bytes(paths.spec, dump_spec(renamed).encode())
    if target != paths.root:
        lock = Lock(paths.lock)
        try:
            _move(paths.root, target)
        finally:
            lock.release()
    if before is not None and after is not None and before.exists():
        _move(before, after)
    return StudyPaths(target)


def bring_mirror_up(paths: StudyPaths) -> str | None:
    """Copy to the mirror what it lacks under the new name; what it still lacks, or None."""
    state = read_state(paths.journal)
    spec = StudySpec.accepted(state.spec)
    return None if study_mirror(spec) is None else catch_up(paths, spec, state.seq)


def _changed(paths: StudyPaths, spec: StudySpec, renamed: StudySpec) -> SpecChanged:
    """The event, with the trials that the space leaves out already, as a replay derives them."""
    search: Search | None = None
    project = ""
    for entry in read_entries(paths.journal):
        event = entry.event
        if isinstance(event, StudyCreated):
            search = Search(StudySpec.accepted(event.spec), event.project)
        if isinstance(event, StudyCreated | SpecChanged):
            project = event.project
        if search is not None:
            search.apply(event)
    if search is None:
        raise StoreError(f"{paths.root}: the study has not begun; run its YAML again")
    return search.accept(renamed, project, [f"name: {spec.name} -> {renamed.name}"])


def _folder(spec: StudySpec) -> Path | None:
    """The study's folder in its mirror, where that is a directory, which can be renamed."""
    uri = study_mirror(spec)
    if uri is None:
        return None
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else uri).expanduser()


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
        fsio.sync_directory(target.parent)
    except OSError as error:
        raise StoreError(f"{source}: cannot be moved to {target}: {error.strerror}") from error
