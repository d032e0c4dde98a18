"""The parameters of a fork: those of its parent, with changes, held against the space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sweep.errors import UsageError
from sweep.journal.event import TrialForked
from sweep.search import latent
from sweep.search.define import DefinedSpace
from sweep.spec import Dimension, Fixed, Space
from sweep.spec.inverse import latent_of
from sweep.spec.suggestion import plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """Parameters that nobody suggested. Fields as in `sweep.journal.event.TrialForked`."""

    params: dict[str, Any]
    latents: dict[str, list[Any]]
    inside: bool


def vary(
    space: Space | DefinedSpace,
    params: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    force: bool = False,
) -> Variation:
    """``params`` with ``changes``, in the order of the space, and what a sampler would call them.

    A parameter that the space does not ask for with these values is left out. With ``force`` values
    outside of the space are taken; the trial is then not one that a sampler can learn from.

    Raises:
        UsageError: an unknown name, a value outside of its domain, a condition that is not met, or
            a parameter that a change calls for and nobody gave.
        ProgramError: a space function raised.
    """
    _check_changes(space, changes)
    latents: dict[str, list[Any]] = {}
    inside = True

    def choose(dimension: Dimension) -> Any:
        nonlocal inside
        name = dimension.name
        if name not in changes and name not in params:
            raise UsageError(f"{name}: is needed with these changes: give it, too")
        value = changes.get(name, params.get(name))
        try:
            found = latent_of(dimension.domain, value)
        except (TypeError, ValueError) as error:
            if not force:
                raise UsageError(
                    f"{name}: {error} (--force, or force=True, takes it all the same; such a trial "
                    "is not told to the sampler)"
                ) from None
            inside = False
            return value
        if not isinstance(dimension.domain.latent, Fixed):
            distribution = latent.distribution(dimension.domain.latent)
            latents[name] = latent.to_journal(found, distribution)
        as_float = isinstance(dimension.domain.value(found), float)
        return float(value) if as_float and not isinstance(value, float) else value

    chosen = space.complete(choose)
    for name in changes:
        if name not in chosen:
            raise UsageError(f"{name}: has no meaning here: {_unasked(space, name, chosen)}")
    return Variation(params=chosen, latents=latents if inside else {}, inside=inside)


def _check_changes(space: Space | DefinedSpace, changes: Mapping[str, Any]) -> None:
    known = [each.name for each in space.dimensions] if isinstance(space, Space) else list(changes)
    for name in changes:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else f"; there is: {', '.join(known)}"
            raise UsageError(f"{name}: no such parameter{hint}")
        try:
            json.dumps(changes[name])
        except (TypeError, ValueError) as error:
            raise UsageError(f"{name}: {error}; give what JSON can hold") from None


def _unasked(space: Space | DefinedSpace, name: str, chosen: Mapping[str, Any]) -> str:
    """Why a parameter that was given is not there."""
    if isinstance(space, Space):
        when = next(each.when for each in space.dimensions if each.name == name)
        parts = (f"{name} must be {' or '.join(map(plain, values))}" for name, values in when)
        return ", ".join(parts)
    close = get_close_matches(name, chosen, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"with these values the space function suggests {', '.join(chosen)}{hint}"


def forked(
    parent: int,
    source: str,
    record: dict[str, Any],
    varied: Variation,
    *,
    exploits: int | None = None,
) -> TrialForked:
    """The event that adds a trial. ``record`` is that of its first checkpoint, in JSON."""
    return TrialForked(
        trial=record["trial"],
        parent=parent,
        source=source,
        step=record["step"],
        checkpoint=record["id"],
        record=record,
        params=varied.params,
        latents=varied.latents,
        inside=varied.inside,
        exploits=exploits,
    )
