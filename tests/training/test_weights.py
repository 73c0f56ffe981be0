"""Weights that other programs wrote, and files that are no weights."""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ir2search as ir
from ir2search.errors import WeightsError
from ir2search.export import candidate_graph
from ir2search.runtime import write_packed
from ir2search.training.weights import (
    load_weights,
    put_weights,
    read_weights,
    starting_weights,
)
from ir2search.zoo import shipped_networks

TENSORS = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
CANDIDATE = ir.Candidate(depth=8, width=0.125, image=(3, 8, 8))


def own_weights() -> dict[str, Tensor]:
    return ir.build(CANDIDATE).state_dict()


def named(change: Callable[[str], str]) -> dict[str, Tensor]:
    return {change(name): tensor for name, tensor in own_weights().items()}


@pytest.mark.parametrize(
    "checkpoint",
    [
        TENSORS,
        {"state_dict": TENSORS},
        {"epoch": 3, "model": TENSORS, "optimizer": {"state": {0: {"momentum": torch.ones(1)}}}},
        {"args": {"lr": 0.1, "names": ("a", "b")}, "net": {"state_dict": TENSORS}},
        {"model_state_dict": TENSORS, "rng": torch.get_rng_state()},
        {"ema": TENSORS, "optimizer": {"state": {0: {"momentum": torch.ones(1)}}}, "epoch": 3},
    ],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_tensors_are_found_in_a_checkpoint(tmp_path: Path, checkpoint: Any, is_zip: bool) -> None:
    torch.save(checkpoint, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    found = read_weights(tmp_path / "a.pth")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())


def test_tensors_under_two_unusual_keys_are_refused(tmp_path: Path) -> None:
    torch.save({"teacher": TENSORS, "student": TENSORS}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="has no state_dict"):
        read_weights(tmp_path / "a.pth")


def test_the_content_of_a_file_tells_its_format(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.safetensors")
    save_file(TENSORS, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.safetensors").keys() == TENSORS.keys()
    assert read_weights(tmp_path / "a.pth").keys() == TENSORS.keys()


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name,
        lambda name: f"module.{name}",
        lambda name: f"_orig_mod.{name}",
        lambda name: f"module._orig_mod.{name}",
        lambda name: f"model.net.{name}",
        lambda name: name.replace("stage1.", "stage1._orig_mod."),
    ],
)
def test_names_may_have_the_prefixes_of_wrappers(
    tmp_path: Path, change: Callable[[str], str]
) -> None:
    torch.save({"state_dict": named(change)}, tmp_path / "a.pth")
    network = load_weights(CANDIDATE, tmp_path / "a.pth")
    assert not network.training
    assert network.state_dict().keys() == own_weights().keys()


def test_a_prefix_of_the_network_itself_stays() -> None:
    network = nn.ModuleDict({"module": nn.Linear(3, 2)})
    put_weights(network, {"module.weight": torch.ones(2, 3), "module.bias": torch.ones(2)}, "", "")
    assert torch.equal(network["module"].bias, torch.ones(2))


def test_the_counters_of_batch_norms_may_be_missing(tmp_path: Path) -> None:
    given = {k: v for k, v in own_weights().items() if not k.endswith("num_batches_tracked")}
    assert len(given) < len(own_weights())
    torch.save(given, tmp_path / "a.pth")
    found = load_weights(CANDIDATE, tmp_path / "a.pth").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in given.items())


def test_weights_of_another_network_are_listed(tmp_path: Path) -> None:
    given = own_weights()
    del given["head.linear.bias"]
    given |= {"more": torch.ones(1), "stem.0.weight": torch.ones(1)}
    torch.save(given, tmp_path / "a.pth")
    with pytest.raises(WeightsError) as caught:
        load_weights(CANDIDATE, tmp_path / "a.pth")
    for part in ("missing: head.linear.bias", "unknown: more", "stem.0.weight (1,) for"):
        assert part in str(caught.value)


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran-code"),))


def saved(value: object) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def zipped(pickled: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickled)
        archive.writestr("a/version", "3\n")
    return stream.getvalue()


def arrays() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(2))
    return stream.getvalue()


def tuples(operations: bytes) -> bytes:
    """A pickle of a dictionary whose key is a tuple."""
    return zipped(b"\x80\x02})q\x01" + operations + b"K\x01s.")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"
MODEL = saved({"state_dict": TENSORS})


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"<html>404 Not found</html>", "is a web page, not weights"),
        (b"\n<!DOCTYPE html><p>", "is a web page, not weights"),
        (b"<?xml version='1.0'?><Error/>", "is XML, not weights"),
        (POINTER, "is a pointer of Git LFS, not weights; get the file with `git lfs pull`"),
        (b"Not found", "is text"),
        (b"\x1f\x8b\x08rest", "is a gzip archive, not weights; unpack it"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras writes it"),
        (b"\x08\x0a\x12\x07pytorch", "is an ONNX model"),
        (bytes(range(256)) * 40, "is not in a format of weights"),
        (pickle.dumps({"a": 1}), "is a Python pickle that torch did not write"),
        (arrays(), "is an archive of NumPy arrays"),
        (zipped(b"")[:-30], "is damaged or cut short"),
        (zipped(b""), "is damaged or cut short"),
        (zipped(b"\x80\x02}q"), "is damaged or cut short"),
        (MODEL[:-100], "is damaged or cut short"),
        (b"\x20\0\0\0\0\0\0\0{" + b" " * 40, "is damaged or cut short"),
        (zipped(b"\x80\x02" + b"K\x01" * 600_000 + b"."), "more than 500,000 operations"),
        (zipped(b"\x80\x02" + b"N" * 17_000_000 + b"."), "more than 16,777,216 bytes"),
        (tuples(b"h\x01h\x01\x86q\x01" * 60), "more than 2,000 values in a tuple"),
        (tuples(b"\x85" * 400_000), "more than 2,000 values in a tuple"),
        (saved({"a": nn.Linear(2, 2)}), "has an object of torch.nn.modules.linear.Linear"),
        (saved({"a": np.float64(1)}), "has an object of numpy"),
        (saved({"state_dict": Malicious()}), "which could run code, so it is not read"),
        (saved({}), "has no state_dict"),
        (saved([1]), "has no state_dict"),
        (saved({"a": torch.eye(3).to_sparse()}), "a must be a plain tensor"),
        (saved({"a": torch.empty(3, device="meta")}), "a must be a plain tensor"),
    ],
    # archives hold the time, and all processes of pytest-xdist must find equal names
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_without_weights_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read_weights(Path(name))
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert part in message
    assert "\n" not in message
    assert "weights_only" not in message
    assert not Path("ran-code").exists()


def test_a_file_that_is_missing_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none: no such file"):
        read_weights(tmp_path / "none")
    with pytest.raises(WeightsError, match=r"is a folder, not a file of weights"):
        read_weights(tmp_path)
    with pytest.raises(WeightsError, match=r"is a pipe or a device"):
        read_weights(Path("/dev/zero"))


def test_a_packed_file_is_named(tmp_path: Path) -> None:
    write_packed(tmp_path / "a.packed", candidate_graph(CANDIDATE))
    with pytest.raises(WeightsError, match=r"a\.packed: is a packed network"):
        read_weights(tmp_path / "a.packed")


def test_a_training_for_other_classes_starts_from_what_fits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file(named(lambda name: f"module.{name}"), tmp_path / "a.safetensors")
    other = dataclasses.replace(CANDIDATE, classes=7)
    found = starting_weights(other, tmp_path / "a.safetensors")
    assert ir.build(CANDIDATE).state_dict().keys() - found.keys() == {
        "head.linear.weight",
        "head.linear.bias",
    }
    assert "start at random: head.linear.weight, head.linear.bias" in caplog.text


def test_latent_weights_of_the_zoo_keep_their_signs() -> None:
    first = shipped_networks()[0]
    found = starting_weights(first.candidate, first.weights)
    network = ir.load_trained(first.name).network
    assert all(
        torch.equal(found[n].float(), each)
        for n, each in network.state_dict().items()
        if n in found
    )


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"x.weight": torch.ones(2, 3)}, "no weight has the name and shape"),
        ({"stem.0.weight": torch.full((2, 3, 3, 3), math.nan)}, "stem.0.weight has values"),
    ],
)
def test_weights_that_cannot_start_a_training_are_refused(
    tmp_path: Path, tensors: dict[str, Tensor], fault: str
) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=fault):
        starting_weights(CANDIDATE, tmp_path / "a.safetensors")
