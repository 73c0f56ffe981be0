"""Check whether this machine can run a study, and what would make it faster."""

from __future__ import annotations

import itertools
import platform
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ir2search import text
from ir2search.errors import InputError, MissingCompilerError
from ir2search.machine import cores, free_memory

if TYPE_CHECKING:
    from ir2search.data import Split, StreamedSplit

State = Literal["good", "slow", "wrong", "absent"]
SHOWN_CLASSES = 20
SHARED = 1e9  # bytes of shared memory that streaming on many cores can need
DISK = 2e9  # bytes that a study of a hundred small networks can need
OPTIONAL = {  # optional packages: what they are for, and the extra that installs them
    "plotly": ("`ir2search report`", "report"),
    "onnxruntime": ("ONNX files, and other runtimes of `ir2search latency`", "export"),
    "optuna-dashboard": ("`ir2search dashboard`", "dashboard"),
    "ray": ("--executor ray", "cluster"),
    "psycopg": ("--storage postgresql+psycopg://", "cluster"),
}


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        subject: what was checked.
        state: ``"good"``; ``"slow"`` if training could be faster; ``"wrong"`` if a study cannot
            run; ``"absent"`` for a missing optional part.
        found: what the check found.
        advice: what to do about it; empty if there is nothing to do.
    """

    subject: str
    state: State
    found: str
    advice: str = ""


def examine(data: str | Path | None = None, runs: str | Path = "runs") -> list[Check]:
    """Check this machine.

    Args:
        data: a folder of images; all of them are read.
        runs: the folder for runs.
    """
    machine = (
        _versions(),
        _threads(),
        _kernels(),
        _runtime(),
        _devices(),
        _memory(),
        _shared_memory(),
    )
    return list(itertools.chain(*machine, _disk(Path(runs)), _data(data), _optional()))


def _versions() -> Iterator[Check]:
    parts = [f"{name} {version(name)}" for name in ("ir2search", "torch", "optuna", "fvcore")]
    yield Check("versions", "good", ", ".join([f"Python {platform.python_version()}", *parts]))


def _threads() -> Iterator[Check]:
    import torch

    available, threads = cores(), torch.get_num_threads()
    found = f"{threads} threads on {available} cores"
    if threads < available:
        yield Check("threads", "slow", found, "unset OMP_NUM_THREADS")
    else:
        yield Check("threads", "good", found)


def _kernels() -> Iterator[Check]:
    """Compile the CPU kernels."""
    from ir2search.kernels import training as kernels

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        description = kernels.description()
    if description:
        yield Check("CPU kernels", "good", f"compiled for this CPU: {description}")
    else:
        reason = str(caught[-1].message) if caught else "they could not be compiled"
        advice = "install a C++ compiler with OpenMP: it makes training several times faster"
        yield Check("CPU kernels", "slow", reason, advice)


def _runtime() -> Iterator[Check]:
    """Compile the runtime for packed files."""
    from ir2search.kernels import inference

    try:
        fastest = inference.variants()[0]
    except MissingCompilerError as error:
        yield Check("1-bit runtime", "absent", str(error), "install a C compiler")
    else:
        yield Check("1-bit runtime", "good", f"compiled: {fastest.name}")


def _devices() -> Iterator[Check]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found = f"{properties.name}, {text.size(properties.total_memory)}"
            advice = "small networks use only a part of it: try --trials-per-device 4"
            yield Check(f"cuda:{index}", "good", found, advice)
    elif shutil.which("nvidia-smi"):
        advice = "install a build of torch for CUDA, or repair the driver"
        found = f"torch {torch.__version__} cannot use the installed driver"
        yield Check("GPU", "slow", found, advice)
    else:
        yield Check("GPU", "absent", "none: networks are trained on the CPU")


def _memory() -> Iterator[Check]:
    free = free_memory()
    if free is None:
        return
    advice = "stream = true in [data] keeps images on disk" if free < 2e9 else ""
    yield Check("memory", "slow" if advice else "good", f"{text.size(free)} free", advice)


def _disk(runs: Path) -> Iterator[Check]:
    """Check whether runs can be written, without creating their folder."""
    folder = next(path for path in (runs.resolve(), *runs.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    found = f"{text.size(free)} free in {folder}"
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = "use --runs to choose a folder that can be written"
        yield Check("disk", "wrong", f"{folder} cannot be written: {error.strerror}", advice)
        return
    if free < DISK:
        yield Check("disk", "slow", found, "a study can need 2 GB: free space, or use --runs")
    else:
        yield Check("disk", "good", found)


def _data(folder: str | Path | None) -> Iterator[Check]:
    if folder is None:
        yield Check("data", "good", "digits, which are included", "--data FOLDER checks your own")
        return
    with tempfile.TemporaryDirectory() as cache:
        try:
            yield from _images(Path(folder), Path(cache))
        except InputError as error:
            yield Check("data", "wrong", str(error))


def _images(folder: Path, cache: Path) -> Iterator[Check]:
    """Check the layout, splits and classes of a data folder, and name ignored files."""
    from ir2search.data import DataConfig, load_data
    from ir2search.data.folder import find_source

    source = find_source(folder)
    for sentence in source.notes:
        yield Check("data", "good", sentence)
    for sentence in source.warnings:
        yield Check("data", "good", sentence, "move what should be used; remove the rest")
    data = load_data(DataConfig(source="folder"), folder, cache, 0)
    train, test = _counts([data.train, data.validation]), _counts([data.read_test()])
    channels, height, width = data.image
    counts = f"{sum(train.values()):,} training, {sum(test.values()):,} test"
    found = f"{counts} images of {channels} x {height} x {width}, {data.classes} classes"
    yield Check("data", "good", found)
    shares = [
        f"{name} {train[label]:,} + {test[label]:,}" for label, name in enumerate(data.class_names)
    ]
    more = len(shares) - SHOWN_CLASSES
    listed = ", ".join(shares[:SHOWN_CLASSES]) + (f", and {more:,} more" if more > 0 else "")
    yield Check("classes", "good", f"training + test images: {listed}")


def _counts(splits: Sequence[Split | StreamedSplit]) -> Counter[int]:
    """Number of images by label."""
    return Counter(label for split in splits for label in split.labels.tolist())


def _shared_memory() -> Iterator[Check]:
    """Check the space through which the workers of a streamed data set pass images."""
    from ir2search.data.stream import shared_memory

    free = shared_memory()
    if free is None:
        return
    found = f"{text.size(free)} free"
    if free < SHARED:
        advice = "streaming is slower; give a container more memory: docker --shm-size=2g"
        yield Check("shared memory", "slow", found, advice)
    else:
        yield Check("shared memory", "good", found)


def _optional() -> Iterator[Check]:
    for package, (purpose, extra) in OPTIONAL.items():
        try:
            yield Check(package, "good", f"{version(package)}, for {purpose}")
        except PackageNotFoundError:
            advice = f"pip install 'ir2search[{extra}]'"
            yield Check(package, "absent", f"only for {purpose}", advice)
