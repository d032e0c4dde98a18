"""CMA-ES of Optuna's, made fit for conditions, for replay and for journals of others."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler
from optuna.trial import FrozenTrial

from sweep.errors import JournalError


class Cmaes(CmaEsSampler):
    """CMA-ES over the parameters that are ``always`` there.

    Optuna's own takes those that all trials had so far, and fails where the first ones had a
    conditional parameter and a later one has not. Where ``always`` is None nobody knows: it takes
    those, too, and begins anew whenever they become fewer.
    """

    def __init__(self, *, always: frozenset[str] | None, **options: Any) -> None:
        super().__init__(**options)
        self._always = always

    def infer_relative_search_space(self, *args: Any) -> dict[str, BaseDistribution]:
        common = super().infer_relative_search_space(*args)
        always = common if self._always is None else self._always
        return {name: range_ for name, range_ in common.items() if name in always}

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        if self._always is None:
            names = hashlib.sha256("\n".join(search_space).encode()).hexdigest()
            self._attr_prefix = f"{self._attr_prefix}{names[:12]}:"
        return super().sample_relative(study, trial, search_space)

    def _init_optimizer(self, *args: Any) -> Any:
        # The state is written down, and the package leaves a part of it as the memory happened to
        # be: room for the values of generations to come.
        optimizer = super()._init_optimizer(*args)
        getattr(optimizer, "_cma", optimizer)._funhist_values.fill(0.0)
        return optimizer

    def _restore_optimizer(self, completed_trials: Sequence[FrozenTrial]) -> Any:
        """As Optuna does it, but a journal that somebody else has made cannot run code.

        Raises:
            JournalError: what lies there is not the state of a CMA-ES.
        """
        prefix = self._attr_key_optimizer
        for trial in reversed(completed_trials):
            parts = {
                key: part for key, part in trial.system_attrs.items() if key.startswith(prefix)
            }
            if parts:
                try:
                    written = bytes.fromhex(self._concat_optimizer_attrs(parts))
                    return _Unpickler(io.BytesIO(written)).load()
                except (pickle.UnpicklingError, ValueError, KeyError, EOFError) as error:
                    raise JournalError(
                        f"trial {trial.number}: the journal has no state of CMA-ES: {error}"
                    ) from error
        return None


_STATE = {
    ("cmaes._cma", "CMA"),
    ("cmaes._cmawm", "CMAwM"),
    ("cmaes._sepcma", "SepCMA"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
}
"""What the state of a CMA-ES consists of."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STATE:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)
