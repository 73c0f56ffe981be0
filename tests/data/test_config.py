from __future__ import annotations

from typing import Any

import pytest

from ir2search.data import DataConfig


@pytest.mark.parametrize("options", [{"source": "digits", "size": 8}, {"source": "folder"}])
def test_streaming_needs_a_folder_and_a_size(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`stream` needs"):
        DataConfig(stream=True, **options)


def test_an_unknown_source_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="no data source 'digit'; did you mean 'digits'"):
        DataConfig(source="digit")


def test_columns_need_a_folder() -> None:
    assert DataConfig(source="folder", label="fine_label").label == "fine_label"
    with pytest.raises(ValueError, match="`image` and `label` name columns and need"):
        DataConfig(label="fine_label")
