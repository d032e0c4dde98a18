"""A shuffled order of the numbers below a size, of which any place can be asked for at once."""

from __future__ import annotations

from hashlib import blake2b

_ROUNDS = 4


def permuted(place: int, size: int, seed: int) -> int:
    """The number that stands at ``place`` when ``range(size)`` is shuffled with ``seed``.

    A Feistel network over the next even power of two, walked until it comes out below ``size``
    (cycle walking: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002), so no list of
    ``size`` numbers is made. Every number comes exactly once.
    """
    if not 0 <= place < size:
        raise ValueError(f"place {place} is not below {size}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    number = place
    while True:
        left, right = number >> half, number & ((1 << half) - 1)
        for turn in range(_ROUNDS):
            left, right = right, left ^ _mixed(seed, turn, right, half)
        number = left << half | right
        if number < size:
            return number


def _mixed(seed: int, turn: int, value: int, bits: int) -> int:
    digest = blake2b(f"order:{seed}:{turn}:{value}".encode(), digest_size=16).digest()
    return int.from_bytes(digest, "big") & ((1 << bits) - 1)
