"""BoTorch's qLogNEHVI with known costs, as a sampler; botorch has an environment of its own.

This is what an expert would write with BoTorch for a space whose candidates can be enumerated. A
Gaussian process models only the logarithm of the error; the cost is an exact function of the
candidate. The acquisition function is the expected hypervolume improvement over the posterior of
the front, in its logarithmic form (Daulton et al., "Parallel Bayesian optimization of multiple
noisy objectives", NeurIPS 2021; Ament et al., "Unexpected improvements to expected improvement",
NeurIPS 2023). All candidates that were not tried are compared. The kernel has a length scale for
each input; all categories of the table are binary, for which it is a Hamming kernel.

The first three candidates are spread over the costs, as those of `ehvi`. With rungs, the epochs are
an input of the model, and the acquisition function looks at the end of the training. Successive
halving decides which candidates go on, as with all samplers but `ehvi`.
"""

from __future__ import annotations

import math
import time
from functools import cached_property

import numpy as np
import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf_discrete
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

import ir2search as ir
from ir2search.search.problem import PricedCandidate
from ir2search.search.samplers.base import Point
from ir2search.search.samplers.ehvi.error_model import farthest
from ir2search.search.samplers.ehvi.gains import LEAST_ERROR, MARGIN

FIRST = 3  # candidates before the model is used
SAMPLES = 64  # of the posterior
FIT_STEPS = 50  # of L-BFGS for the hyperparameters
COST, TIME = 0, 1  # columns of the model's inputs
SECONDS: list[float] = []  # of CPU time, of each proposal by the model


@ir.register_sampler("botorch", needs_accuracy=True, needs_finite_space=True)
class BotorchSampler(ir.Sampler):
    """qLogNEHVI over all candidates of the table."""

    def propose(self, number: int) -> Point | None:
        tried = {self.rows[name] for name in self.ledger.trial_of}
        left = [row for row in range(len(self.networks)) if row not in tried]
        if not left:
            return None
        if len(tried) < FIRST:
            place = farthest(self.costs[left], self.costs[sorted(tried)])
            return self.networks[left[place]].parameters
        start = time.thread_time()
        row = self.most_improving(left, self.seed(number))
        SECONDS.append(time.thread_time() - start)
        return self.networks[row].parameters

    def most_improving(self, left: list[int], seed: int) -> int:
        """The candidate with the largest expected improvement, of those that are left."""
        torch.manual_seed(seed)
        rows, times, errors = self.results()
        known = self.inputs[rows]
        known[:, TIME] = times
        targets = errors.clamp_min(LEAST_ERROR).log()[:, None]
        model = SingleTaskGP(known, targets, outcome_transform=Standardize(1))
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": FIT_STEPS}})
        worst = errors.max() + (MARGIN - 1) * (errors.max() - errors.min())
        improvement = qLogNoisyExpectedHypervolumeImprovement(
            model,
            ref_point=[-float(worst), -MARGIN],
            X_baseline=self.inputs[sorted(set(rows))],
            sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed % 2**31),
            objective=GenericMCMultiOutputObjective(objectives),
            prune_baseline=True,
        )
        choices = self.inputs[left]
        found, _ = optimize_acqf_discrete(improvement, q=1, choices=choices, max_batch_size=256)
        return left[int((choices == found).all(dim=1).nonzero()[0])]

    def results(self) -> tuple[list[int], Tensor, Tensor]:
        """The candidate, the scaled logarithm of the epochs, and the error of each result."""
        progress, place = self.ledger.progress, self.study.objectives.index("accuracy")
        found = [
            (self.rows[self.ledger.candidates[trial].candidate.id], level, values[place])
            for trial in progress.measured()
            for level, values in progress.curve(trial).items()
        ]
        rows, levels, errors = zip(*found, strict=True)
        epochs = torch.tensor(progress.levels, dtype=torch.double)[list(levels)]
        scaled = epochs.log() / math.log(progress.levels[-1])
        return list(rows), scaled, torch.tensor(errors, dtype=torch.double)

    @cached_property
    def networks(self) -> list[PricedCandidate]:
        """All candidates, each once."""
        priced = (self.problem.priced(point) for point in self.space.grid())
        return list({each.candidate.id: each for each in priced}.values())

    @cached_property
    def rows(self) -> dict[str, int]:
        """The place of a candidate in `networks`, by its id."""
        return {each.candidate.id: row for row, each in enumerate(self.networks)}

    @cached_property
    def costs(self) -> np.ndarray:
        """Operations, (candidates, 1)."""
        return np.array([[float(each.costs["ops"])] for each in self.networks])

    @cached_property
    def inputs(self) -> Tensor:
        """The model's inputs at the end of the training, each from 0 to 1, (candidates, inputs)."""
        logs = np.log(self.costs)
        scaled = (logs - logs.min()) / np.ptp(logs)
        numbers = np.array([numbers_of(each.candidate) for each in self.networks])
        numbers = numbers[:, np.ptp(numbers, axis=0) > 0]
        return torch.tensor(np.hstack([scaled, np.ones_like(scaled), numbers]), dtype=torch.double)


def objectives(samples: Tensor, X: Tensor) -> Tensor:  # noqa: N803
    """The negative error, and the negative cost, which needs no model; both to be maximised.

    Args:
        samples: (samples, ..., points, 1), logarithms of the error.
        X: (..., points, inputs).
    """
    errors = samples[..., 0].exp()
    return torch.stack([-errors, -X[..., COST].expand_as(errors)], dim=-1)


def numbers_of(candidate: ir.Candidate) -> list[float]:
    """A candidate of the table as numbers from 0 to 1."""
    return [
        1 + math.log2(candidate.width) / 2,
        math.log2(candidate.fusion_ratio or 1) / 3,
        (candidate.depth - 8) / 12,
        float(candidate.threshold > 0),
        float(candidate.fusion == "dense"),
        *(float(name in candidate.taps) for name in ("stem", "stage1", "stage2")),
    ]
