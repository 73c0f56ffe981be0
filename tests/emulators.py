"""Builds and runs exported C on this machine and on emulated devices."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ir2search.export import c_text

SOURCES = Path(__file__).with_name("boards")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
FLAGS = ("-std=c99", "-ffp-contract=off", "-Os")
TICK = 40  # instructions of a tick of the boards' timer, with one instruction a nanosecond


@dataclass(frozen=True)
class Machine:
    """How programs are compiled for a machine and run there.

    Attributes:
        name: of the machine.
        compiler: the compiler and its flags.
        emulator: the command that runs a program; empty on this machine.
        package: the Debian packages that bring both.
        files: what is compiled and linked beside the network.
    """

    name: str
    compiler: Sequence[str]
    emulator: Sequence[str] = ()
    package: str = "gcc"
    files: Sequence[str] = ()

    def require(self) -> None:
        """Skip the test if a command is missing."""
        for command in (self.compiler[0], *self.emulator[:1]):
            if shutil.which(command) is None:
                pytest.skip(f"{command} is not installed (Debian: {self.package})")


def _board(name: str, board: str, *flags: str) -> Machine:
    emulator = ("qemu-system-arm", "-M", board, "-display", "none", "-monitor", "none")
    return Machine(
        name,
        ("arm-none-eabi-gcc", "-mthumb", *flags),
        (*emulator, "-serial", "none", "-icount", "shift=0",
         "-semihosting-config", "enable=on,target=native", "-kernel"),
        "gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm",
        ("board.c", "-nostartfiles", "-T", "board.ld"),
    )  # fmt: skip


HOST = Machine("this machine", ("gcc",))
CORTEX_M3 = _board("Cortex-M3", "mps2-an385", "-mcpu=cortex-m3")
CORTEX_M4 = _board(
    "Cortex-M4", "mps2-an386", "-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"
)
CORTEX_M7 = _board(
    "Cortex-M7", "mps2-an500", "-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"
)
AARCH64 = Machine(
    "AArch64",
    ("aarch64-linux-gnu-gcc", "-static"),
    ("qemu-aarch64",),
    "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
)


@dataclass(frozen=True)
class Answers:
    """What a program printed.

    Attributes:
        classes: (images).
        logits: (images, classes) float32.
        instructions: for each step, on a board.
    """

    classes: NDArray[np.int64]
    logits: NDArray[np.float32]
    instructions: list[int]


def run(folder: Path, images: NDArray[np.uint8], machine: Machine) -> Answers:
    """Compile an exported folder without a warning, and classify images (N, C, H, W) with it."""
    machine.require()
    pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    rows = ",\n".join(f"{{{c_text.joined(map(str, each.ravel()))}}}" for each in pixels)
    header = f"#define IMAGE_COUNT {len(pixels)}\n"
    header += f"static const uint8_t IMAGES[][{pixels[0].size}] = {{\n{rows}\n}};\n"
    (folder / "images.h").write_text(header)
    for file in SOURCES.iterdir():
        shutil.copy(file, folder / "main_of_test.c" if file.name == "main.c" else folder)
    _checked(
        [*machine.compiler, *FLAGS, *WARNINGS, "-o", "program", "main_of_test.c", "ir2_runtime.c",
         *machine.files], folder,
    )  # fmt: skip
    lines = _checked([*machine.emulator, str(folder / "program")], folder).splitlines()
    words = [[int(word, 16) for word in line.split()] for line in lines]
    found = np.array(words[: len(images)], np.uint32)
    ticks = words[len(images)] if len(words) > len(images) else []
    logits = np.ascontiguousarray(found[:, 1:]).view(np.float32)
    return Answers(found[:, 0].astype(np.int64), logits, [TICK * each for each in ticks])


def sizes(folder: Path, machine: Machine) -> dict[str, int]:
    """Bytes of text (code and constants), data and bss of the network and the runtime."""
    machine.require()
    total = dict.fromkeys(("text", "data", "bss"), 0)
    for name in ("network", "ir2_runtime"):
        _checked([*machine.compiler, *FLAGS, "-c", "-o", f"{name}.o", f"{name}.c"], folder)
        table = _checked(["arm-none-eabi-size", f"{name}.o"], folder).splitlines()
        for key, value in zip(table[0].split()[:3], table[1].split()[:3], strict=True):
            total[key] += int(value)
    return total


def _checked(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout
