"""A run's folder: the names of all files in it.

::

    runs/
      .cache/                          decoded images, times of networks, measured information
      <study>/
        study.toml                     what was asked
        environment.json               where it ran: one record for each session
        storage.json                   the storage's name, if it is not in this folder
        study.journal                  Optuna's journal of the trials (``study.db`` in older runs)
        modules/                       the study author's code, if any, and SHA256SUMS
        trials/<number>/
          candidate.json cost.json     the network, and what it costs by layer
          latency.json                 its time on the runtime, if the study asks for it
          curve.jsonl *.safetensors    learning curve, and weights
          error.txt                    the traceback of a trial that failed
          test.json                    what a front member reaches on the test images
          hits.json                    which images it classifies correctly
          seeds/<k>/                   a further training of a front member; result.json
          member/  member.json         its own training after a search with shared weights
          information/  export/        what `analyze` and `export` write
        backbones/<candidate id>/      shared backbones, for a warm start
        supernet/                      weights that all candidates share; supernet.json
        variants/<candidate id>/       networks that trials are compared with
        trackers/                      what was sent to experiment trackers (`--log`)
        report/                        what `report` writes
"""

from __future__ import annotations

from pathlib import Path

from ir2search.training.layout import BEST as BEST
from ir2search.training.layout import CANDIDATE_FILE as CANDIDATE_FILE
from ir2search.training.layout import COST_FILE as COST_FILE
from ir2search.training.layout import CURVE as CURVE
from ir2search.training.layout import ENVIRONMENT_FILE as ENVIRONMENT_FILE
from ir2search.training.layout import TEST_FILE as TEST_FILE

# beside the runs
CACHE = ".cache"
LATENCY_CACHE = "latency"  # in the cache: times of networks on the runtime
# in a run's folder
STUDY_FILE = "study.toml"
STORAGE_FILE = "storage.json"
JOURNAL_FILE = "study.journal"
SQLITE_FILE = "study.db"
TRIALS = "trials"
BACKBONES = "backbones"
SUPERNET = "supernet"  # weights that all candidates share
VARIANTS = "variants"
REPORT = "report"
TRACKERS = "trackers"  # what experiment trackers were sent, and their own files
CLUSTER_MARK = ".cluster"  # a node of a Ray cluster that can read it sees the folder
DRIVERS = "drivers"  # a lock for each driver of a shared study
DECIDING_LOCK, FINISHING_LOCK = ".turn", ".finish"  # of the drivers of a shared study
# in a trial's folder
LATENCY_FILE = "latency.json"
HITS_FILE = "hits.json"
ERROR_FILE = "error.txt"
SEEDS = "seeds"
RESULT = "result.json"  # in the folder of a further seed
MEMBERS = "member"  # trainings of a front member after a search with shared weights
MEMBER_FILE = "member.json"
INFORMATION = "information"
EXPORT = "export"


def trial_folder(folder: Path, number: int) -> Path:
    """The folder of a trial."""
    return folder / TRIALS / str(number)


def seed_folder(folder: Path, further_seed: int) -> Path:
    """The folder of a training from a further seed; ``folder`` has the training from seed 0."""
    return folder / SEEDS / str(further_seed) if further_seed else folder
