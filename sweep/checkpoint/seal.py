"""A JSON document that vouches for itself: its last member is the SHA-256 of all before it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_SEAL = re.compile(rb',"sha256":"([0-9a-f]{64})"}\n\Z')
_SEAL_LENGTH = len(b',"sha256":""}\n') + 64


def sealed(body: dict[str, Any]) -> bytes:
    """``body`` as the bytes of a sealed file.

    Raises:
        ValueError: a number is not finite, which JSON does not know.
    """
    text = json.dumps(body, allow_nan=False, separators=(",", ":"))[:-1].encode()
    return text + f',"sha256":"{hashlib.sha256(text).hexdigest()}"}}\n'.encode()


def is_whole(data: bytes) -> bool:
    """Whether not one byte of a sealed file differs, those of its seal included."""
    seal = _SEAL.search(data)
    return seal is not None and hashlib.sha256(data[:-_SEAL_LENGTH]).hexdigest() == seal[1].decode()
