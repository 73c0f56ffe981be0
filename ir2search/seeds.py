"""Random seeds that are derived from other values."""

from __future__ import annotations

import hashlib


def derive_seed(*parts: object) -> int:
    """Derive a seed below 2^31 from any values; it is the same on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def training_seed(study_seed: int, candidate_id: str, further_seed: int = 0) -> int:
    """The seed of a candidate's training in its trial, or of its k-th further training."""
    if further_seed:
        return derive_seed(study_seed, "confirm", candidate_id, further_seed)
    return derive_seed(study_seed, "train", candidate_id)
