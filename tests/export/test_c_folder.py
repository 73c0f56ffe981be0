from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from emulators import FLAGS, HOST, WARNINGS, run

import ir2search as ir
from ir2search.data import normalised
from ir2search.errors import InputError, WeightsError
from ir2search.export import c_text, candidate_graph, describe
from ir2search.export.c_folder import write_c_folder
from ir2search.kernels.inference import portable
from ir2search.models.network import TappedNetwork
from ir2search.runtime import Graph, GraphBuilder, ImageSpec, PackedNetwork

NETWORKS = {
    "recovery": ir.Candidate(depth=8, width=0.5, image=(3, 12, 12), activation="rprelu"),
    "basic": ir.Candidate(backbone="cifar-basic-resnet", depth=18, width=0.1, image=(3, 9, 8)),
    "vgg": ir.Candidate(
        backbone="cifar-vgg", depth=7, width=0.05, image=(3, 16, 16), taps=(), fusion="none"
    ),
    "groups": ir.Candidate(depth=8, kernels=(1, 3, 5), groups=(2, 4, 1), image=(1, 9, 8)),
    "thermometer": ir.Candidate(depth=8, width=0.5, stem="thermometer", image=(3, 8, 8)),
    "pixels of 8 bits": ir.Candidate(depth=8, width=0.5, stem="int8", image=(3, 8, 8)),
    "precision by layer": ir.Candidate(
        depth=8, width=0.5, int8_layers=("stage1",), real_layers=("stage2.1",), image=(3, 8, 8)
    ),
    "imagenet": ir.Candidate(
        backbone="imagenet-resnet", depth=18, width=0.06, image=(3, 33, 33), fusion="dense",
        taps=("stem", "stage1"), activation="prelu", classes=7,
    ),
}  # fmt: skip


def spec_of(candidate: ir.Candidate, names: tuple[str, ...] = ()) -> ImageSpec:
    mean = (0.4, 0.45, 0.5)[: candidate.image[0]]
    named = names or tuple(map(str, range(candidate.classes)))
    return ImageSpec("x", candidate.image, mean, (0.2, 0.25, 0.3)[: len(mean)], named)


def some_images(count: int, spec: ImageSpec) -> np.ndarray:
    shape = (count, *spec.image)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def expected_logits(graph: Graph, spec: ImageSpec, images: np.ndarray) -> np.ndarray:
    pixels = normalised(torch.from_numpy(images), spec.mean, spec.std)
    return PackedNetwork(graph, variant=portable()).logits(pixels.numpy())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_compiled_files_give_the_logits_of_the_runtime_bit_for_bit(
    name: str, trained: Callable[[ir.Candidate], TappedNetwork], tmp_path: Path
) -> None:
    candidate = NETWORKS[name]
    graph, spec = describe(trained(candidate), candidate.image), spec_of(candidate)
    images = some_images(3, spec)
    write_c_folder(tmp_path / "c", graph, spec, images[0], 0, name)
    found, expected = run(tmp_path / "c", images, HOST), expected_logits(graph, spec, images)
    np.testing.assert_array_equal(found.logits, expected)
    np.testing.assert_array_equal(found.classes, expected.argmax(axis=1))


def test_a_trial_becomes_a_folder_that_builds_and_classifies_its_example(
    finished_run: Path, tmp_path: Path
) -> None:
    HOST.require()
    trial = ir.Run.open(finished_run)
    done = ir.export_trial(trial, "best", "c", file=tmp_path / "c")
    files = {path.name for path in done.file.iterdir()}
    assert files == {
        "network.c", "network.h", "ir2_runtime.c", "ir2_runtime.h", "Makefile", "main.c",
        "image.h", "README.md",
    }  # fmt: skip
    assert done.bytes == sum(path.stat().st_size for path in done.file.iterdir())
    assert done.largest_difference < 1e-4
    assert "int label = ir2_classify(pixels);" in done.card.read_text()
    made = subprocess.run(
        ["make", "-C", done.file, "CFLAGS=-O2 -Werror"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    shown = subprocess.run([done.file / "example"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, "the class is that of the trained network"
    data = trial.data()
    images, _ = data.validation.take(torch.arange(20))
    with torch.no_grad():
        logits = trial.network(trial.pick("best"))(data.normalise(images)).numpy()
    np.testing.assert_allclose(run(done.file, images.numpy(), HOST).logits, logits, atol=1e-4)
    label = re.search(r"class: (\d)", shown.stdout)
    assert label is not None
    assert int(label[1]) == logits[0].argmax()
    again = ir.export_trial(trial, "best", "c", file=done.file)
    assert again.file == done.file


def test_a_folder_with_other_files_is_refused_and_kept(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "b").touch()
    with pytest.raises(InputError, match=r"a: holds files but no network\.c; choose another"):
        ir.export_trial(finished_run, "best", "c", file=tmp_path / "a")
    with pytest.raises(InputError, match="b: is a file; name a folder"):
        ir.export_trial(finished_run, "best", "c", file=tmp_path / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["notes.txt"]


def test_a_map_of_too_many_rows_is_refused(tmp_path: Path) -> None:
    builder = GraphBuilder((1, 70_000, 1))
    value = builder.add("flatten", [builder.add("adaptive_pool", [0], height=1, width=1)])
    head = {"weight": np.ones((2, 1), np.float32), "bias": np.ones(2, np.float32)}
    builder.add("linear", [value], tensors=head, outputs=2)
    spec = spec_of(NETWORKS["groups"])
    with pytest.raises(WeightsError, match=r"a map has 70,000 rows \(at most 65,535\)"):
        write_c_folder(tmp_path, builder.graph(), spec, np.zeros((1, 1, 1), np.uint8), 0, "x")
    assert not list(tmp_path.iterdir())


def test_names_of_others_are_only_text_in_the_files(tmp_path: Path) -> None:
    HOST.require()
    names = ('"; int x; //', "a\\", "??/", "*/ int y;", "\n\r\0", "Größe", "%s%n", "x", "1e5", "")
    graph, spec = candidate_graph(NETWORKS["groups"]), spec_of(NETWORKS["groups"], names)
    title = "*/ #error \\\n??/"
    write_c_folder(tmp_path, graph, spec, some_images(1, spec)[0], 0, title)
    (tmp_path / "names.c").write_text(
        '#include <stdio.h>\n#include "network.h"\nint main(void) {\n    int i;\n'
        "    for (i = 0; i < IR2_CLASSES; ++i)\n        fputs(ir2_class_names[i], stdout), "
        "putchar(1);\n    return 0;\n}\n"
    )
    sources = ["names.c", "network.c", "ir2_runtime.c"]
    command = ["gcc", *FLAGS, *WARNINGS, "-trigraphs", "-o", "names", *sources]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    shown = subprocess.run([tmp_path / "names"], capture_output=True, check=True).stdout
    wanted = [name.partition("\0")[0] for name in names]  # a string of C ends there
    assert shown.decode().split("\1")[:-1] == wanted


def test_no_function_but_those_of_memory_is_called(tmp_path: Path) -> None:
    HOST.require()
    graph, spec = candidate_graph(NETWORKS["vgg"]), spec_of(NETWORKS["vgg"])
    write_c_folder(tmp_path, graph, spec, some_images(1, spec)[0], 0, "x")
    for name in ("network", "ir2_runtime"):
        command = ["gcc", *FLAGS, "-fno-stack-protector", "-fno-pie", "-c", f"{name}.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
    objects = ["network.o", "ir2_runtime.o"]
    listed = subprocess.run(
        ["nm", "--undefined-only", *objects], cwd=tmp_path, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    called = set(re.findall(r"U (\w+)", listed)) - {"ir2_run"}
    assert called <= {"memcpy", "memmove", "memset"}


def test_constants_are_read_back_exactly(tmp_path: Path) -> None:
    HOST.require()
    words = np.random.default_rng(0).integers(0, 2**32, 3000, dtype=np.uint32)
    floats = np.concatenate(
        [words.view(np.float32), np.float32([0.0, -0.0, 1, -1e30, 1e-45, 16777216])]
    )
    floats = floats[np.isfinite(floats)]
    signed = words.view(np.int32)
    arrays = {
        "floats": floats,
        "words": words,
        "whole_numbers": signed[signed != -(2**31)],  # C has no constant for it
        "octets": words.view(np.uint8),
    }
    text = "\n".join(c_text.array(name, values) for name, values in arrays.items())
    writes = "".join(f"    fwrite({name}, 1, sizeof {name}, stdout);\n" for name in arrays)
    (tmp_path / "a.c").write_text(
        f"#include <stdint.h>\n#include <stdio.h>\n{text}\nint main(void) {{\n{writes}"
        "    return 0;\n}\n"
    )
    command = ["gcc", *FLAGS, *WARNINGS, "-o", "a", "a.c"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert max(map(len, text.splitlines())) <= 100
    found = subprocess.run([tmp_path / "a"], capture_output=True, check=True).stdout
    assert found == b"".join(values.tobytes() for values in arrays.values())
