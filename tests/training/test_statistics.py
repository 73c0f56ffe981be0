from __future__ import annotations

import copy

import torch
from torch import nn

from ir2search.training.statistics import RunningStatistics


def test_a_repeated_batch_equals_a_batch_seen_twice() -> None:
    once = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.3))
    twice = copy.deepcopy(once)
    statistics = RunningStatistics(once)
    for _ in range(3):
        images = torch.randn(5, 3, 4, 4) + 2
        statistics.keep()
        once(images)
        statistics.repeat()
        twice(images)
        twice(images)
    for (name, mine), theirs in zip(once.named_buffers(), twice.buffers(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6), name


def test_the_backward_pass_still_works() -> None:
    norm = nn.BatchNorm2d(3)
    statistics = RunningStatistics(norm)
    statistics.keep()
    result = norm(torch.randn(5, 3, 4, 4)).square().sum()
    statistics.repeat()
    result.backward()
    assert norm.weight.grad is not None


def test_a_network_without_running_statistics_is_left_alone() -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    statistics = RunningStatistics(norm)
    statistics.keep()
    statistics.repeat()
    assert norm.running_mean is None
