from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from ir2search.data.encoded import ROWS, EncodedImages, write_index


@pytest.mark.parametrize("count", [1, ROWS, ROWS + 1])
def test_images_in_the_index_are_read_at_random(tmp_path: Path, count: int) -> None:
    rows = ((f"row {n}", str(n).encode()) for n in range(count))
    write_index(tmp_path / "a.arrow", rows, [n % 3 for n in range(count)], ["x", "y", "z"], False)
    found = pickle.loads(pickle.dumps(EncodedImages(tmp_path / "a.arrow")))
    assert len(found) == count
    assert found.class_names == ("x", "y", "z")
    assert found.labels.tolist() == [n % 3 for n in range(count)]
    assert (found.name(count - 1), bytes(found.read(count - 1))) == (
        f"row {count - 1}",
        str(count - 1).encode(),
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]


def test_images_in_files_are_read_from_their_files(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_bytes(b"an image")
    write_index(tmp_path / "a.arrow", [(str(file), None)], [0], ["x"], True)
    assert EncodedImages(tmp_path / "a.arrow").read(0) == b"an image"
