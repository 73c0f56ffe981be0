"""Front members of a search with shared weights that were trained further, or by themselves.

Optuna does not change a trial that has ended, so the new result is in the trial's folder::

    best.safetensors  curve.jsonl    of the member's own training
    member.json                      its result
    member/<how>-<epochs>/           the training, with its checkpoints
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ir2search.files import check_links, copy_file, read_json, write_json
from ir2search.runs.layout import (
    BEST,
    CURVE,
    EXPORT,
    HITS_FILE,
    INFORMATION,
    MEMBER_FILE,
    MEMBERS,
    TEST_FILE,
)
from ir2search.runs.records import TrialRecord
from ir2search.study.schema import Study
from ir2search.validation import Share, checked

OUTCOMES = {
    "fine-tuned": "fine-tuned from the supernet",
    "trained": "trained by itself after the search",
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """The training of a front member after the search.

    Attributes:
        how: from its part of the shared weights, or by itself from scratch.
        epochs: of the training.
        accuracy: best validation accuracy, from 0 to 1.
        best_epoch: the epoch of that accuracy, from 1.
        seconds: duration of the training.
    """

    how: Literal["fine-tuned", "trained"]
    epochs: Annotated[int, Field(ge=1, lt=2**63)]
    accuracy: Share
    best_epoch: Annotated[int, Field(ge=1, lt=2**63)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


def read_member(folder: Path) -> Member | None:
    """The training of a member, from its trial's folder; None if there was none.

    Raises:
        RunError: the file is damaged.
    """
    file = folder / MEMBER_FILE
    return checked(read_json(file), Member, file) if file.exists() else None


def member_folder(folder: Path, how: str, epochs: int) -> Path:
    """Where a member is trained; ``folder`` is that of its trial."""
    return folder / MEMBERS / f"{how}-{epochs}"


def member_epochs(study: Study) -> int:
    """Epochs that each member of the front is trained after the search; 0 if it inherits."""
    if study.supernet is None:
        return 0
    epochs = {"fine-tuned": study.supernet.finetune, "trained": study.recipe.epochs}
    return epochs.get(study.supernet.members, 0)


def keep_member(folder: Path, member: Member) -> None:
    """Replace the network of a trial by that of its own training, which has ended.

    What was measured on the earlier network is removed. The result is written last: if the process
    is killed before, the same call does the rest.

    Args:
        folder: of the trial.
        member: the result.
    """
    check_links(folder)
    for name in (TEST_FILE, HITS_FILE):
        (folder / name).unlink(missing_ok=True)
    for name in (INFORMATION, EXPORT):
        shutil.rmtree(folder / name, ignore_errors=True)
    trained = member_folder(folder, member.how, member.epochs)
    for name in (CURVE, BEST):
        copy_file(trained / name, folder / name)
    write_json(folder / MEMBER_FILE, asdict(member))


def with_members(
    records: Iterable[TrialRecord], study: Study, folder_of: Callable[[int], Path]
) -> list[TrialRecord]:
    """Trials with the accuracies of front members that were trained after the search.

    With a supernet each measured trial gets its ``inherited_accuracy``, which the search saw.
    ``folder_of`` gives the folder of a trial by its number.

    Raises:
        RunError: the file of a member is damaged.
    """
    if study.supernet is None:
        return list(records)
    return [_with_member(record, study, folder_of(record.number)) for record in records]


def _with_member(record: TrialRecord, study: Study, folder: Path) -> TrialRecord:
    if record.state != "trained" or record.values is None:
        return record
    attributes = replace(record.attributes, inherited_accuracy=record.attributes.accuracy)
    member = read_member(folder)
    if member is None:
        return replace(record, attributes=attributes)
    attributes = replace(
        attributes,
        how=member.how,
        accuracy=member.accuracy,
        best_epoch=member.best_epoch,
        seconds=member.seconds,
        outcome=OUTCOMES[member.how],
    )
    pairs = zip(study.objectives, record.values, strict=True)
    values = tuple(member.accuracy if name == "accuracy" else value for name, value in pairs)
    return replace(record, attributes=attributes, values=values)
