"""Coverage-guided fuzzing of the readers with atheris: `make fuzz`, or one target by hand.

`PYTHONPATH=tests python tests/fuzzing/fuzz.py study --seconds 600` changes a study file, guided by
the lines of this package that each change reaches. Inputs that reach new lines are kept in
``.fuzz/study``, where the next call begins. An input that ends in a traceback, or takes more than
20 s or 4 GB, ends the call with an error, and is kept in ``.fuzz/findings``. Give its path after
the target to run it alone.

It found a parquet file of 3 kB that took 4.2 GB. Since the structure of such files is checked
first, 8 minutes (12,608 inputs) on a busy core found none; nor did 25 s or more of each other
target: study 2201, packed 1210, pickle 803, progress 527, image 509, best 466, weights 427 and run
85 inputs.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris
import tomli_w

with atheris.instrument_imports(include=["ir2search", "tomllib", "json"]):
    import readers
    import samples

    from ir2search.errors import InputError

FUZZ = Path(__file__).parents[2] / ".fuzz"
READERS: dict[str, Callable[[Path], object]] = {
    "study": readers.read_study,
    "run": readers.read_analysed_run,
    "packed": readers.read_packed_file,
    "best": readers.read_best,
    "progress": readers.read_progress,
    "weights": readers.read_weights_file,
    "pickle": readers.read_weights_file,
    "parquet": readers.read_images,
    "image": readers.read_images,
}
WEIGHTS = {
    "packed": ["network.packed"],
    "best": ["best.safetensors"],
    "progress": ["last.safetensors"],
    "weights": ["best.safetensors"],
    "pickle": ["weights.pth", "old.pth"],
}
OF_A_RUN = (
    "study.toml", "study.journal", "environment.json", "trials/*/candidate.json",
    "trials/*/cost.json", "trials/*/curve.jsonl", "trials/*/test.json", "trials/*/hits.json",
    "trials/*/seeds/1/result.json", "trials/*/information/information.parquet",
)  # fmt: skip
FORMATS = ("png", "jpeg", "bmp", "gif", "tiff", "webp", "ppm", "jpeg2000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=READERS)
    parser.add_argument("inputs", nargs="*", help="run these inputs only")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    place = Path(tempfile.mkdtemp(prefix="ir2search-fuzz-")) / "given"
    files, seeds = prepared(arguments.target, place)
    corpus, findings = FUZZ / arguments.target, FUZZ / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={arguments.seconds}", "-timeout=20", "-rss_limit_mb=4096",
        "-malloc_limit_mb=4096", f"-artifact_prefix={findings}/{arguments.target}-",
        "-print_final_stats=1", f"-max_len={2 * max(map(len, seeds))}",
    ]  # fmt: skip
    read, is_whole = READERS[arguments.target], len(files) == 1
    wholes = [file.read_bytes() if file.exists() else b"" for file in files]

    def one(content: bytes) -> None:
        """Read the input as the content of one of the files; its first byte chooses the file."""
        if not content:
            return
        number = 0 if is_whole else content[0] % len(files)
        files[number].write_bytes(content if is_whole else content[1:])
        try:
            read(place if place.is_dir() else files[number])
        except InputError:
            pass
        finally:
            files[number].write_bytes(wholes[number])

    atheris.Setup([sys.argv[0], *options, *(arguments.inputs or [str(corpus)])], one)
    atheris.Fuzz()


def prepared(target: str, place: Path) -> tuple[list[Path], list[bytes]]:
    """The files that the fuzzer writes, and inputs to begin with."""
    if target == "study":
        place.parent.mkdir(exist_ok=True)
        return [place.with_suffix(".toml")], [tomli_w.dumps(samples.STUDY).encode()]
    if target == "run":
        samples.write_run(place)
        trial = max(place.glob("trials/*/seeds")).parent.name
        files = [place / name.replace("*", trial) for name in OF_A_RUN]
        return files, [bytes([number]) + f.read_bytes() for number, f in enumerate(files)]
    if target in WEIGHTS:
        samples.write_weights(place.parent)
        sources = [place.parent / name for name in WEIGHTS[target]]
        name = "last" if target == "progress" else "given"
        folder = place.parent / "read"
        folder.mkdir()
        return [folder / f"{name}{sources[0].suffix}"], [file.read_bytes() for file in sources]
    if target == "parquet":
        samples.write_tables(place)
        return [place / "train.parquet"], [(place / "train.parquet").read_bytes()]
    samples.write_class_folders(place)
    return [place / "train/cat/a.png"], [samples.picture(0, name) for name in FORMATS]


if __name__ == "__main__":
    main()
