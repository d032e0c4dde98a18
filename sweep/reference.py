"""From ``package.module:name`` to what it names, imported from a project's directory."""

from __future__ import annotations

import importlib
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from sweep.errors import ProgramError


def load(reference: str, project: str, what: str) -> tuple[ModuleType, Any]:
    """Import what ``reference`` names, with the directory ``project`` first on ``sys.path``.

    The module, and the object in it. ``what`` begins each message: ``program 'cnn:train'``.

    Raises:
        ProgramError: it cannot be had, in one line; the cause is the exception of user code.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise ProgramError(f"{what}: must read module:function, as in trials.cnn:train")
    put_first(project)
    _forget_other(module_name, project)
    module = _import(what, module_name, project)
    return module, _attribute(what, module, name)


def put_first(project: str) -> None:
    """Make ``project`` the first place in which modules are looked for."""
    if project in sys.path:
        sys.path.remove(project)
    sys.path.insert(0, project)


def _import(what: str, name: str, project: str) -> ModuleType:
    if name not in sys.modules:
        importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ProgramError(f"{what}: there is no module {error.name!r} in {project}") from error
        raise _failed(what, name, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failed(what, name, error) from error


def _failed(what: str, name: str, error: BaseException) -> ProgramError:
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if "importlib" not in frame.filename][1:]
    where = f" ({users[-1].filename}:{users[-1].lineno})" if users else ""
    lines = str(error).splitlines() or [""]
    reason = f"{type(error).__name__}: {lines[0]}"
    return ProgramError(f"{what}: importing {name} failed: {reason}{where}")


def _attribute(what: str, module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            close = get_close_matches(part, [known for known in vars(found) if known[0] != "_"], 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ProgramError(
                f"{what}: {module.__name__} ({module.__file__}) has no {part!r}{hint}"
            )
        found = getattr(found, part)
    return found


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
