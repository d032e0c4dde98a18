"""From ``package.module:function`` to the function."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from sweep.errors import ProgramError


def load_program(program: str, project: str) -> Callable[[Any], Any]:
    """Import the trial function ``program`` with the directory ``project`` first on ``sys.path``.

    Raises:
        ProgramError: it cannot be had, in one line; the cause is the exception of user code.
    """
    module_name, _, function_name = program.partition(":")
    if not module_name or not function_name:
        raise ProgramError(
            f"program {program!r}: must read module:function, as in trials.cnn:train"
        )
    if project in sys.path:
        sys.path.remove(project)
    sys.path.insert(0, project)
    module, function = _known.get((program, project), (None, None))
    if function is not None and sys.modules.get(module_name) is module:
        there: object = getattr(module, function_name, None)
        if there is function:
            return function
    _forget_other(module_name, project)
    imported = _import(program, module_name, project)
    function = _function(program, imported, function_name)
    _known[program, project] = imported, function
    return function


_known: dict[tuple[str, str], tuple[ModuleType, Callable[[Any], Any]]] = {}
"""What was loaded: a worker runs thousands of trials of one program, and looking costs time."""


def _import(program: str, name: str, project: str) -> ModuleType:
    if name not in sys.modules:
        importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ProgramError(
                f"program {program!r}: there is no module {error.name!r} in {project}"
            ) from error
        raise _failed(program, name, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failed(program, name, error) from error


def _failed(program: str, name: str, error: BaseException) -> ProgramError:
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if "importlib" not in frame.filename][1:]
    where = f" ({users[-1].filename}:{users[-1].lineno})" if users else ""
    lines = str(error).splitlines() or [""]
    reason = f"{type(error).__name__}: {lines[0]}"
    return ProgramError(f"program {program!r}: importing {name} failed: {reason}{where}")


def _function(program: str, module: ModuleType, name: str) -> Callable[[Any], Any]:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            close = get_close_matches(part, [known for known in vars(found) if known[0] != "_"], 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ProgramError(
                f"program {program!r}: {module.__name__} ({module.__file__}) has no {part!r}{hint}"
            )
        found = getattr(found, part)
    if not callable(found):
        raise ProgramError(
            f"program {program!r}: {name} is {type(found).__name__}, not a function that takes "
            "a trial"
        )
    _check_signature(program, found)
    return found  # type: ignore[no-any-return]


def _check_signature(program: str, function: Callable[[Any], Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it will be seen when it is called
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise ProgramError(
            f"program {program!r}: its parameters are {signature}; it must take one argument, "
            "the trial"
        ) from error


def _forget_other(name: str, project: str) -> None:
    """Drop a module of that name, and its package, which another project has left in here."""
    loaded = sys.modules.get(name)
    if loaded is None:
        return
    base = Path(project, *name.split("."))
    for ours in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if ours.is_file():
            if loaded.__file__ is not None and not ours.samefile(loaded.__file__):
                top = name.partition(".")[0]
                for other in [other for other in sys.modules if f"{other}.".startswith(f"{top}.")]:
                    del sys.modules[other]
            return
