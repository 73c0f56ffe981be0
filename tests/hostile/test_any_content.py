"""Any content in any file of a run, a study, weights or data is read, or refused in one sentence.

`pytest tests/hostile/test_any_content.py --hypothesis-profile=thorough` tries much more.
"""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tomli_w
from damage import damaged_bytes, damaged_json, damaged_safetensors, damaged_toml
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import (
    is_read_or_refused,
    read_analysed_run,
    read_best,
    read_images,
    read_packed_file,
    read_progress,
    read_run,
    read_study,
    read_weights_file,
)
from samples import (
    STUDY,
    picture,
    write_class_folders,
    write_run,
    write_tables,
    write_weights,
)

MEMORY = 4 << 30  # bytes that a reader may take
SECONDS = 20  # that a reader may take


def any_data(test: Callable[..., None]) -> Callable[..., None]:
    """Call a test with an argument ``data`` that draws examples, a tenth of the usual number."""
    few = settings(deadline=1000 * SECONDS, max_examples=settings().max_examples // 10)
    return few(given(data=st.data())(test))


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory() -> Iterator[None]:
    """Let this process take at most `MEMORY` more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


class Given:
    """A folder from somebody else, of which one file is damaged at a time.

    Attributes:
        folder: the folder.
        contents: the content of each file in it and beside it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = {file: file.read_bytes() for file in self.files()}

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.parent.rglob("*") if path.is_file())

    def file(self, name: str) -> Path:
        """The file of a run, or else of a trial that has all files of a trial."""
        trial = max(self.folder.glob("trials/*/seeds"), default=self.folder).parent
        return next(place / name for place in (self.folder, trial) if (place / name).exists())

    def check(self, read: Callable[[Path], object], file: Path, content: bytes) -> None:
        """Read the folder with another content of a file; nothing else may be written."""
        try:
            file.write_bytes(content)
            is_read_or_refused(read, self.folder, file)
            file.write_bytes(self.contents[file])
            assert {path: path.read_bytes() for path in self.files()} == self.contents
        finally:
            file.write_bytes(self.contents[file])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given") / "runs" / "quick"
    write_run(folder)
    return Given(folder)


@pytest.mark.parametrize(
    "name",
    [
        "environment.json", "candidate.json", "cost.json", "test.json", "hits.json",
        "seeds/1/result.json",
    ],
)  # fmt: skip
@any_data
def test_any_json_value_in_a_file_of_a_run(run: Given, name: str, data: st.DataObject) -> None:
    file = run.file(name)
    run.check(read_run, file, data.draw(damaged_json(file.read_text())).encode())


@pytest.mark.parametrize("name", ["study.journal", "curve.jsonl"])
@any_data
def test_any_json_value_in_a_line_of_a_run(run: Given, name: str, data: st.DataObject) -> None:
    file = run.file(name)
    lines = file.read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = data.draw(damaged_json(lines[number]))
    run.check(read_run, file, "".join(f"{line}\n" for line in lines).encode())


@any_data
def test_any_storage_that_a_run_names(run: Given, data: st.DataObject) -> None:
    file = run.folder / "storage.json"
    text = json.dumps({"url": "postgresql+psycopg://me@localhost/x", "run": "0" * 16})
    file.write_text(data.draw(damaged_json(text)))
    try:
        is_read_or_refused(read_run, run.folder, run.folder)
    finally:
        file.unlink()


@pytest.mark.parametrize(
    "name",
    [
        "study.toml", "study.journal", "environment.json", "candidate.json", "cost.json",
        "curve.jsonl", "test.json", "hits.json", "best.safetensors",
        "information/information.parquet",
    ],
)  # fmt: skip
@any_data
def test_any_bytes_in_a_file_of_a_run(run: Given, name: str, data: st.DataObject) -> None:
    file = run.file(name)
    read = read_analysed_run if "information" in name else read_run
    run.check(read, file, data.draw(damaged_bytes(run.contents[file])))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "study.toml"


@any_data
def test_any_toml_value_in_a_study(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "study.toml"
    file.write_text(data.draw(damaged_toml(STUDY)))
    is_read_or_refused(read_study, file, file)


@any_data
def test_any_bytes_in_a_study(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / "study.toml"
    file.write_bytes(data.draw(damaged_bytes(tomli_w.dumps(STUDY).encode())))
    is_read_or_refused(read_study, file, file)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same weights in each format, and with the checkpoint of a training."""
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("best.safetensors", read_weights_file),
        ("best.safetensors", read_best),
        ("last.safetensors", read_progress),
        ("network.packed", read_packed_file),
    ],
)
@any_data
def test_any_safetensors_file(
    weights: Path, name: str, read: Callable[[Path], object], data: st.DataObject
) -> None:
    content = (weights / name).read_bytes()
    (weights / "damaged").mkdir(exist_ok=True)
    file = weights / "damaged" / name
    file.write_bytes(data.draw(damaged_safetensors(content)))
    is_read_or_refused(read, file, file)


@pytest.mark.parametrize("name", ["weights.pth", "old.pth"])
@any_data
def test_any_bytes_in_a_pickle(weights: Path, name: str, data: st.DataObject) -> None:
    file = weights / f"damaged-{name}"
    file.write_bytes(data.draw(damaged_bytes((weights / name).read_bytes())))
    is_read_or_refused(read_weights_file, file, file)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Images in parquet files."""
    folder = tmp_path_factory.mktemp("tables") / "images"
    write_tables(folder)
    return Given(folder)


@any_data
def test_any_bytes_in_a_parquet_file(tables: Given, data: st.DataObject) -> None:
    file = tables.file("train.parquet")
    tables.check(read_images, file, data.draw(damaged_bytes(tables.contents[file])))


@any_data
def test_any_metadata_of_a_parquet_file(tables: Given, data: st.DataObject) -> None:
    file = tables.file("train.parquet")
    table = pq.read_table(file)
    about = data.draw(damaged_json(table.schema.metadata[b"huggingface"].decode()))
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": about}), stream)
    tables.check(read_images, file, stream.getvalue())


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Images in class folders."""
    folder = tmp_path_factory.mktemp("folders") / "images"
    write_class_folders(folder)
    return Given(folder)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "bmp", "gif", "tiff", "webp", "ppm", "jpeg2000"])
@any_data
def test_any_bytes_in_an_image(class_folders: Given, suffix: str, data: st.DataObject) -> None:
    file = class_folders.file("train/cat/a.png")
    class_folders.check(read_images, file, data.draw(damaged_bytes(picture(0, suffix))))
