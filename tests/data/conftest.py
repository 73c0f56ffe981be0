from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "emu")


class Pictures:
    """Random images, written in each layout that the package reads."""

    def __init__(self, train: int = 12, test: int = 6, side: int = 8) -> None:
        generator = np.random.default_rng(0)
        self.images = {
            split: generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
            for split, count in (("train", train), ("test", test))
        }
        self.labels = {
            split: np.arange(len(images)) % len(CLASSES) for split, images in self.images.items()
        }

    @staticmethod
    def png(image: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        return stream.getvalue()

    def parquet(
        self,
        folder: Path,
        *,
        column: str = "img",
        shards: int = 1,
        names: bool = True,
        plain: bool = False,
    ) -> Path:
        """The hub's layout: an image struct and a label, class names in the metadata."""
        folder.mkdir(parents=True, exist_ok=True)
        features = {"label": {"names": list(CLASSES), "_type": "ClassLabel"}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
        for split, images in self.images.items():
            for shard, rows in enumerate(np.array_split(np.arange(len(images)), shards)):
                encoded = [self.png(images[row]) for row in rows]
                cells = encoded if plain else [{"bytes": b, "path": None} for b in encoded]
                table = pa.table({column: cells, "label": self.labels[split][rows]})
                file = folder / f"{split}-{shard:05}-of-{shards:05}.parquet"
                pq.write_table(table.replace_schema_metadata(metadata), file)
        return folder

    def folders(self, folder: Path, test: str = "test") -> Path:
        """One file for each image, in a folder for its class."""
        for split, images in self.images.items():
            for row, image in enumerate(images):
                place = folder / (test if split == "test" else split)
                place = place / CLASSES[self.labels[split][row]]
                place.mkdir(parents=True, exist_ok=True)
                (place / f"{row:03}.png").write_bytes(self.png(image))
        return folder


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


@pytest.fixture
def picture_set() -> type[Pictures]:
    """The class, to make pictures of another number or size."""
    return Pictures
