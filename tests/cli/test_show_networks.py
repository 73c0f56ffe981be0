from __future__ import annotations

from pathlib import Path

import pytest

from ir2search.cli.show_networks import show_training
from ir2search.space import Candidate
from ir2search.training import EpochResult
from ir2search.zoo import TrainedNetwork


@pytest.mark.parametrize(("share", "is_told"), [(0.0, False), (2e-5, True), (0.2, False)])
def test_a_restriction_of_a_few_pixels_is_told_with_what_it_costs(
    capsys: pytest.CaptureFixture[str], share: float, is_told: bool
) -> None:
    best = EpochResult(3, 0.5, 0.8, share, lr=0.1, seconds=1.0)
    show_training(TrainedNetwork(Candidate(), Path("own"), best, 0.79, 10_000), as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("80.0% of the validation images at epoch 3, 79.0% of 10,000 test")
    assert ("blanked only 0.002% of the pixels" in printed) == is_told
    assert ("threshold of 0" in printed) == is_told
