from __future__ import annotations

import pytest
import torch

from ir2search.errors import InputError
from ir2search.training import pick_device


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta:oops"])
def test_an_unavailable_device_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"device '{name}' is not available .*; try cpu"):
        pick_device(name)


def test_a_misspelt_device_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"no such device.*; did you mean 'cuda'"):
        pick_device("cdua:1")


def test_auto_finds_a_device() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
