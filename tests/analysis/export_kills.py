"""A program: a study takes another's place in a database, killed before each commit in turn.

``python export_kills.py DATABASE STUDY`` exports the study, as it is now, over the one of its name
that is there, and prints how many commits there were: nobody sees anything between two of them. It
forks for each: the child exports and is killed, the parent looks at what it left.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy import Engine, event

import sweep
from sweep.analysis.study import Study


def content(path: Path) -> dict[str, Any]:
    """All that Optuna knows of each study."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    try:
        return {
            name: [
                (each.number, each.state, each.values, each.params, each.user_attrs,
                 each.intermediate_values, each.datetime_start, each.datetime_complete)
                for each in optuna.load_study(study_name=name, storage=storage).trials
            ]
            for name in optuna.get_all_study_names(storage)
        }  # fmt: skip
    finally:
        storage.remove_session()
        storage.engine.dispose()


def killed_at(number: int, path: Path, study: Study) -> bool:
    """Whether the child was killed, before its ``number``-th commit."""
    child = os.fork()
    if not child:
        left = number

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "commit", count)
        study.to_database(f"sqlite:///{path}", force=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def main(database: Path, root: Path) -> None:
    study, killed, mended, number = sweep.open_study(root), True, False, 0
    assert study.trials is not None  # read before the forks
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    copy, old = database.with_name("copy.db"), content(database)
    while killed:
        number += 1
        for path in database.parent.glob("copy.db*"):
            path.unlink()
        shutil.copy(database, copy)
        killed = killed_at(number, copy, study)
        now = content(copy)
        if killed:
            assert old.items() <= now.items(), number
            aside = {f"{study.name} (being exported)"}
            assert now.keys() - old.keys() <= aside, number
            if now.keys() - old.keys() and not mended:  # what a kill has left goes with the next
                mended = True
                study.to_database(f"sqlite:///{copy}", force=True)
                assert content(copy).keys() == old.keys()
    expected = [trial.number for trial in study.to_optuna().trials]
    assert [row[0] for row in now[study.name]] == expected
    assert len(expected) > len(old[study.name])
    print(number - 1)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
