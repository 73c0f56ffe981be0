"""Exported C on emulated devices. The emulators run the compiled instructions one by one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from emulators import AARCH64, CORTEX_M3, CORTEX_M4, CORTEX_M7, Machine, run, sizes

from ir2search.data import normalised
from ir2search.data.digits import read_digits
from ir2search.export import device_memory
from ir2search.export.c_folder import write_c_folder
from ir2search.export.c_source import CNetwork
from ir2search.kernels.inference import portable
from ir2search.runtime import PackedNetwork, load_packed, read_image_spec, read_packed
from ir2search.zoo import named_candidate
from ir2search.zoo.shipped import shipped_network

BOARDS = (CORTEX_M3, CORTEX_M4, CORTEX_M7)
MACHINES = (*BOARDS, AARCH64)
IMAGES = 100


def exported(name: str, folder: Path, image: np.ndarray) -> CNetwork:
    file = shipped_network(name).packed
    return write_c_folder(folder, read_packed(file), read_image_spec(file), image, 0, name)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return read_digits(16).test_images[:IMAGES].numpy()


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_a_device_gives_the_logits_of_the_runtime_bit_for_bit(
    machine: Machine, digits: np.ndarray, tmp_path: Path
) -> None:
    exported("digits-27k", tmp_path, digits[0])
    found = run(tmp_path, digits, machine)
    file = shipped_network("digits-27k").packed
    spec = read_image_spec(file)
    images = normalised(torch.from_numpy(digits), spec.mean, spec.std).numpy()
    wanted = PackedNetwork(read_packed(file), variant=portable()).logits(images)
    np.testing.assert_array_equal(found.logits, wanted)
    np.testing.assert_array_equal(found.classes, wanted.argmax(axis=1))
    np.testing.assert_allclose(found.logits, load_packed(file).logits(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("machine", BOARDS, ids=lambda machine: machine.name)
@pytest.mark.parametrize("name", ["digits-27k", "digits-63k", "cifar10-resnet20"])
def test_flash_and_ram_are_what_cost_and_the_readme_say(
    machine: Machine, name: str, tmp_path: Path
) -> None:
    spec = read_image_spec(shipped_network(name).packed)
    memory = exported(name, tmp_path, np.zeros(spec.image, np.uint8)).memory
    found = sizes(tmp_path, machine)
    assert found["text"] == pytest.approx(memory.flash_bytes, rel=0.02)
    assert (found["data"], found["bss"]) == (0, memory.ram_bytes)
    assert device_memory(named_candidate(name)) == memory, "untrained weights take as much"
    readme = (tmp_path / "README.md").read_text()
    constants, code = re.findall(r"([\d.]+) kB of con.* about ([\d.]+) kB of code", readme)[0]
    assert found["text"] == pytest.approx(1000 * (float(constants) + float(code)), rel=0.02)
    assert f"{memory.ram_bytes:,} bytes of static memory" in readme


def test_a_network_of_the_digits_fits_a_small_microcontroller(tmp_path: Path) -> None:
    exported("digits-27k", tmp_path, np.zeros((1, 16, 16), np.uint8))
    found = sizes(tmp_path, CORTEX_M4)
    assert found["text"] <= 32_000
    assert found["bss"] <= 16_000


def test_instructions_are_counted_by_layer(digits: np.ndarray, tmp_path: Path) -> None:
    network = exported("digits-27k", tmp_path, digits[0])
    with_floats, without = (
        run(tmp_path, digits[:1], machine).instructions for machine in (CORTEX_M4, CORTEX_M3)
    )
    steps = network.memory.steps
    assert len(with_floats) == len(without) == len(steps)
    stem = [each.name for each in steps].index("stem.0")
    assert without[stem] > 3 * with_floats[stem], "floats are computed by functions"
    assert all(count > 0 for count in with_floats)
