from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from emulators import HOST, run

import ir2search as ir
from ir2search.errors import CandidateError


def some_digits(count: int) -> torch.Tensor:
    trained = ir.load_trained("digits-27k")
    random = torch.Generator().manual_seed(0)
    shape = (count, *trained.images.image)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)


def test_a_shipped_network_is_exported_as_c_with_its_own_logits(tmp_path: Path) -> None:
    HOST.require()
    done = ir.export_shipped("digits-27k", tmp_path / "c", "c")
    images = some_digits(10)
    found = run(done.file, images.numpy(), HOST).logits
    expected = ir.load_trained("digits-27k").logits(images).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    text = (done.file / "README.md").read_text()
    assert f"{done.ram_bytes:,} bytes of static memory" in text


def test_the_card_of_an_export_has_the_accuracy_of_the_shipped_network(tmp_path: Path) -> None:
    done = ir.export_shipped("digits-27k", tmp_path / "a.packed")
    shipped = ir.load_packed(done.file)
    assert done.ram_bytes is None
    card = done.card.read_text()
    assert "test images: 96.9%" in card
    assert "License: Apache-2.0" in card
    images = ir.load_trained("digits-27k").normalise(some_digits(5)).numpy()
    packed = ir.load_packed(ir.zoo().set_index("name").loc["digits-27k", "packed"])
    np.testing.assert_array_equal(shipped.logits(images), packed.logits(images))


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CandidateError, match="did you mean 'digits-27k'"):
        ir.export_shipped("digits-2k", tmp_path / "a")


def test_the_c_files_link_with_a_program_in_cpp(tmp_path: Path) -> None:
    HOST.require()
    folder = ir.export_shipped("digits-27k", tmp_path / "c", "c").file
    (folder / "main.cpp").write_text(
        '#include "image.h"\n#include "network.h"\n'
        "int main() { return ir2_classify(IMAGE) == IMAGE_CLASS ? 0 : 1; }\n"
    )
    sources = ("network.c", "ir2_runtime.c")
    subprocess.run(["gcc", "-std=c99", "-c", *sources], cwd=folder, check=True)
    objects = ("network.o", "ir2_runtime.o")
    made = ["g++", "-Wall", "-Wextra", "-Werror", "main.cpp", *objects, "-o", "program"]
    try:
        subprocess.run(made, cwd=folder, check=True)
    except FileNotFoundError:
        pytest.skip("needs g++")
    assert subprocess.run([folder / "program"], check=False).returncode == 0
