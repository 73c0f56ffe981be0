"""Coverage-guided fuzzing of the C runtime with libFuzzer: `make fuzz`, or by hand.

`PYTHONPATH=tests python tests/fuzzing/runtime.py --seconds 600` changes the graph of a packed file,
guided by the lines of the reader and of the runtime that each change reaches. The runtime is
compiled by clang in plain C, as microcontrollers run it, with AddressSanitizer,
UndefinedBehaviorSanitizer and coverage. Tensors have the sizes that the graph says, so that many
changed graphs are valid. Inputs that reach new code are
kept in ``.fuzz/runtime``. An input that is neither refused nor run ends the call with an error, and
is kept in ``.fuzz/findings``. Give its path to run it alone.

A run of seven minutes on one core tried 25,103 inputs, which reached 632 edges of the code and
1,564 features, and found nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import atheris
import numpy as np

with atheris.instrument_imports(include=["ir2search.runtime"]):
    import sanitised

    from ir2search.errors import InputError
    from ir2search.runtime.packed import pack, read_packed, unpack

FUZZ = Path(__file__).parents[2] / ".fuzz"
FILES = Path(sanitised.inference.__file__).parents[1] / "zoo" / "files"
PRELOADED = Path(atheris.__file__).parents[1] / "asan_with_fuzzer.so"
LARGEST = 2**20  # elements of all tensors, and bytes of the arena; larger graphs take too long


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="*", help="run these inputs only")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    corpus, findings = FUZZ / "runtime", FUZZ / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    library = FUZZ / "runtime.so"
    if os.environ.get("LD_PRELOAD") != str(PRELOADED):
        if shutil.which("clang") is None:
            sys.exit("the C runtime is not fuzzed: clang is not installed")
        sanitised.compile_runtime(library, "clang", "-fsanitize=fuzzer-no-link", vectors=False)
        settings = {"LD_PRELOAD": str(PRELOADED), "ASAN_OPTIONS": "detect_leaks=0"}
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)
    for file in FILES.glob("*.packed"):
        (corpus / f"seed-{file.stem}").write_text(json.dumps(pack(read_packed(file))[0]))
    runtime = sanitised.Sanitised(str(library))

    def one(content: bytes) -> None:
        try:
            graph = json.loads(content)
            sizes = tensor_sizes(graph)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return
        if sum(sizes.values()) > LARGEST:
            return
        try:
            found = unpack(graph, tensors(sizes))
        except InputError:
            return
        if sum(math.prod(node.shape) for node in found.nodes) + math.prod(found.image) < LARGEST:
            runtime.run(found)

    options = [
        f"-max_total_time={arguments.seconds}", "-timeout=60", "-rss_limit_mb=4096",
        f"-artifact_prefix={findings}/runtime-", "-print_final_stats=1", "-max_len=20000",
        "-report_slow_units=60",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, *(arguments.inputs or [str(corpus)])], one)
    atheris.Fuzz()


def tensor_sizes(graph: Any) -> dict[str, int]:
    """Elements of ``numbers`` and ``bits`` that a graph says."""
    sizes = {"numbers": 0, "bits": 0}
    for row in graph["nodes"]:
        for shape in row[4] if len(row) > 4 else ():
            if isinstance(shape, int):
                sizes["bits"] += max(shape, 0)
            elif shape is not None:
                sizes["numbers"] += max(math.prod(shape), 0)
    return sizes


def tensors(sizes: dict[str, int]) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "numbers": draw.standard_normal(sizes["numbers"], dtype=np.float32),
        "bits": draw.integers(0, 256, sizes["bits"], dtype=np.uint8),
    }


if __name__ == "__main__":
    main()
