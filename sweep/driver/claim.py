"""A study that is about to run: it is locked, and seen as starting, before Ray has started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from sweep import fsio
from sweep.driver.inbox import clear_requests
from sweep.errors import StoreError
from sweep.journal.lock import Lock
from sweep.paths import StudyPaths


class Claim:
    """The right to run one study, which `open_study` takes over.

    Other processes may ask the study to stop from now on.
    """

    def __init__(self, paths: StudyPaths) -> None:
        """Raises:
        StudyLockedError: another driver has it.
        StoreError: its directory cannot be made.
        """
        self._paths = paths
        with _making(paths):
            fsio.make_directory(paths.root)
        self.lock = Lock(paths.lock, starting=True)
        try:
            with _making(paths):
                fsio.make_directory(paths.journal)
                paths.stop.unlink(missing_ok=True)
        except StoreError:
            self.lock.release()
            raise
        clear_requests(paths)

    def release(self) -> None:
        """Give the study free, and leave nothing of one that has not begun."""
        if self.lock.held and not self._paths.begun():
            with suppress(OSError):  # something else is there: then it stays
                self._paths.journal.rmdir()
                self._paths.lock.unlink()
                self._paths.root.rmdir()
        self.lock.release()


@contextmanager
def _making(paths: StudyPaths) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{paths.root}: cannot be made: {error.strerror}; give another --store"
        ) from error


@contextmanager
def claimed(places: Sequence[StudyPaths]) -> Iterator[dict[StudyPaths, Claim]]:
    """A claim of each study, until the block ends or its study has taken it over.

    Raises:
        StudyLockedError, StoreError: as `Claim`; then none is claimed.
    """
    with ExitStack() as stack:
        claims = {}
        for paths in places:
            claims[paths] = claim = Claim(paths)
            stack.callback(claim.release)
        yield claims
