"""Small valid files of each kind, for tests that damage them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from conftest import QUICK
from PIL import Image
from readers import SMALL
from replay import ReplayExecutor

import ir2search as ir
from ir2search.export.describe import describe
from ir2search.information.figures import FIGURES
from ir2search.runtime import ImageSpec
from ir2search.runtime.packed import write_packed
from ir2search.space import build
from ir2search.study.loading import parse_study
from ir2search.training import EpochResult
from ir2search.training.checkpoint import save_network, save_progress

STUDY: dict[str, Any] = QUICK | {  # a study file with every section
    "seed": 1,
    "modules": [],
    "sampler": "tpe",
    "budget": {"ops": "2M", "memory": 1e6, "latency": 5.0},
    "latency": {"threads": 1, "batch": 2},
    "data": {"source": "folder", "path": "x", "size": 32, "validation": 0.1, "stream": True},
    "space": QUICK["space"]
    | {
        "width": {"low": 0.125, "high": 2.0, "log": True},
        "depth": {"low": 8, "high": 44, "step": 6},
    },
    "recipe": QUICK["recipe"] | {"distillation": {"teacher": "cifar-resnet20", "weights": "x.pth"}},
    "warm_start": {"epochs": 1},
    "rungs": {"minimum": 1, "factor": 2},
    "stop": {"hours": 1.5, "epochs": 100},
    "confirm": {"seeds": 2},
    "resources": {"cpus": 1, "gpus": 0.5},
}
CLASSES = ("cat", "dog")


def write_run(folder: Path) -> None:
    """A finished run, with an analysis of a trial on the front."""
    study = parse_study(QUICK | {"trials": 3, "confirm": {"seeds": 1}}, "quick.toml")
    ir.run(study, folder, executor=ReplayExecutor, device="cpu")
    shutil.rmtree(folder.parent / ".cache", ignore_errors=True)
    information = max(folder.glob("trials/*/seeds")).parent / "information"
    information.mkdir()
    rows = [("attention", "effective support"), ("gradient", "faithfulness beyond chance")]
    table = pd.DataFrame(rows, columns=["method", "measure"])
    table = table.assign(network="binary", layer="stem", value=0.5, low=0.4, high=0.6)
    table.to_parquet(information / "information.parquet")
    for name in ("layers.csv", *(f"{figure}.svg" for figure in FIGURES)):
        (information / name).touch()


def write_weights(folder: Path) -> None:
    """The same network in each format, and the checkpoint of a training."""
    torch.manual_seed(0)
    network = build(SMALL).eval()
    save_network(network, folder / "best.safetensors")
    torch.save(network.state_dict(), folder / "weights.pth")
    torch.save(network.state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    spec = ImageSpec("pets", SMALL.image, (0.5,) * 3, (0.2,) * 3, (*CLASSES, "newt"))
    about = {"candidate": SMALL.as_dict(), "images": spec.as_dict()}
    write_packed(folder / "network.packed", describe(network, SMALL.image), about)
    network(torch.zeros(2, *SMALL.image)).sum().backward()
    optimizer = torch.optim.AdamW(network.parameters())
    optimizer.step()
    save_progress(folder, network, optimizer, [EpochResult(1, 1.0, 0.5, 0.0, 0.1, 1.0)])


def picture(number: int, suffix: str) -> bytes:
    """An image of 8 x 8 random pixels."""
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, suffix)
    return stream.getvalue()


def write_tables(folder: Path) -> None:
    """Images in parquet files."""
    folder.mkdir()
    features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    for split in ("train", "test"):
        cells = [{"bytes": picture(number, "png"), "path": None} for number in range(4)]
        table = pa.table({"img": cells, "label": [0, 1, 0, 1]}).replace_schema_metadata(about)
        pq.write_table(table, folder / f"{split}.parquet")


def write_class_folders(folder: Path) -> None:
    """Images in class folders."""
    for split in ("train", "test"):
        for number, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / "a.png").write_bytes(picture(number, "png"))
