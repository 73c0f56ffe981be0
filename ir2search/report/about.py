"""What a report says about itself: images, epochs, date and version; its files; its commands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd

from ir2search import text
from ir2search.report.data import ReportData
from ir2search.runs.members import member_epochs

SOURCES = {"digits": "scikit-learn's handwritten digits"}
FILES = {  # beside the page, with what is in them
    "report.md": "this report as Markdown",
    "front.csv": "the front",
    "front.parquet": "the front",
    "front.tex": "the front for a paper",
    "trials.csv": "all trials",
    "trials.parquet": "all trials",
    "figures/front.pdf": "figure of the front",
    "figures/hypervolume.pdf": "figure of the search",
    "figures/curves.pdf": "figure of the learning curves",
}


def about(data: ReportData) -> list[str]:
    """Data set, image size, splits, epochs of a trial, date and version; only what is known."""
    return [part for part in _parts(data) if part]


def commands(folder: Path, number: int | str = "{trial}") -> list[str]:
    """The commands that export a trial, analyse it, and classify images with it.

    Args:
        folder: the run's folder.
        number: of the trial.
    """
    name = folder.resolve().name
    return [
        f"ir2search export {name} --trial {number}",
        f"ir2search analyze {name} --trial {number}",
        f"ir2search predict runs/{name}/trials/{number} IMAGE",
    ]


def _parts(data: ReportData) -> Iterator[str]:
    config = data.study.data
    place = Path(config.path).name if config.path else config.source
    yield SOURCES.get(config.source, f"images of {place}")
    if data.best is not None:
        _, height, width = data.best.image
        yield f"{height} x {width} pixels, {data.best.classes} classes"
    yield _splits(data)
    yield _epochs(data)
    if data.sessions:
        last = data.sessions[-1]
        yield _date(last.started)
        yield f"ir2search {last.versions['ir2search']}" if "ir2search" in last.versions else ""


def _epochs(data: ReportData) -> str:
    """For how long networks were trained: each alone, or with shared weights first."""
    study = data.study
    if study.supernet is None:
        return f"{text.counted(study.recipe.epochs, 'epoch')} a trial"
    shared = f"shared weights of {text.counted(study.supernet.epochs, 'epoch')}"
    own = member_epochs(study)
    return f"{shared}, {own} more for the front" if own else shared


def _splits(data: ReportData) -> str:
    """The number of images in each split that is known."""
    counts = {
        "training": data.train_images,
        "validation": data.validation_images,
        "test": data.trials["test_images"].max(),
    }
    known = [f"{int(n):,} {name}" for name, n in counts.items() if pd.notna(n)]
    return f"{', '.join(known)} images" if known else ""


def _date(started: str) -> str:
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return ""
    return f"{when.day} {when:%B %Y}"
