"""Groups of parameters: ``lr`` in the group ``optimizer`` is the parameter ``optimizer.lr``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sweep.spec.problem import Path, Problem
from sweep.spec.rule import wrong_name
from sweep.spec.suggestion import brief

_KEYS = ("parameters", "when")
_NEEDS_ONE = "is empty: needs at least one parameter"


@dataclass
class Flat:
    """Parameters without groups.

    ``parameters`` maps full names to what was written about them, ``paths`` to where; ``problems``
    are those of the groups themselves, with paths as written.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def written(self, path: Path) -> Path:
        """Where in the document a path lies that has a parameter's full name."""
        if len(path) > 1 and path[0] == "parameters" and path[1] in self.paths:
            return (*self.paths[str(path[1])], *path[2:])
        return path


@dataclass(frozen=True, slots=True)
class _Group:
    """The groups around a parameter. ``conditions`` pairs each condition of theirs with the names
    of the groups around it, in which it looks for what it names."""

    names: tuple[str, ...] = ()
    path: Path = ("parameters",)
    conditions: tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...] = ()


def flatten(written: Mapping[str, Any]) -> Flat:
    """The parameters of all groups under their full names, in the order written.

    The condition of a group is one of each parameter in it. A condition names a parameter of the
    same group, or of one around it, by its name there, and any other by its full name.
    """
    flat = Flat()
    groups: dict[str, _Group] = {}
    for key, parameter, group in _members(flat, written, _Group()):
        name, path = ".".join((*group.names, key)), (*group.path, key)
        if name in groups:
            message = f"{name} is there twice: in a group, and by a name with a dot"
            flat.problems.append(Problem(path, message))
        else:
            flat.parameters[name], flat.paths[name], groups[name] = parameter, path, group
    for name, group in groups.items():
        parameter = flat.parameters[name]
        if group.names and isinstance(parameter, Mapping):
            flat.parameters[name] = _with_conditions(flat, name, parameter, group, groups)
    return flat


def _members(
    flat: Flat, written: Mapping[str, Any], group: _Group
) -> Iterator[tuple[str, Any, _Group]]:
    for key, item in written.items():
        opens = isinstance(item, Mapping) and "parameters" in item
        if (group.names or opens) and (wrong := wrong_name(key)) is not None:
            flat.problems.append(Problem((*group.path, key), wrong))
        elif not opens:
            yield key, item, group
        else:
            path = (*group.path, key)
            problems = list(_wrong_group(item))
            flat.problems += [Problem(path + each.path, each.message) for each in problems]
            if not problems:
                when = ((group.names, item["when"]),) if "when" in item else ()
                inner = _Group((*group.names, key), (*path, "parameters"), group.conditions + when)
                yield from _members(flat, item["parameters"], inner)


def _wrong_group(group: Mapping[str, Any]) -> Iterator[Problem]:
    for key in group:
        if key not in _KEYS:
            yield Problem((key,), "cannot stand beside parameters: a group has no values itself")
    inner, when = group["parameters"], group.get("when", {})
    if not isinstance(inner, Mapping) and inner is not None:
        yield Problem(("parameters",), f"must be a mapping, not {brief(inner)}")
    elif not inner:
        yield Problem(("parameters",), _NEEDS_ONE)
    if not isinstance(when, Mapping):
        yield Problem(("when",), f"must be a mapping, not {brief(when)}")


def _with_conditions(
    flat: Flat, name: str, parameter: Mapping[str, Any], group: _Group, known: Collection[str]
) -> Mapping[str, Any]:
    """A parameter with all conditions that it is under, by the full names of their parameters."""
    own = parameter.get("when", {})
    if not isinstance(own, Mapping):
        return parameter  # the parameter itself says what is wrong with it
    when: dict[str, Any] = {}
    for scope, conditions in (*group.conditions, (group.names, own)):
        for parent, values in conditions.items():
            full = _full(parent, scope, known)
            if full in when:
                message = "is in the condition of a group around it, too: keep one"
                flat.problems.append(Problem((*flat.paths[name], "when", parent), message))
            when[full] = values
    return {**parameter, "when": when} if when else parameter


def _full(parent: str, scope: tuple[str, ...], known: Collection[str]) -> str:
    """The name of the parameter that ``parent`` stands for: the nearest one."""
    for depth in range(len(scope), -1, -1):
        name = ".".join((*scope[:depth], parent))
        if name in known:
            return name
    return parent
