"""Names of the files in a training's folder."""

from __future__ import annotations

LAST = "last.safetensors"  # weights and optimiser after the last epoch
BEST = "best.safetensors"  # weights after the best epoch
CURVE = "curve.jsonl"  # one line an epoch
