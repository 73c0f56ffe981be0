"""TensorBoard: event files in the run's folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ir2search import escape
from ir2search.extras import require
from ir2search.trackers.base import MAIN, RESULTS, Parameter, Tracker


class TensorBoard(Tracker):
    """Writes event files into ``trackers/tensorboard`` of the run's folder.

    Each trial is a run of TensorBoard, with its parameters. See them with
    ``tensorboard --logdir runs/digits/trackers/tensorboard``.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self) -> None:
        super().__init__()
        require("tensorboard", extra="tensorboard")
        self._writers: dict[str, Any] = {}
        self._place = Path()

    def open(self, folder: Path, title: str) -> None:
        self._place = folder / self.name

    def begin(
        self, key: str, parameters: Mapping[str, Parameter], costs: Mapping[str, float]
    ) -> None:
        from torch.utils.tensorboard.summary import hparams

        writer = self._writer(key)
        results = dict.fromkeys((*RESULTS[:2], *costs), 0.0)
        for summary in hparams(dict(parameters), results)[:2]:  # not the end of the session
            writer.file_writer.add_summary(summary)
        for name, value in costs.items():
            writer.add_scalar(name, value, 0)
        writer.flush()

    def log(self, key: str, epoch: int, values: Mapping[str, float]) -> None:
        writer = self._writer(key)
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def end(self, key: str, state: str, values: Mapping[str, float]) -> None:
        writer = self._writer(key)
        for name, value in values.items():
            writer.add_scalar(name, value, self.sent.epochs[key])
        writer.add_text("state", state)
        writer.close()
        del self._writers[key]

    def finish(self, front: pd.DataFrame, report: Path | None) -> None:
        writer = self._writer(MAIN)
        names = list(front.columns)
        rows = [_line(names), "|---" * len(names) + "|", *map(_line, front.to_numpy().tolist())]
        writer.add_text("front", "\n".join(rows))
        if report is not None:
            with Image.open(report / "figures" / "front.png") as picture:
                pixels = np.asarray(picture.convert("RGB"))
            writer.add_image("front", pixels, dataformats="HWC")

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, key: str) -> Any:
        """The writer of a network's folder; it is closed when the network is trained."""
        from torch.utils.tensorboard import SummaryWriter

        if key not in self._writers:
            self._writers[key] = SummaryWriter(str(self._place / (key or "search")))
        return self._writers[key]


def _line(cells: Iterable[object]) -> str:
    """A row of a table in Markdown."""
    return "|".join(["", *map(escape.markdown, cells), ""])
