"""The runtime compiled with AddressSanitizer and UndefinedBehaviorSanitizer, on mutated files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sanitised import compile_runtime

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.runtime import write_packed

MUTANTS = int(os.environ.get("IR2SEARCH_MUTANTS", "40"))  # for each network
NETWORKS = {
    "resnet": ir.Candidate(depth=8, width=0.25, image=(1, 8, 8), activation="rprelu"),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, image=(3, 16, 16), width=0.05, taps=(), fusion="none"
    ),
    "groups": ir.Candidate(
        depth=8, width=0.5, kernels=(1, 3, 5), groups=(2, 4, 1), image=(3, 9, 8)
    ),
    "thermometer": ir.Candidate(depth=8, width=0.25, stem="thermometer", image=(3, 8, 8)),
    "pixels": ir.Candidate(depth=8, width=0.25, stem="int8", weights="real", image=(3, 8, 8)),
}
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from ir2search.errors import InputError
from ir2search.runtime import read_packed
from sanitised import Sanitised

library, folder, mutants = sys.argv[1:]
runtime = Sanitised(library)

def mutated(whole, draw):
    way = draw.integers(3)
    changed = whole.copy()
    digits = np.flatnonzero((whole >= ord("0")) & (whole <= ord("9")))
    for _ in range(draw.integers(1, 4)):
        if way:
            changed[draw.choice(digits)] = draw.integers(ord("0"), ord("9") + 1)
        else:
            changed[draw.integers(len(whole))] = draw.integers(256)
    return changed

ran = refused = 0
draw = np.random.default_rng(0)
for file in sorted(Path(folder).glob("*.packed")):
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    for number in range(int(mutants)):
        if number:
            file.write_bytes(mutated(whole, draw).tobytes())
        try:
            graph = read_packed(file)
        except InputError:
            refused += 1
            continue
        runtime.run(graph)
        ran += 1
print(ran, refused)
"""


@pytest.fixture(scope="module")
def sanitiser() -> str:
    """The file of AddressSanitizer that gcc uses."""
    try:
        done = subprocess.run(
            ["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("gcc is not installed")
    if not Path(done.stdout.strip()).is_absolute():
        pytest.skip("gcc has no AddressSanitizer")
    return done.stdout.strip()


@pytest.mark.slow
def test_no_mutated_file_makes_the_runtime_read_or_write_outside_its_memory(
    sanitiser: str, tmp_path: Path
) -> None:
    compile_runtime(tmp_path / "runtime.so", "gcc")
    for name, candidate in NETWORKS.items():
        write_packed(tmp_path / f"{name}.packed", candidate_graph(candidate))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "runtime.so", tmp_path, str(MUTANTS)],
        env=os.environ
        | {"LD_PRELOAD": sanitiser, "ASAN_OPTIONS": "detect_leaks=0"}
        | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ran, refused = map(int, done.stdout.split())
    assert ran > len(NETWORKS)
    assert refused > len(NETWORKS)


def test_the_sanitiser_sees_a_read_behind_a_constant(sanitiser: str, tmp_path: Path) -> None:
    """The test above could not fail without it."""
    source = tmp_path / "read.c"
    source.write_text("int read_at(const char *x, long i) { return x[i]; }\n")
    library = tmp_path / "read.so"
    compiled = ["gcc", "-fsanitize=address", "-shared", "-fPIC", "-o", library, source]
    subprocess.run(compiled, check=True)
    program = (
        "import ctypes, sys, numpy as np; x = np.zeros(64, np.uint8); base = x.ctypes.data\n"
        "ctypes.CDLL(None).__asan_poison_memory_region(ctypes.c_void_p(base + 32), 16)\n"
        "ctypes.CDLL(sys.argv[1]).read_at(ctypes.c_void_p(base), ctypes.c_long(33))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, library],
        env=os.environ | {"LD_PRELOAD": sanitiser, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "use-after-poison" in done.stderr
