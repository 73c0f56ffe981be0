"""Training on a GPU, in at most 8 minutes: does it work, how fast is it, how far does it get?

    python tests/benchmarks/gpu.py [--data CIFAR10] [--seconds 480]

First it checks that a step does not wait for the GPU, that its gradient agrees with the CPU's in
float32, and that a training can be interrupted, continued and read on a CPU. Then it times an epoch
of 50,000 images of ResNet-20 against the reference loop (``reference.py``). In the time that is
left it trains ResNet-20: on CIFAR-10 with --data, else on the included digits.

``--device cpu`` with a small number of ``--images`` tries the script without a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from training import CASES, CONSOLE, OurStep, ReferenceStep, now, seconds, show

import ir2search as ir
from ir2search.nn import keep_memory
from ir2search.training import EpochResult, Interrupted
from ir2search.zoo import TrainingObserver, train_network

EPOCH = 50_000  # images of CIFAR-10's training set
PAIRS = 5
LEAST_AGREEMENT = 0.95  # cosine between the gradients of the device and of float32
TIMES, TRAINING = 0.5, 0.95  # shares of the time after which timing and training end
CASE = CASES[0]

Check = tuple[str, Callable[[torch.device], str]]


def no_step_waits(device: torch.device) -> str:
    """Raise an error if a step of training synchronises with the GPU."""
    if device.type != "cuda":
        return "only on a GPU"
    step, images, labels = OurStep(CASE.candidate, device), *batch(128, device)
    step(images, labels)
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(images, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no step waits for the GPU"


def gradients_agree(device: torch.device) -> str:
    """Compare the gradient of a step with that of the CPU, in float32 and in TF32.

    TF32 rounds the images, and what is rounded before a sign flips signs.
    """
    before = torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = False
        exact = agreement(device)
        torch.backends.cudnn.allow_tf32 = before
        usual = agreement(device)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    if not exact > LEAST_AGREEMENT:
        raise AssertionError(f"the cosine between the gradients is only {exact:.4f}")
    return f"cosine between the gradients {exact:.4f}, as it trains {usual:.4f}"


def agreement(device: torch.device) -> float:
    """The cosine between the gradients of a step on the CPU and on the device."""
    torch.manual_seed(0)
    images, labels = batch(64, torch.device("cpu"))
    network = ir.build(CASE.candidate)
    found = []
    for place in (torch.device("cpu"), device):
        step = OurStep(CASE.candidate, place)
        step.network.load_state_dict(network.state_dict())
        loss, _ = step.runner.loss(images.to(place), labels.to(place), step.threshold)
        loss.backward()
        gradients = [each.grad for each in step.network.parameters() if each.grad is not None]
        found.append(nn.utils.parameters_to_vector(gradients).cpu())
    return float(functional.cosine_similarity(*(each.double() for each in found), dim=0))


def a_training_continues(device: torch.device) -> str:
    """Interrupt a training, continue it, and read its weights on the CPU."""
    calls = iter(range(1_000_000))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = ir.load_data(ir.DataConfig(size=16), None, folder, 0)
        candidate = ir.Candidate(depth=8, width=0.5, image=(1, 16, 16), threshold=0.5)
        recipe = ir.Recipe(epochs=2, batch_size=128, optimizer="adamw", lr=0.02, flip=False)

        def once(**options: Callable[[], bool]) -> ir.training.TrainingResult:
            return ir.train(candidate, recipe, data, folder, seed=0, device=device, **options)

        try:
            once(should_stop=lambda: next(calls) == 12)
        except Interrupted:
            pass
        else:
            raise AssertionError("the training was not interrupted")
        result = once()
        network = ir.load_network(candidate, folder / "best.safetensors")
        share = ir.training.accuracy(network, data, data.validation)
    if abs(share - result.accuracy) > 0.02:
        raise AssertionError(f"accuracy {result.accuracy:.3f}, but {share:.3f} on the CPU")
    return f"accuracy {result.accuracy:.3f}, on the CPU {share:.3f}"


CHECKS: list[Check] = [
    ("no step waits", no_step_waits),
    ("gradients agree with float32", gradients_agree),
    ("interrupted, continued, read on a CPU", a_training_continues),
]


def run_checks(device: torch.device) -> bool:
    """Print the result of each check; returns whether all hold."""
    rows, holds = [], True
    for name, check in CHECKS:
        try:
            rows.append([name, "yes", check(device)])
        except Exception as error:  # the other parts are worth knowing all the same
            holds = False
            rows.append([name, "NO", f"{type(error).__name__}: {error}".splitlines()[0]])
    show("does the path work?", ["check", "holds", "found"], rows)
    return holds


def batch(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    images = torch.randn(size, *CASE.candidate.image, device=device)
    return images, torch.randint(CASE.candidate.classes, (size,), device=device)


def time_epochs(device: torch.device, images: int, deadline: float) -> None:
    """Print seconds for an epoch, ours and the reference's; each is timed on some images."""
    rows = []
    for size in [size for size in (128, 1024) if size <= images] or [images]:
        for threshold in (0.15, 1.0):
            if time.perf_counter() > deadline:
                break
            rows.append(time_epoch(device, size, threshold, max(1, images // size)))
    names = ["network", "batch", "threshold", "reference", "ours", "ratio", "memory"]
    show(f"seconds for an epoch of {EPOCH:,} images; {PAIRS} pairs", names, rows)


def time_epoch(device: torch.device, size: int, threshold: float, count: int) -> list[str]:
    """A row of the table, from ``count`` steps for each measurement."""
    candidate = replace(CASE.candidate, threshold=threshold)
    steps = ReferenceStep(CASE, threshold, device), OurStep(candidate, device)
    images, labels = batch(size, device)
    for step in steps:
        step(images, labels)

    def several(step: ReferenceStep | OurStep) -> Callable[[], None]:
        return lambda: [step(images, labels) for _ in range(count)] and None

    pairs = [[seconds(several(step), device) for step in steps] for _ in range(PAIRS)]
    epochs = [
        statistics.median(column) * EPOCH / (count * size) for column in zip(*pairs, strict=True)
    ]
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0
    return [
        CASE.name,
        str(size),
        f"{threshold:g}",
        *(f"{epoch:,.1f}" for epoch in epochs),
        f"{statistics.median(a / b for a, b in pairs):.2f}",
        f"{memory:.1f} GB",
    ]


def train_until(device: torch.device, data: Path | None, deadline: float) -> None:
    """Train ResNet-20 until the deadline, and print its learning curve."""
    rows: list[list[str]] = []

    class Note(TrainingObserver):
        def on_training_epoch(self, result: EpochResult) -> None:
            accuracy = result.validation_accuracy
            share = "" if accuracy is None else f"{accuracy:.1%}"
            rows.append([str(result.epoch), f"{result.loss:.3f}", share, f"{result.seconds:.1f}"])

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = train_network(
                CASE.name,
                Path(folder) / "training",
                data=data,
                recipe="cifar-resnet20-short",
                device=str(device),
                observer=Note(),
                should_stop=lambda: time.perf_counter() > deadline,
            )
            end = f"test accuracy {done.test_accuracy:.1%}"
        except Interrupted:
            end = "the time was over"
    shown = rows if len(rows) <= 20 else [*rows[:: -(-len(rows) // 20)], rows[-1]]
    columns = ["epoch", "loss", "validation", "seconds"]
    show(f"training of {CASE.name} on {data or 'digits'}", columns, shown)
    CONSOLE.print(f"{len(rows)} epochs in {time.perf_counter() - start:.0f} s; {end}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=480.0, help="time for all parts")
    parser.add_argument("--images", type=int, default=8192, help="images of a timed measurement")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(
            1, "No GPU: torch sees none on this machine, so nothing was tried; --device cpu "
            "--images 64 tries the script itself.\n",
        )  # fmt: skip
    start = now(device)
    keep_memory()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    CONSOLE.print(f"torch {torch.__version__}, {name}\n")
    holds = run_checks(device)
    time_epochs(device, arguments.images, start + TIMES * arguments.seconds)
    train_until(device, arguments.data, start + TRAINING * arguments.seconds)
    CONSOLE.print(f"{now(device) - start:.0f} s in all")
    if not holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
