"""Read the information analyses in a run's folder for the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ir2search.errors import RunError
from ir2search.files import check_links
from ir2search.information import findings
from ir2search.information.figures import FIGURES, OPTIONAL
from ir2search.measures.file import read_measures
from ir2search.measures.tables import layers_table, sensitivity_table
from ir2search.measures.trust import trust
from ir2search.report.cells import information_cells, sensitivity_cells, trust_cells
from ir2search.report.html import image
from ir2search.runs.layout import INFORMATION, TRIALS


@dataclass(frozen=True)
class AnalysisView:
    """The analysis of one trial.

    Attributes:
        number: number of the trial.
        findings: what was found, in sentences.
        sensitivity: accuracy with another precision of each layer as text, see
            `sensitivity_cells`; empty if it was not measured.
        layers: the information of each layer as text, see `information_cells`.
        trust: attribution methods as text, see `trust_cells`.
        images: figures by name, as URLs for ``img`` elements.
    """

    number: int
    findings: list[str]
    sensitivity: pd.DataFrame
    layers: pd.DataFrame
    trust: pd.DataFrame
    images: dict[str, str]


def read_analyses(folder: Path) -> list[AnalysisView]:
    """The finished analyses in a run's folder, by the numbers of their trials.

    Raises:
        RunError: an analysis cannot be read, or is a link to a place outside the folder.
    """
    return [_read(number, place) for number, place in sorted(_finished(folder))]


def _finished(folder: Path) -> Iterator[tuple[int, Path]]:
    for file in (folder / TRIALS).glob(f"*/{INFORMATION}/layers.csv"):
        name = file.parent.parent.name
        if name.isascii() and name.isdecimal():
            yield int(name), file.parent


def _read(number: int, place: Path) -> AnalysisView:
    files = {name: place / f"{name}.svg" for name in FIGURES}
    for name in OPTIONAL:
        if not files[name].exists():
            del files[name]
    table_file = place / "information.parquet"
    for file in (*files.values(), table_file):
        check_links(file)
    try:
        table = read_measures(table_file)
        return AnalysisView(
            number=number,
            findings=[each.sentence for each in findings(table)],
            sensitivity=sensitivity_cells(sensitivity_table(table)),
            layers=information_cells(layers_table(table)),
            trust=trust_cells(trust(table)),
            images={name: image(file) for name, file in files.items()},
        )
    except OSError as error:
        raise RunError(f"{error.filename}: {error.strerror}; analyse the trial again") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RunError(
            f"{table_file}: not the table of an analysis ({error}); analyse the trial again"
        ) from None
