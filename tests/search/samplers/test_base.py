from __future__ import annotations

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ir2search.search.samplers.base import distributions
from ir2search.space import Choice, Range, SearchSpace


def test_each_domain_has_its_distribution() -> None:
    space = SearchSpace(
        {},
        {
            "depth": Choice((8, 14)),
            "fusion_ratio": Range(2, 8),
            "threshold": Range(0.0, 1.0, step=0.1),
            "width": Range(0.25, 4.0, log=True),
        },
    )
    assert distributions(space) == {
        "depth": CategoricalDistribution((8, 14)),
        "fusion_ratio": IntDistribution(2, 8),
        "threshold": FloatDistribution(0.0, 1.0, step=0.1),
        "width": FloatDistribution(0.25, 4.0, log=True),
    }


def test_a_fractional_step_gives_a_float_distribution() -> None:
    space = SearchSpace({}, {"threshold": Range(0, 1, step=0.1), "depth": Range(8, 20, step=6.0)})
    assert distributions(space) == {
        "threshold": FloatDistribution(0.0, 1.0, step=0.1),
        "depth": IntDistribution(8, 20, step=6),
    }
    assert {point["depth"] for point in space.grid()} == {8, 14, 20}
