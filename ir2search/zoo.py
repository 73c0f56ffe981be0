"""The paper's networks by name."""

from __future__ import annotations

import difflib

from ir2search.errors import CandidateError
from ir2search.space import Candidate

_PRESETS = {"cifar-resnet20": Candidate()}


def presets() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(_PRESETS)


def preset(name: str) -> Candidate:
    """The candidate of a preset.

    Raises:
        CandidateError: there is none of that name; the message lists near ones.
    """
    if name not in _PRESETS:
        near = difflib.get_close_matches(name, _PRESETS, 1) or list(_PRESETS)
        raise CandidateError(f"no preset {name!r}; did you mean {', '.join(near)}?")
    return _PRESETS[name]
