"""Parameters of elsewhere, held against a space: of another study, or of before a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweep.search import latent
from sweep.search.define import DefinedSpace
from sweep.spec import Dimension, Fixed, Space
from sweep.spec.inverse import latent_of


def fitted(
    space: Space | DefinedSpace, params: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """What a sampler would have proposed in ``space`` for ``params``: latents as in `TrialAsked`.

    Parameters that the space does not have, or whose condition does not hold in it, are passed
    over. One that is missing is replaced from ``defaults``; a constant needs none, since nobody
    searches it.

    Raises:
        ValueError: they are no parameters of this space; says which, and why.
        ProgramError: a space function raised.
    """
    latents: dict[str, list[Any]] = {}

    def choose(dimension: Dimension) -> Any:
        name, range_ = dimension.name, dimension.domain.latent
        if name in params:
            value = params[name]
        elif name in defaults:
            value = defaults[name]
        elif isinstance(range_, Fixed):
            value = dimension.domain.value(None)
        else:
            raise ValueError(f"{name}: is new, and has no default")
        try:
            found = latent_of(dimension.domain, value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
        if not isinstance(range_, Fixed):
            latents[name] = latent.to_journal(found, latent.distribution(range_))
        return value

    space.complete(choose)
    return latents
