"""Every error that `sweep` raises on purpose.

::

    SweepError                       exit code
    +-- UsageError (ValueError)          2      a command or a call that makes no sense
    +-- SpecError (ValueError)           2      the YAML is wrong; says file, line and path
    +-- SpecChangedError (ValueError)    2      the YAML is not the one the study was made with
    +-- ProgramError (ImportError)       2      the trial function cannot be had
    +-- MetricError (KeyError)           2      the objective was never reported
    +-- ResourceError (ValueError)       2      a trial asks for more than there is
    +-- RankError                        1      one of the processes of a trial has failed
    +-- BackendError (RuntimeError)      4      what trials run on died: Ray, its head, its network
    +-- StoreError (OSError)             3      the store cannot be read or written
        +-- StudyNotFoundError (FileNotFoundError)
        +-- StudyLockedError             another driver writes this study
        +-- JournalError                 a segment is torn, foreign or missing
        |   +-- JournalVersionError      written by a newer `sweep`
        +-- MirrorError                  the mirror is not this study's, or is damaged
        +-- ReplayError                  a suggestion does not follow from the journal
        +-- CheckpointError              a checkpoint cannot be saved or restored
            +-- CheckpointDamagedError   a file is missing or its bytes are not those saved
            +-- CheckpointMismatchError  a checkpoint of something else: names both sides
                +-- CheckpointVersionError  ... written by a newer sweep: nothing was changed

A message says what is wrong, where, and what to do next. Control flow of a trial (pruned, stopped)
is not an error: see `sweep.trial.outcome`.
"""

from __future__ import annotations

from collections.abc import Sequence


class SweepError(Exception):
    """Base of all errors of this package; ``exit_code`` is what the command line ends with."""

    exit_code = 1

    def __str__(self) -> str:  # KeyError would print the repr of its argument
        return ", ".join(str(argument) for argument in self.args)


class UsageError(SweepError, ValueError):
    exit_code = 2


class SpecError(SweepError, ValueError):
    """A spec that is not valid. One line per problem: ``file:line: path: what is wrong``."""

    exit_code = 2


class SpecChangedError(SweepError, ValueError):
    """The spec differs from the accepted one in a way that nobody has accepted.

    ``changes`` are [path, old, new] for each difference that is in the way, as text.
    """

    exit_code = 2

    def __init__(self, message: str, changes: Sequence[tuple[str, str, str]] = ()) -> None:
        super().__init__(message)
        self.changes = changes


class ProgramError(SweepError, ImportError):
    """The trial function cannot be imported, or is no function."""

    exit_code = 2


class MetricError(SweepError, KeyError):
    """A finished trial never reported the metric that the study optimises."""

    exit_code = 2


class ResourceError(SweepError, ValueError):
    """A trial asks for more than the machine or the cluster has."""

    exit_code = 2


class RankError(SweepError):
    """One of several processes of a trial has failed: says which, and of what.

    ``again`` is False where another attempt would fail alike.
    """

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class BackendError(SweepError, RuntimeError):
    """What executes trials has died and cannot be started again. The study can be resumed."""

    exit_code = 4


class StoreError(SweepError, OSError):
    exit_code = 3


class StudyNotFoundError(StoreError, FileNotFoundError):
    pass


class StudyLockedError(StoreError):
    pass


class JournalError(StoreError):
    pass


class JournalVersionError(JournalError):
    pass


class ReplayError(StoreError):
    pass


class MirrorError(StoreError):
    pass


class CheckpointError(StoreError):
    pass


class CheckpointDamagedError(CheckpointError):
    pass


class CheckpointMismatchError(CheckpointError):
    pass


class CheckpointVersionError(CheckpointMismatchError):
    pass
