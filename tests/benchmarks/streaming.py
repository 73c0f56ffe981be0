"""How fast are images streamed from disk, and how much memory does it take?

Enlarges the images of a small data set to about ImageNet's size and stores them as JPEG files, then
reads an epoch of random resized crops and all central crops.

    python tests/benchmarks/streaming.py CIFAR10 [--images 20000] [--folder FOLDER]

Enlarged images of CIFAR-10 are smoother than those of ImageNet, so their files would be smaller
than ImageNet's 110 kB and decode faster. The JPEG quality is set so that the sizes are close.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from PIL import Image

from ir2search.data import Augmentation, DataConfig, ImageData, load_data
from ir2search.machine import cores

SIZES = ((500, 375), (375, 500), (500, 333), (500, 500))  # the most frequent in ImageNet
QUALITY = 100
BATCH = 256


def enlarge(job: tuple[Path, object, int]) -> int:
    """Enlarge and write one image; return the size of the file in bytes."""
    file, pixels, number = job
    picture = Image.fromarray(pixels).resize(SIZES[number % len(SIZES)], Image.Resampling.BICUBIC)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, "JPEG", quality=QUALITY)
    return file.stat().st_size


def make_folder(source: ImageData, folder: Path, count: int) -> float:
    """Write ``count`` training images and 1,000 test images; return the mean kB of a file."""
    jobs = []
    for split, data, number in (("train", source.train, count), ("val", source.read_test(), 1000)):
        pixels = data.images.permute(0, 2, 3, 1).numpy()
        for row in range(number):
            name = source.class_names[int(data.labels[row])]
            jobs.append((folder / split / name / f"{row:05}.jpg", pixels[row], row))
    with ProcessPoolExecutor() as pool:
        sizes = list(pool.map(enlarge, jobs, chunksize=64))
    return sum(sizes) / len(sizes) / 1000


def memory(process: int) -> int:
    """Memory of a process and its children in bytes; shared pages count once."""
    found = 0
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found = int(line.split()[1]) * 1024
        for task in Path(f"/proc/{process}/task").iterdir():
            found += sum(memory(int(child)) for child in (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process has ended
    return found


class PeakMemory:
    """The peak memory of this process while the context is open, from samples."""

    def __enter__(self) -> PeakMemory:
        self.peak, self.done = 0, threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def sample(self) -> None:
        while not self.done.wait(0.2):
            self.peak = max(self.peak, memory(os.getpid()))

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()


def time_batches(name: str, batches: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Read all batches, and print the speed and the peak memory."""
    before, start, count = memory(os.getpid()), time.perf_counter(), 0
    with PeakMemory() as memory_used:
        for _, labels in batches:
            count += len(labels)
    rate = count / (time.perf_counter() - start)
    print(
        f"{name}: {count:,} images, {rate:,.0f} images/s with {cores()} workers, "
        f"{memory_used.peak / 1e6:,.0f} MB at most ({before / 1e6:,.0f} MB before)",
        flush=True,
    )


def main() -> None:
    """Make the folder if it is missing, and time both kinds of batches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "cache"
        folder = arguments.folder or Path(scratch) / "images"
        if not folder.exists():
            small = load_data(DataConfig(source="folder"), arguments.source, cache, 0)
            size = make_folder(small, folder, arguments.images)
            print(f"wrote {arguments.images:,} images of {size:.0f} kB", flush=True)
            del small
        start = time.perf_counter()
        data = load_data(DataConfig(source="folder", size=224, stream=True), folder, cache, 0)
        print(f"index and moments: {time.perf_counter() - start:.1f} s", flush=True)
        generator = torch.Generator().manual_seed(0)
        augmentation = Augmentation(0, True, crop_area=0.08)
        time_batches("training", data.train.batches(BATCH, augmentation, generator))
        time_batches("evaluation", data.read_test().evaluation_batches())


if __name__ == "__main__":
    main()
