"""Which members of a front differ by more than chance, and which of equal ones to take.

An accuracy is measured on a sample of images, and a training from one seed is a sample of
trainings. Two members of a front may therefore differ by chance only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ir2search import text
from ir2search.intervals import share_interval
from ir2search.runs.hits import read_hits
from ir2search.study.objectives import OBJECTIVES
from ir2search.study.schema import Study

SIGNIFICANCE = 0.05
FURTHER_SEEDS = 3  # that the advice proposes
MOST_GROUPS = 3  # of members that cannot be told apart, each with its own sentence
MAX_NAMED = 6  # members of a group that a sentence names


@dataclass(frozen=True)
class Measured:
    """What is known of the accuracy of a trained network.

    Attributes:
        accuracy: on the validation images, from 0 to 1.
        seeds: validation accuracies of its trainings that are compared, see `unselected`.
        images: number of validation images; None if it is not known.
        hits: (images) bool, which validation images are classified correctly; None if not kept.
    """

    accuracy: float
    seeds: Sequence[float]
    images: int | None
    hits: np.ndarray | None = None

    @property
    def mean(self) -> float:
        """The mean accuracy over the seeds."""
        return float(np.mean(self.seeds))


def described_front(
    front: pd.DataFrame, study: Study, images: int | None, folder_of: Callable[[int], Path]
) -> pd.DataFrame:
    """A front with its intervals and its groups.

    Args:
        front: as `front_of` returns it.
        study: the run's study.
        images: number of validation images; None if it is not known.
        folder_of: gives the folder of a trial by its number.

    Returns:
        The same rows with more columns: ``validation_images``; ``accuracy_low``, ``accuracy_high``,
        ``test_accuracy_low`` and ``test_accuracy_high``, the ends of 95% intervals (see
        `share_interval`); ``alike``, the numbers of the members that may be equally accurate (see
        `may_be_equal`); ``group``, from 0; and ``recommended``, whether the member is the cheapest
        of its group. A group is the most accurate member that is in no group yet, with all other
        such members that may be as accurate. If further seeds show that the cheapest of a group is
        worse than one of another group, and no cheaper, it is not recommended.
    """
    numbers = [int(number) for number in front["number"]]
    members = {
        number: Measured(float(accuracy), unselected(seeds), images, read_hits(folder_of(number)))
        for number, accuracy, seeds in zip(
            numbers, front["accuracy"], front["seed_accuracies"], strict=True
        )
    }
    spread = seed_spread([each.seeds for each in members.values()])
    alike = {
        number: [
            other
            for other in numbers
            if other != number and may_be_equal(own, members[other], spread)
        ]
        for number, own in members.items()
    }
    groups = _groups(members, alike) if "accuracy" in study.objectives else [[n] for n in numbers]
    best = _not_beaten([_cheapest(group, front, study) for group in groups], members, front, study)
    place = {number: at for at, group in enumerate(groups) for number in group}
    return front.assign(
        validation_images=pd.array([images] * len(front), dtype="Int64"),
        **_intervals(front, "accuracy", [images] * len(front)),
        **_intervals(front, "test_accuracy", front["test_images"].tolist()),
        alike=pd.Series([alike[number] for number in numbers], dtype=object),
        group=pd.Series([place[number] for number in numbers], dtype="int64"),
        recommended=pd.Series([number in best for number in numbers], dtype=bool),
    )


def unselected(seeds: Sequence[float]) -> Sequence[float]:
    """The accuracies of a front member that are compared, of those of all its seeds.

    A network is on the front because its first accuracy was high. That one is therefore too high on
    average. With two or more further seeds, only these count.
    """
    return seeds[1:] if len(seeds) > 2 else seeds


@dataclass(frozen=True)
class SeedSpread:
    """The spread of accuracies between seeds, pooled over networks.

    Attributes:
        deviation: standard deviation of arcsin(sqrt(accuracy)).
        degrees: degrees of freedom; 0 if no network was trained from several seeds.
    """

    deviation: float
    degrees: int


def seed_spread(seeds: Sequence[Sequence[float]]) -> SeedSpread:
    """The spread between seeds, from the accuracies of several networks.

    A few seeds of one network say little about their spread, so all networks are pooled. After the
    transformation arcsin(sqrt(p)) the variance of a share does not depend on the share (Anscombe,
    "The transformation of Poisson, binomial and negative-binomial data", Biometrika 1948).
    """
    shares = [_stabilised(each) for each in seeds if len(each) > 1]
    degrees = sum(len(each) - 1 for each in shares)
    squares = sum(float(np.sum((each - each.mean()) ** 2)) for each in shares)
    return SeedSpread(math.sqrt(squares / degrees) if degrees else 0.0, degrees)


def may_be_equal(one: Measured, other: Measured, spread: SeedSpread) -> bool:
    """Whether no test finds a difference of two accuracies at `SIGNIFICANCE`.

    Networks that were trained from several seeds are compared by `over_seeds`. Other networks are
    compared by the images that only one of them classifies correctly, see `mcnemar`; or, if it is
    not known which these are, by `two_proportions`. Without the number of images nothing is
    compared.

    Args:
        one: a network.
        other: another network.
        spread: of the front that both are on.
    """
    if min(len(one.seeds), len(other.seeds)) > 1:
        return over_seeds(one.seeds, other.seeds, spread) > SIGNIFICANCE
    if one.hits is not None and other.hits is not None and len(one.hits) == len(other.hits):
        return mcnemar(one.hits, other.hits) > SIGNIFICANCE
    if one.images is None:
        return False
    return two_proportions(one.accuracy, other.accuracy, one.images) > SIGNIFICANCE


def over_seeds(one: Sequence[float], other: Sequence[float], spread: SeedSpread) -> float:
    """The p-value of a t-test of two networks' accuracies over seeds.

    The pooled spread is that of all networks of the front (Fisher's least significant difference,
    "The Design of Experiments", 1935). Without any spread it is 1 for equal means, 0 for others.
    """
    gap = abs(float(_stabilised(one).mean() - _stabilised(other).mean()))
    if spread.deviation == 0:
        return float(gap == 0)
    from scipy.special import stdtr  # scipy.stats takes half a second to import

    error = spread.deviation * math.sqrt(1 / len(one) + 1 / len(other))
    return float(2 * stdtr(spread.degrees, -gap / error))


def _stabilised(shares: Sequence[float]) -> np.ndarray:
    return np.arcsin(np.sqrt(np.asarray(shares, dtype=float)))


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The p-value of McNemar's exact test of two networks on the same images.

    If both are equally accurate, each image on which they differ is right for either of them with
    probability 1/2 (McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 1947).

    Args:
        one: (images) bool, which images the first network classifies correctly.
        other: the same for the second network.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if only_one + only_other == 0:
        return 1.0
    from scipy.special import bdtr

    fewer = bdtr(min(only_one, only_other), only_one + only_other, 0.5)
    return min(1.0, 2 * float(fewer))


def two_proportions(one: float, other: float, count: int) -> float:
    """The p-value of the z-test of two shares that were measured on samples of the same size.

    z = (p1 - p2) / sqrt(2 p (1 - p) / n) with the mean share p (Fleiss, Levin and Paik,
    "Statistical Methods for Rates and Proportions", 2003, section 3.2, without correction). Shares
    of the same images are correlated, so it misses differences that `mcnemar` finds.
    """
    mean = (one + other) / 2
    if mean in (0, 1):
        return 1.0
    deviation = math.sqrt(2 * mean * (1 - mean) / count)
    return math.erfc(abs(one - other) / deviation / math.sqrt(2))


def advice(front: pd.DataFrame, study: Study) -> list[str]:
    """What the noise of a front means for the choice of a network, in sentences.

    ``front`` is as `described_front` returns it.
    """
    groups = [rows for _, rows in front.groupby("group") if len(rows) > 1]
    told = [_sentence(rows, study) for rows in groups if rows["recommended"].any()]
    found = told[:MOST_GROUPS]
    if more := len(told) - len(found):
        groups_left = text.counted(more, "more group")
        found.append(f"For {groups_left} see the column `alike` of the front.")
    if groups and study.confirm is None:
        trainings, also = FURTHER_SEEDS, ""
        if study.supernet is not None and study.supernet.members != "trained":
            trainings, also = FURTHER_SEEDS + 1, ', and members = "trained" in [supernet],'
        found.append(
            f"Further seeds may tell them apart: add [confirm] with seeds = {FURTHER_SEEDS}{also} "
            f"to the study file and run it again ({trainings * len(front)} trainings)."
        )
    return found


def _groups(members: dict[int, Measured], alike: dict[int, list[int]]) -> list[list[int]]:
    """Numbers of members in groups, the most accurate first."""
    left = sorted(members, key=lambda number: -members[number].mean)
    groups = []
    while left:
        group = [number for number in left if number == left[0] or number in alike[left[0]]]
        left = [number for number in left if number not in group]
        groups.append(group)
    return groups


def _cheapest(group: Sequence[int], front: pd.DataFrame, study: Study) -> int:
    rows = front[front["number"].isin(group)]
    costs = rows[OBJECTIVES[study.costs[0]].column].astype(float)
    return int(rows["number"].iloc[int(costs.argmin())])


def _not_beaten(
    chosen: Sequence[int], members: dict[int, Measured], front: pd.DataFrame, study: Study
) -> list[int]:
    """Of these members, those for which no other one has a higher mean at no higher cost."""
    names = [OBJECTIVES[name].column for name in study.objectives if name != "accuracy"]
    costs = front.set_index("number")[names].astype(float)

    def beats(one: int, other: int) -> bool:
        is_better = members[one].mean > members[other].mean
        return is_better and bool((costs.loc[one] <= costs.loc[other]).all())

    return [each for each in chosen if not any(beats(other, each) for other in chosen)]


def _intervals(
    front: pd.DataFrame, column: str, counts: Sequence[int | None]
) -> dict[str, pd.Series[float]]:
    """Columns with the ends of the intervals of an accuracy; NaN where it is not measured."""
    pairs = [
        (math.nan, math.nan) if pd.isna(share) or pd.isna(n) else share_interval(share, int(n or 0))
        for share, n in zip(front[column], counts, strict=True)
    ]
    return {
        f"{column}_{end}": pd.Series([pair[at] for pair in pairs], dtype="float64")
        for at, end in enumerate(("low", "high"))
    }


def _sentence(rows: pd.DataFrame, study: Study) -> str:
    """What to take of a group of members."""
    means = [float(np.mean(unselected(seeds))) for seeds in rows["seed_accuracies"]]
    rows = rows.assign(mean=means).sort_values("mean", ascending=False)
    first, chosen = rows.iloc[0], rows[rows["recommended"]].iloc[0]
    numbers = [str(number) for number in rows["number"]]
    shown = numbers[:MAX_NAMED]
    if len(numbers) > MAX_NAMED:
        shown = [*shown, f"{len(numbers) - MAX_NAMED} more"]
    named = f"{', '.join(shown[:-1])} and {shown[-1]}"
    joint = "and" if len(rows) == 2 else "to"
    shares = f"{text.percent(rows['mean'].max())} {joint} {text.percent(rows['mean'].min())}"
    seeds, images = len(unselected(first["seed_accuracies"])), first["validation_images"]
    further = "further seeds" if len(first["seed_accuracies"]) > 2 else "seeds"
    over = f", means of {seeds} {further}" if seeds > 1 else ""
    of = "" if pd.isna(images) else f" of {images} validation images"
    said = f"Trials {named} cannot be told apart ({shares}{of}{over})."
    if chosen["number"] == first["number"]:
        return f"{said} Take {chosen['number']}: it is the most accurate and the cheapest."
    cost = OBJECTIVES[study.costs[0]]
    part = text.fraction(float(chosen[cost.column]) / float(first[cost.column]))
    return f"{said} Take {chosen['number']}: it has {part} the {cost.name} of {first['number']}."
