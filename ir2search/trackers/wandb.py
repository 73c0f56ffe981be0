"""Weights & Biases: a group for the search, with a run for each trial."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ir2search.extras import require
from ir2search.trackers.base import MAIN, Parameter, Tracker


class WandB(Tracker):
    """Sends a run to Weights & Biases: the search is a group, each trial is a run in it.

    Account, server and mode are those of wandb itself: ``wandb login``, or WANDB_MODE=offline.

    Args:
        project: name of the project; None for the variable WANDB_PROJECT, or ``"ir2search"``.

    Raises:
        MissingExtraError: wandb is not installed.
    """

    name = "wandb"

    def __init__(self, project: str | None = None) -> None:
        super().__init__()
        self._wandb = require("wandb", extra="wandb")
        self._project = project or os.environ.get("WANDB_PROJECT", "ir2search")
        self._runs: dict[str, Any] = {}
        self._place, self._title = Path(), ""

    def open(self, folder: Path, title: str) -> None:
        self._place, self._title = folder, title

    def begin(
        self, key: str, parameters: Mapping[str, Parameter], costs: Mapping[str, float]
    ) -> None:
        run = self._run(key)
        run.config.update(dict(parameters), allow_val_change=True)
        run.summary.update(dict(costs))

    def log(self, key: str, epoch: int, values: Mapping[str, float]) -> None:
        self._run(key).log(dict(values), step=epoch)

    def end(self, key: str, state: str, values: Mapping[str, float]) -> None:
        run = self._run(key)
        run.summary.update({**values, "state": state})
        run.finish(exit_code=int(state == "failed"))
        del self._runs[key]

    def finish(self, front: pd.DataFrame, report: Path | None) -> None:
        run = self._run(MAIN)
        shown = front.map(lambda value: str(value) if isinstance(value, list | tuple) else value)
        run.log({"front": self._wandb.Table(dataframe=shown)})
        if report is not None:
            artifact = self._wandb.Artifact(f"report-{run.id}", type="report")
            artifact.add_dir(str(report))
            run.log_artifact(artifact)

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
        self._runs.clear()

    def _run(self, key: str) -> Any:
        """The open run of a network; a run of an earlier session continues."""
        if key not in self._runs:
            name = self.sent.ids.setdefault(key, uuid.uuid4().hex[:8])
            self._runs[key] = self._wandb.init(
                project=self._project,
                dir=str(self._place),
                id=name,
                name=key or self._title,
                group=self._title,
                job_type="trial" if key else "search",
                resume="allow",
                reinit="create_new",
                settings=self._wandb.Settings(
                    console="off",
                    silent=True,
                    x_disable_meta=True,  # it has the command line, which may hold a password
                    x_disable_stats=True,  # of the machine, once for each trial
                ),
            )
        return self._runs[key]
