from __future__ import annotations

from collections.abc import Iterator

import pytest
from figures import check_figure
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def _checked_figures() -> Iterator[None]:
    """Check every figure that a test has drawn in pyplot, and close it."""
    yield
    try:
        for number in plt.get_fignums():
            check_figure(plt.figure(number))
    finally:
        plt.close("all")
