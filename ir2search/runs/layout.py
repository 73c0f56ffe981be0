"""A run's folder: what is written where.

::

    runs/<study>/
      study.toml  environment.json     what was asked, and where it ran
      modules/                         the study author's code, where it names any; SHA256SUMS
      study.db                         Optuna's storage
      trials/<number>/                 candidate.json, cost.json, curve.jsonl, *.safetensors;
                                       latency.json, where the study asks for it
      backbones/<candidate id>/        shared, where the study asks for a warm start
      variants/<candidate id>/         what trials are compared with, see `variants`
"""

from __future__ import annotations

from pathlib import Path

STUDY_FILE = "study.toml"
CACHE = ".cache"  # beside the runs: decoded images, times of networks
LATENCY_CACHE = "latency"  # in it: times of networks on the runtime
CURVE = "curve.jsonl"  # in a trial's folder, like what follows
LATENCY_FILE = "latency.json"
TEST_FILE = "test.json"
SEEDS = "seeds"  # one folder for each further seed,
RESULT = "result.json"  # with what it gave


def trial_folder(folder: Path, number: int) -> Path:
    """Where a trial's files lie."""
    return folder / "trials" / str(number)
