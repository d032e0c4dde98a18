"""Where everything of a study lies. The one place that knows file names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StudyPaths:
    """The files of one study below its directory ``root``."""

    root: Path

    @classmethod
    def of(cls, store: str | Path, study: str) -> StudyPaths:
        return cls(Path(store).absolute() / study)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def journal(self) -> Path:
        """Directory of the Parquet segments: the truth."""
        return self.root / "journal"

    @property
    def tables(self) -> Path:
        """Directory of the derived tables."""
        return self.root / "tables"

    @property
    def checkpoints(self) -> Path:
        """Root of `manifests/` and `blobs/`."""
        return self.root / "checkpoints"

    @property
    def memos(self) -> Path:
        """Values that `Trial.once` keeps: `study/` and `<trial>/`."""
        return self.root / "memos"

    @property
    def scratch(self) -> Path:
        """Root of the trials' own directories, `<trial>/<session>.<attempt>`."""
        return self.root / "scratch"

    @property
    def spec(self) -> Path:
        """Readable copy of the accepted spec; the journal holds the one that counts."""
        return self.root / "spec.yaml"

    @property
    def report(self) -> Path:
        """What `sweep report` writes where nobody says another place; derived."""
        return self.root / "report.html"

    @property
    def trackers(self) -> Path:
        """How far each tracker is, ``<name>.json``, and what its library had to say."""
        return self.root / "trackers"

    @property
    def trackers_lock(self) -> Path:
        """Held by the one process that sends to the trackers."""
        return self.trackers / "lock"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, `<trial>/`, where the spec names no other place."""
        return self.root / "tensorboard"

    @property
    def wandb(self) -> Path:
        """W&B's runs, as `wandb sync` takes them."""
        return self.root / "wandb"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def stop(self) -> Path:
        """A request to the driver to end; its content names who asked."""
        return self.root / "stop"

    @property
    def gc(self) -> Path:
        """A request to the driver to clean up; its content is the request's name."""
        return self.root / "gc"

    @property
    def gc_answer(self) -> Path:
        """What the driver did about the newest such request, as JSON."""
        return self.root / "gc.answer"

    def log(self, trial: int) -> Path:
        """What a trial printed on workers, all attempts one after another."""
        return self.root / "logs" / f"{trial:05d}.log"

    def trace(self, trial: int, attempt: int) -> Path:
        """How far an attempt has come, see `sweep.trial.trace`."""
        return self.root / "traces" / f"{trial:05d}.{attempt}"

    @property
    def requests(self) -> Path:
        """What other processes ask the driver to do, and its answers; a file each."""
        return self.root / "requests"

    @property
    def quarantine(self) -> Path:
        """Where damaged parts of the journal are set aside."""
        return self.root / "quarantine"

    def exists(self) -> bool:
        """True where a study's journal has begun."""
        return self.journal.is_dir()

    def begun(self) -> bool:
        """Whether anything of the study was committed; damage counts as something."""
        try:
            return any(not each.name.startswith(".") for each in self.journal.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return False
