from __future__ import annotations

import subprocess
import sys

import optuna
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ir2search.search.samplers.optuna_samplers import SAMPLERS, distributions, make_sampler
from ir2search.seeds import derive_seed
from ir2search.space import Choice, Range, SearchSpace


def test_seeds_are_the_same_in_every_process_and_differ_by_every_part() -> None:
    code = "from ir2search.seeds import derive_seed; print(derive_seed(3, 'train', 'abc'))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(printed) == derive_seed(3, "train", "abc")
    parts = [(seed, use, trial) for seed in range(5) for use in ("a", "b") for trial in range(20)]
    seeds = {derive_seed(*part) for part in parts}
    assert len(seeds) == len(parts)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_distributions_are_those_of_the_space() -> None:
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


def test_whole_ends_with_a_part_as_step_are_a_range_of_parts() -> None:
    space = SearchSpace({}, {"threshold": Range(0, 1, step=0.1), "depth": Range(8, 20, step=6.0)})
    assert distributions(space) == {
        "threshold": FloatDistribution(0.0, 1.0, step=0.1),
        "depth": IntDistribution(8, 20, step=6),
    }
    assert {point["depth"] for point in space.grid()} == {8, 14, 20}


def test_every_sampler_is_optunas_and_takes_its_seed_from_the_trial() -> None:
    kinds = {name: type(make_sampler(name, 0, 1)).__name__ for name in SAMPLERS}
    assert kinds == {
        "nsga2": "NSGAIISampler",
        "nsga3": "NSGAIIISampler",
        "tpe": "TPESampler",
        "gp": "GPSampler",
        "random": "RandomSampler",
        "ehvi": "RandomSampler",
        "grid": "RandomSampler",
    }
    space = distributions(SearchSpace({}, {"width": Range(0.25, 4.0)}))

    def proposal(seed: int, trial: int) -> float:
        study = optuna.create_study(sampler=make_sampler("tpe", seed, trial))
        return float(study.ask(space).params["width"])

    assert proposal(0, 0) == proposal(0, 0)
    assert len({proposal(seed, trial) for seed in (0, 1) for trial in (0, 1, 2)}) == 6
