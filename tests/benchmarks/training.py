"""How fast is training, compared with the style of papers' code (``reference.py``)?

Runs both alternately in one process on the same batches. Prints images/s of both, the median ratio
over pairs, the memory that each keeps for its backward pass, and the share of each part of our
step. Our steps run on the number of threads that a training chooses, the reference on all.

    python tests/benchmarks/training.py [--data CIFAR10] [--pairs 5] [--images 2560]

A threshold of 0.15 restricts no pixel of these networks' images, so our step on a CPU leaves out
the second pass, which would repeat the first. A threshold of 1.0 restricts half of the pixels. With
--data, whole epochs with augmentation are timed too, on the given number of images: the reference
reads them with a DataLoader that decodes, pads, crops and mirrors images one by one in two
processes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from reference import (
    Block,
    DecodedOneByOne,
    ReferenceResNet,
    Unit,
    reference_step,
)
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader

import ir2search as ir
from ir2search.data import DataConfig, ImageData, Split
from ir2search.nn import keep_memory, kernels_on, restrict
from ir2search.nn.threads import kernel_threads
from ir2search.training.loop import EpochRunner, train
from ir2search.training.optimizers import make_optimizer
from ir2search.training.threads import best_threads
from ir2search.zoo import preset

CONSOLE = Console(width=110)
RECIPE = ir.Recipe(lr=0.01)


@dataclass(frozen=True)
class Case:
    """A network in both implementations, and the number of images in a step."""

    name: str
    candidate: ir.Candidate
    reference: Callable[[], ReferenceResNet]
    batch: int


CASES = [
    Case(
        "cifar-resnet20",
        preset("cifar-resnet20"),
        lambda: ReferenceResNet((16, 32, 64), (6, 6, 6), Unit, 4),
        128,
    ),
    Case(
        "digits demo",
        ir.Candidate(depth=14, width=0.5, image=(1, 16, 16)),
        lambda: ReferenceResNet((8, 16, 32), (4, 4, 4), Unit, 4, colours=1),
        64,
    ),
    Case(
        "cifar-resnet18",
        preset("cifar-resnet18"),
        lambda: ReferenceResNet((64, 128, 256, 512), (2, 2, 2, 2), Block, 20),
        32,
    ),
]


class OurStep:
    """One training step of `ir2search.training`."""

    def __init__(self, candidate: ir.Candidate, device: torch.device) -> None:
        self.network = ir.build(candidate).to(device).train()
        self.optimizer, self.threshold = make_optimizer(RECIPE, self.network), candidate.threshold
        nothing = torch.empty(0, device=device)
        split = Split(nothing, nothing)
        data = ImageData(split, split, (), (), (), "", lambda: split)
        self.runner = EpochRunner(
            candidate, RECIPE, data, split, split, self.network, self.optimizer, None
        )

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        loss, _ = self.runner.loss(images, labels, self.threshold)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


class ReferenceStep:
    """One training step in the style of papers' code."""

    def __init__(self, case: Case, threshold: float, device: torch.device) -> None:
        self.network, self.threshold = case.reference().to(device), threshold
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), RECIPE.lr, RECIPE.momentum, weight_decay=RECIPE.weight_decay
        )

    def __call__(self, images: Tensor, labels: Tensor) -> None:
        reference_step(self.network, self.optimizer, images, labels, self.threshold)


def compare(case: Case, threshold: float, pairs: int, device: torch.device) -> list[str]:
    """A row of the table of steps."""
    candidate = replace(case.candidate, threshold=threshold)
    steps = (ReferenceStep(case, threshold, device), OurStep(candidate, device))
    images = torch.randn(case.batch, *candidate.image, device=device)
    labels = torch.randint(candidate.classes, (case.batch,), device=device)
    memory = [saved_bytes(step, images, labels) for step in steps]
    trial = partial(OurStep(candidate, device), images, labels)
    with best_threads(steps[1].network, device, trial):  # as a training does
        threads = kernel_threads()

    def ours_on_threads() -> None:
        with kernels_on(threads):
            steps[1](images, labels)

    work = (partial(steps[0], images, labels), ours_on_threads)
    for each in work:
        each()
    times = [[seconds(each, device) for each in work] for _ in range(pairs)]
    reference, ours = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        case.name,
        str(case.batch),
        f"{threshold:g}",
        str(threads),
        f"{case.batch / reference:,.0f}",
        f"{case.batch / ours:,.0f}",
        f"{statistics.median(a / b for a, b in times):.2f}",
        f"{memory[0] / 1e6:,.0f} MB",
        f"{memory[1] / 1e6:,.0f} MB",
        f"{memory[1] / memory[0]:.2f}",
    ]


def saved_bytes(step: OurStep | ReferenceStep, images: Tensor, labels: Tensor) -> int:
    """Bytes that a step keeps for its backward pass, without parameters and images."""
    own = {parameter.untyped_storage().data_ptr() for parameter in step.network.parameters()}
    own.add(images.untyped_storage().data_ptr())
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        step(images, labels)
    return sum(kept.values())


def time_of_parts(case: Case, threshold: float, device: torch.device) -> list[str]:
    """A row with the share of each part of our step."""
    candidate = replace(case.candidate, threshold=threshold)
    step = OurStep(candidate, device)
    pixels = torch.randint(256, (4096, *candidate.image), dtype=torch.uint8, device=device)
    labels = torch.randint(candidate.classes, (4096,), device=device)
    mean, std = [(value,) * candidate.image[0] for value in (0.5, 0.25)]
    split = Split(pixels, labels)
    data = ImageData(split, split, (), mean, std, "", lambda: split)
    spent = dict.fromkeys(("data", "forward", "restriction", "backward", "optimiser"), 0.0)

    @contextlib.contextmanager
    def timed(part: str) -> Iterator[None]:
        start = now(device)
        yield
        spent[part] += now(device) - start

    batches = split.batches(case.batch, RECIPE.augmentation, torch.Generator().manual_seed(0))
    for number in range(6):
        with timed("data"):
            images, chosen = next(batches)
            images = data.normalise(images)
        with timed("forward"):
            logits, features = step.network.logits_and_features(images)
            loss = nn.functional.cross_entropy(logits, chosen)
        with timed("restriction"):
            restricted = restrict(images, features, threshold)
            has_second_pass = not torch.equal(restricted, images)
        if has_second_pass:
            with timed("forward"):
                loss = (loss + nn.functional.cross_entropy(step.network(restricted), chosen)) / 2
        with timed("backward"):
            step.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        with timed("optimiser"):
            step.optimizer.step()
        if number == 0:
            spent = dict.fromkeys(spent, 0.0)  # the first step is a warm-up
    whole = sum(spent.values())
    return [case.name, f"{threshold:g}", *(f"{part / whole:.1%}" for part in spent.values())]


def compare_epochs(folder: Path, count: int, pairs: int, device: torch.device) -> list[str]:
    """A row of the table of epochs: ResNet-20 on CIFAR-10 with the paper's threshold."""
    case = CASES[0]
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache"
        data = ir.load_data(DataConfig(source="folder"), folder, cache, 0)
        rows = torch.arange(count)
        part = replace(data, train=Split(*data.train.take(rows)), validation=data.validation)
        part = replace(part, validation=Split(*data.validation.take(torch.arange(64))))
        reader = DataLoader(
            DecodedOneByOne(encoded(part.train), part.train.labels.tolist(), data.mean, data.std),
            batch_size=case.batch,
            shuffle=True,
            drop_last=True,
            num_workers=2,
        )
        step = ReferenceStep(case, case.candidate.threshold, device)

        def reference_epoch() -> None:
            for images, labels in reader:
                step(images.to(device), labels.to(device))

        runs = iter(range(1000))

        def our_epoch() -> None:
            recipe = replace(RECIPE, epochs=1)
            train(
                case.candidate, recipe, part, Path(scratch) / str(next(runs)), seed=0, device=device
            )

        our_epoch()
        times = [
            [seconds(run, device) for run in (reference_epoch, our_epoch)] for _ in range(pairs)
        ]
    reference, ours = (count / statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    return [case.name, str(case.batch), f"{reference:,.0f}", f"{ours:,.0f}", f"{ratio:.2f}"]


def encoded(split: Split) -> list[bytes]:
    """The images of the split as JPEG files in memory."""
    from PIL import Image

    files = []
    for pixels in split.images.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    return files


def trial_start(device: torch.device) -> float:
    """Seconds from a new candidate to its first step, in a process that has run other trials."""
    starts = []
    for width in (0.5, 0.75, 1.0):
        candidate = ir.Candidate(width=width, fusion_ratio=4)
        images, labels = torch.randn(128, 3, 32, 32, device=device), torch.zeros(128).long()
        start = now(device)
        ir.cost(candidate)
        step = OurStep(candidate, device)
        starts.append(now(device) - start)
        step(images, labels.to(device))
    return statistics.median(starts[1:])


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Run the work and return its time in seconds."""
    start = now(device)
    work()
    return now(device) - start


def now(device: torch.device) -> float:
    """The time, after the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table."""
    table = Table(title=title, title_justify="left", box=None)
    for name in columns:
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        table.add_row(*row)
    CONSOLE.print(table, "")


def main() -> None:
    """Print all tables for the CPU, and for the first GPU if there is one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--images", type=int, default=2560)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    keep_memory()
    devices = [torch.device("cpu")]
    devices += [torch.device("cuda")] if torch.cuda.is_available() else []
    for device in devices:
        threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
        CONSOLE.print(
            f"torch {torch.__version__}, Python {sys.version.split()[0]}, {device}{threads}\n"
        )
        names = ["network", "batch", "threshold", "our threads", "reference", "ours", "ratio"]
        show(
            "one step: images/s, and memory kept for the backward pass",
            [*names, "reference", "ours", "ratio"],
            [
                compare(case, threshold, arguments.pairs, device)
                for case in CASES
                for threshold in (0.15, 1.0)
            ],
        )
        show(
            "share of each part of our step",
            ["network", "threshold", "data", "forward", "restriction", "backward", "optimiser"],
            [time_of_parts(case, threshold, device) for case in CASES for threshold in (0.15, 1.0)],
        )
        CONSOLE.print(
            f"a further trial is ready for its first step in {trial_start(device):.3f} s\n"
        )
        if arguments.data:
            row = compare_epochs(arguments.data, arguments.images, arguments.pairs, device)
            title = f"an epoch of {arguments.images} images at threshold 0.15: images/s"
            show(title, ["network", "batch", "reference", "ours", "ratio"], [row])


if __name__ == "__main__":
    main()
