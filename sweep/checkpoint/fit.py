"""Whether a saved state is of the dtypes of the module that it is to be loaded into."""

from __future__ import annotations

import sys
from typing import Any

from sweep.errors import CheckpointMismatchError


def check_types(checkpoint: str | None, name: str, module: Any, state: Any) -> None:
    """Loading a module turns what is saved into its own types, without a word: this says it.

    ``checkpoint`` is the id and ``name`` what the object is tracked as. Only torch's modules are
    looked into.

    Raises:
        CheckpointMismatchError: a tensor has another dtype; names both.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(module, torch.nn.Module) or not isinstance(state, dict):
        return
    for key, ours in module.state_dict().items():
        saved = state.get(key)
        if not isinstance(saved, torch.Tensor) or not isinstance(ours, torch.Tensor):
            continue
        if saved.dtype != ours.dtype:
            raise CheckpointMismatchError(
                f"checkpoint {checkpoint} does not fit {name!r}: {key} was saved as "
                f"{saved.dtype}, and is {ours.dtype} here"
            )
