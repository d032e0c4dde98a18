"""Between the state of a trial and what can be written: a JSON skeleton and named arrays.

`encode` copies everything, so what it returns does not change when training goes on. No pickle:
decoding a hostile file can only raise.

A tree is made of dict, OrderedDict, Counter, list, tuple, None, bool, int, float, str, bytes, NumPy
arrays and scalars, torch tensors, and ``torch.Size``, ``torch.device`` and ``torch.dtype``. In the
skeleton whatever JSON does not know is an object with the key ``$``, which names its type.
"""

from __future__ import annotations

from typing import Any

from sweep.checkpoint.decoder import Decoder
from sweep.checkpoint.encoder import Captured, Encoder
from sweep.errors import CheckpointDamagedError

_MALFORMED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
)
"""What Python, NumPy and torch raise on being given nonsense to build values from."""


__all__ = ["Captured", "decode", "encode"]


def encode(tree: Any, path: str = "") -> Captured:
    """Copy ``tree`` into memory of its own; see `Encoder`.

    Raises:
        CheckpointError: as `Encoder.encode`.
    """
    encoder = Encoder()
    return encoder.captured(encoder.encode(tree, path))


def decode(captured: Captured) -> Any:
    """The tree that `encode` captured. Tensors are on the CPU and own their memory.

    Raises:
        CheckpointDamagedError: the skeleton or an array is not what `encode` makes.
    """
    try:
        return Decoder(captured.arrays).decode(captured.skeleton)
    except _MALFORMED as error:
        raise CheckpointDamagedError(f"the state cannot be decoded: {error!r}") from error
