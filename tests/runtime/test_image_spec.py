from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ir2search.errors import InputError, WeightsError
from ir2search.export import candidate_graph
from ir2search.runtime import ImageSpec, read_image_spec, write_packed
from ir2search.space import Candidate

CANDIDATE = Candidate(depth=8, width=0.125, image=(3, 8, 8), classes=3)
SPEC = ImageSpec(
    data="pets",
    image=CANDIDATE.image,
    mean=(0.5, 0.25, 0.125),
    std=(0.1, 0.2, 0.3),
    class_names=("cat", "dog", "Wörm"),
)


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(**changed: object) -> Path:
        about = {"images": {**SPEC.as_dict(), **changed}}
        write_packed(tmp_path / "a.packed", candidate_graph(CANDIDATE), about)
        return tmp_path / "a.packed"

    return write


def test_a_packed_file_says_what_its_images_must_be_like(written: Any) -> None:
    assert read_image_spec(written()) == SPEC
    assert read_image_spec(written(crop="centre")) == replace(SPEC, crop="centre")


def test_a_file_of_an_earlier_version_says_what_is_missing(tmp_path: Path) -> None:
    for about in (None, {"candidate": CANDIDATE.as_dict()}):
        write_packed(tmp_path / "old.packed", candidate_graph(CANDIDATE), about)
        with pytest.raises(WeightsError, match=r"old\.packed: does not say the mean and standard"):
            read_image_spec(tmp_path / "old.packed")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"mean": [0.5]},
            "a mean and a standard deviation for each of 3 channels, but has 1 and 3",
        ),
        ({"std": [0.1, 0.0, 0.1]}, "images.std.1: must be above 0"),
        ({"class_names": ["cat"]}, "are not those of its network"),
        ({"image": [1, 8, 8], "mean": [0.5], "std": [1.0]}, "are not those of its network"),
        ({"class_names": None}, "class_names: must be a list"),
        ({"crop": "left"}, "crop: must be one of whole, centre"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    written: Any, changed: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_image_spec(written(**changed))
