"""Random seeds that are derived from other values."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: object) -> int:
    """Derive a seed below 2^31 from any values; it is the same on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
