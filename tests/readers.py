"""Read files as commands read them: for the property tests and for the fuzzer in ``tests/fuzzing``.

Each function reads one kind of file that can come from somebody else. It returns, or it raises an
error of this package.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import torch

from ir2search import Candidate, load_packed
from ir2search.cli.show_runs import show_status
from ir2search.data import LabelledImages
from ir2search.data.folder import find_source
from ir2search.data.listing import Columns
from ir2search.errors import InputError
from ir2search.report.analyses import read_analyses
from ir2search.report.data import report_data
from ir2search.report.view import page_view
from ir2search.runs import Run, status
from ir2search.runtime import read_image_spec
from ir2search.space import build
from ir2search.study.loading import parse_study, read_values
from ir2search.training import load_network
from ir2search.training.checkpoint import load_fitting, load_progress
from ir2search.training.weights import check_values, read_weights

SMALL = Candidate(depth=8, width=0.125, image=(3, 8, 8), classes=3)


def is_read_or_refused(read: Callable[[Path], object], place: Path, changed: Path) -> None:
    """Check that a reader returns, or raises one sentence that names the file or its folder."""
    sentence = None
    try:
        read(place)
    except InputError as error:
        sentence = str(error)
    assert sentence is None or str(changed.parent) in sentence, sentence


def read_study(file: Path) -> None:
    """A study file; its modules are not run."""
    parse_study(read_values(file), str(file), modules=())


def read_run(folder: Path) -> None:
    """A run's folder: its status, as it is shown, the data of its report, and its networks."""
    run = Run.open(folder)
    seen = status(run)
    with redirect_stdout(io.StringIO()):
        show_status(seen, as_json=False)
        show_status(seen, as_json=True)
    page_view(report_data(run))
    for number in run.front()["number"]:
        run.network(int(number))


def read_analysed_run(folder: Path) -> None:
    """A run's folder, with the analyses of its trials."""
    read_run(folder)
    read_analyses(folder)


def read_weights_file(file: Path) -> None:
    """Weights for a network, from a ``.safetensors`` or ``.pth`` file."""
    network = build(SMALL)
    weights = read_weights(file)
    check_values(weights, network, str(file))
    load_fitting(network, weights)


def read_best(file: Path) -> None:
    """The weights of a trial."""
    load_network(SMALL, file)


def read_progress(file: Path) -> None:
    """The checkpoint of a training that is continued."""
    network = build(SMALL)
    load_progress(file.parent, network, torch.optim.AdamW(network.parameters()))


def read_packed_file(file: Path) -> None:
    """A packed network, and what it says about its images."""
    load_packed(file)
    read_image_spec(file)


def read_images(folder: Path) -> None:
    """A folder of images in any layout."""
    read_folder(folder, 8)


def read_folder(folder: Path, size: int | None, columns: Columns | None = None) -> LabelledImages:
    """The images of a folder, resized to ``size``."""
    return find_source(folder, columns).read(size)
