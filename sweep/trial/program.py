"""From ``package.module:function`` to the function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from sweep import reference
from sweep.errors import ProgramError


def load_program(program: str, project: str) -> Callable[[Any], Any]:
    """Import the trial function ``program`` with the directory ``project`` first on ``sys.path``.

    Raises:
        ProgramError: it cannot be had, in one line; the cause is the exception of user code.
    """
    module_name, _, function_name = program.partition(":")
    module, function = _known.get((program, project), (None, None))
    if function is not None and sys.modules.get(module_name) is module:
        there: object = getattr(module, function_name, None)
        if there is function:
            reference.put_first(project)
            return function
    module, found = reference.load(program, project, f"program {program!r}")
    function = _checked(program, function_name, found)
    _known[program, project] = module, function
    return function


_known: dict[tuple[str, str], tuple[ModuleType, Callable[[Any], Any]]] = {}
"""What was loaded: a worker runs thousands of trials of one program, and looking costs time."""


def _checked(program: str, name: str, found: Any) -> Callable[[Any], Any]:
    if not callable(found):
        raise ProgramError(
            f"program {program!r}: {name} is {type(found).__name__}, not a function that takes "
            "a trial"
        )
    function: Callable[[Any], Any] = found
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it will be seen when it is called
        return function
    try:
        signature.bind(None)
    except TypeError as error:
        raise ProgramError(
            f"program {program!r}: its parameters are {signature}; it must take one argument, "
            "the trial"
        ) from error
    return function
