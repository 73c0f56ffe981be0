from __future__ import annotations

import pytest

import ir2search as ir
from ir2search.errors import StudyError
from ir2search.zoo import named_recipe, recipes

FAST = {"cifar-fast", "cifar-fast-rprelu", "cifar-fast-ema", "cifar-fast-crop1"}


def test_every_preset_has_the_papers_recipe_and_a_short_one() -> None:
    known = recipes()
    names = {n for p in ir.presets() for n in (p, f"{p}-short")}
    assert set(known) == names | {"digits", *FAST}
    assert (known["cifar-resnet18"].epochs, known["cifar-resnet18"].lr) == (600, 0.08)
    assert known["cifar-vgg-small"].epochs == 400
    second = known["imagenet-resnet18-C"]
    assert second.pretraining is not None
    for stage, decay in ((second.pretraining, 1e-5), (second, 0.0)):
        assert (stage.optimizer, stage.lr, stage.batch_size, stage.epochs) == (
            "adam",
            1e-3,
            512,
            256,
        )
        assert stage.weight_decay == decay
    assert second.total_epochs == 512
    assert all(known[f"{name}-short"].total_epochs <= 10 for name in ir.presets())


def test_an_unknown_recipe_gets_a_suggestion() -> None:
    with pytest.raises(StudyError, match=r"no recipe .*; did you mean 'cifar-resnet20'"):
        named_recipe("cifar-resnet21")
