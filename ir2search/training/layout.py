"""Names of the files and folders in a training's folder."""

from __future__ import annotations

LAST = "last.safetensors"  # weights and optimiser after the last epoch
BEST = "best.safetensors"  # weights after the best epoch
CANDIDATE_FILE = "candidate.json"
COST_FILE = "cost.json"
ENVIRONMENT_FILE = "environment.json"  # also in a run's folder
TEST_FILE = "test.json"
CURVE = "curve.jsonl"  # one line an epoch
PRETRAINING = "pretraining"  # folder of the first stage of a recipe with two
