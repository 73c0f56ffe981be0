"""The samplers that a study file may name, and what each of them needs of the study."""

from __future__ import annotations

from dataclasses import dataclass

from ir2search.registry import Registry


@dataclass(frozen=True)
class SamplerNeeds:
    """What a study must have to use a sampler.

    Attributes:
        accuracy: accuracy must be one of the objectives.
        finite_space: every searched parameter must have a finite number of values.
    """

    accuracy: bool = False
    finite_space: bool = False


SAMPLERS: Registry[SamplerNeeds] = Registry(
    "sampler",
    {
        "ehvi": SamplerNeeds(accuracy=True),
        "nsga2": SamplerNeeds(),
        "nsga3": SamplerNeeds(),
        "tpe": SamplerNeeds(),
        "gp": SamplerNeeds(),
        "random": SamplerNeeds(),
        "grid": SamplerNeeds(finite_space=True),
    },
)
