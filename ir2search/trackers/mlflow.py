"""MLflow: a run for the search, and one below it for each trial."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ir2search.extras import require
from ir2search.trackers.base import MAIN, Parameter, Tracker

STATES = {"trained": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MLflow(Tracker):
    """Sends a run to MLflow: the search is a run of MLflow, each trial is a run below it.

    Args:
        tracking_uri: of the server or the database; None for MLflow's own setting, the variable
            MLFLOW_TRACKING_URI. It is written to no file.
        experiment: name of the experiment; None for the variable MLFLOW_EXPERIMENT_NAME, or
            ``"ir2search"``.

    Raises:
        MissingExtraError: mlflow is not installed.
    """

    name = "mlflow"

    def __init__(self, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        super().__init__()
        self._mlflow = require("mlflow", extra="mlflow")
        self._entities = require("mlflow.entities", extra="mlflow")
        self._uri = tracking_uri
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "ir2search")
        self._client: Any = None
        self._experiment_id = ""
        self._title = ""

    def open(self, folder: Path, title: str) -> None:
        self._client, self._title = self._mlflow.MlflowClient(self._uri), title
        found = self._client.get_experiment_by_name(self._experiment)
        self._experiment_id = (
            self._client.create_experiment(self._experiment)
            if found is None
            else found.experiment_id
        )
        if MAIN not in self.sent.ids:
            self._create(MAIN, title, {})
        elif MAIN not in self.sent.results:  # a training whose results are sent has ended
            self._client.update_run(self.sent.ids[MAIN], status="RUNNING")

    def begin(
        self, key: str, parameters: Mapping[str, Parameter], costs: Mapping[str, float]
    ) -> None:
        if key not in self.sent.ids:
            self._create(key, key, {"mlflow.parentRunId": self.sent.ids[MAIN]})
        params = [self._entities.Param(name, str(value)) for name, value in parameters.items()]
        self._client.log_batch(self.sent.ids[key], params=params)
        self.log(key, 0, costs)

    def log(self, key: str, epoch: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        metrics = [
            self._entities.Metric(name, float(value), now, epoch) for name, value in values.items()
        ]
        self._client.log_batch(self.sent.ids[key], metrics=metrics)

    def end(self, key: str, state: str, values: Mapping[str, float]) -> None:
        self.log(key, self.sent.epochs[key], values)
        self._client.set_terminated(self.sent.ids[key], STATES[state])

    def finish(self, front: pd.DataFrame, report: Path | None) -> None:
        main = self.sent.ids[MAIN]
        self.log(MAIN, 0, {"accuracy": float(front["accuracy"].max()), "front": len(front)})
        self._client.log_text(main, front.to_csv(index=False), "front.csv")
        if report is not None:
            self._client.log_artifacts(main, str(report), "report")
        self._client.set_terminated(main, "FINISHED")

    def close(self) -> None:
        main = self.sent.ids[MAIN]
        if self._client.get_run(main).info.status == "RUNNING":
            self._client.set_terminated(main, "KILLED")  # interrupted

    def _create(self, key: str, name: str, tags: Mapping[str, str]) -> None:
        created = self._client.create_run(self._experiment_id, run_name=name, tags=dict(tags))
        self.sent.ids[key] = created.info.run_id
