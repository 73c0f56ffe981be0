"""What to do about a loss: which layers to keep in full precision, and a study that searches them.

A layer is worth what its release returns to the binary network without training again. If no
release returns anything that can be measured, a layer is worth what its signs alone cost the
full-precision twin.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tomli_w

from ir2search.files import write_text
from ir2search.measures.tables import largest_part
from ir2search.models.families import FAMILIES
from ir2search.space import BINARY, Candidate, Choice, SearchSpace
from ir2search.space.precision import WRITTEN, by_layer, layers_of, names_of
from ir2search.study import Study
from ir2search.study.serialise import study_as_dict

MOST = 3  # layers to suggest: a study tries every subset of them


@dataclass(frozen=True)
class Suggestion:
    """A layer or stage to release.

    Attributes:
        layer: its name.
        points: percentage points of accuracy that it is worth.
        low: lower end of their 95% interval over images.
        high: upper end.
        ops: OPs that its release costs.
        from_twin: whether the points are what its signs cost the twin.
    """

    layer: str
    points: float
    low: float
    high: float
    ops: float
    from_twin: bool


def suggestions(swept: pd.DataFrame) -> list[Suggestion]:
    """The layers and stages that are worth most for their OPs, the best first; at most `MOST`.

    Only those whose interval is above zero; none is a part of another.

    Args:
        swept: see `ir2search.measures.sensitivity_table`.
    """
    whole = largest_part(swept)
    parts = whole[whole["kind"].isin(["layer", "stage"]) & (whole["released_ops"] > 0)]
    returned = _worth(parts, "released_accuracy_points", 1)
    found = returned or _worth(parts, "binarised_accuracy_points", -1)
    chosen: list[Suggestion] = []
    for each in sorted(found, key=lambda each: each.points / each.ops, reverse=True):
        if not any(_overlap(each.layer, other.layer) for other in chosen):
            chosen.append(each)
    return chosen[:MOST]


def suggested_study(study: Study, candidate: Candidate, layers: Iterable[str]) -> Study | None:
    """A study that trains a network with every subset of some layers in full precision.

    Args:
        study: the one that trained the network; its images, recipe and objectives are kept.
        candidate: the network.
        layers: names of layers or stages to release.

    Returns:
        The study; None if the family of the network names none of these layers.
    """
    known = layers_of(FAMILIES[candidate.backbone], candidate.depth)
    names = [name for name in layers if name in names_of(known)]
    if not names:
        return None
    fixed, own = dict(SearchSpace.of(candidate).fixed), candidate.released
    searched = {}
    for name in names:
        inside = by_layer(known, {name: name})
        now = WRITTEN[own.get(next(iter(inside)), "binary")]
        searched[BINARY + name] = Choice((now, WRITTEN["real"]))
        fixed.pop(BINARY + name, None)
    return Study(
        name=f"{study.name}-released",
        seed=study.seed,
        modules=study.modules,
        trials=2 ** len(names),
        sampler="grid",
        objectives=study.objectives,
        data=study.data,
        space=SearchSpace(fixed, searched),
        latency=study.latency,
        recipe=study.recipe.with_values(dict(candidate.recipe)),
    )


def write_study(study: Study, file: Path, run: Path | None = None) -> None:
    """Write a study file; ``run`` is the folder of the run that has the study's modules."""
    values = study_as_dict(study)
    if run is not None and study.modules:
        values["modules"] = [
            name if module.source is None else os.path.relpath(run / name, file.parent)
            for name, module in zip(values["modules"], study.modules, strict=True)
        ]
    write_text(file, tomli_w.dumps(values))


def _worth(parts: pd.DataFrame, column: str, sign: int) -> list[Suggestion]:
    """The layers with a measurable change of accuracy of this sign, as suggestions."""
    found = []
    for row in parts.dropna(subset=[column]).to_dict("records"):
        value, *ends = (sign * float(row[f"{column}{end}"]) for end in ("", "_low", "_high"))
        low, high = sorted(ends)
        if low > 0:
            layer, ops = str(row["layer"]), float(row["released_ops"])
            found.append(Suggestion(layer, value, low, high, ops, from_twin=sign < 0))
    return found


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
