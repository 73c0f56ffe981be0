"""The trained networks that ship with the package, without their weights.

Each has four files in `FOLDER`: ``NAME.packed``, its model card ``NAME.packed.md``,
``NAME.safetensors`` for torch, and ``NAME.json`` with how it was trained. ``make zoo`` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir2search import text
from ir2search.errors import CandidateError
from ir2search.files import read_json
from ir2search.intervals import share_interval
from ir2search.runtime import ImageSpec, image_spec, read_about
from ir2search.space import Candidate, candidate_from_dict
from ir2search.validation import checked

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent / "files"
INCLUDED = "digits"  # the data that come with scikit-learn


@dataclass(frozen=True)
class TrainingRecord:
    """How a shipped network was trained, and what it reached.

    Attributes:
        validation_accuracy: share of the validation images that it classifies correctly; its best
            epoch was chosen by it.
        test_accuracy: the same of the test images, which were read once.
        test_images: number of test images.
        first_hundred: number of the first hundred test images that it classifies correctly.
        ops: OPs for one image.
        epochs: of the training, all stages together.
        seed: of the training.
        recipe: name of the recipe; None if a study's own recipe trained it.
        command: trains the network again.
    """

    validation_accuracy: float
    test_accuracy: float
    test_images: int
    first_hundred: int
    ops: float
    epochs: int
    seed: int
    recipe: str | None
    command: str

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the test accuracy for other images of this kind."""
        return share_interval(self.test_accuracy, self.test_images)


@dataclass(frozen=True)
class ShippedNetwork:
    """A trained network that ships with the package.

    Attributes:
        name: of the network.
        candidate: the network.
        images: what its images must be like, and the names of its classes.
        training: how it was trained, and what it reached.
    """

    name: str
    candidate: Candidate
    images: ImageSpec
    training: TrainingRecord

    @property
    def packed(self) -> Path:
        """The packed file, for `ir2search.load_packed`."""
        return _file(self.name, "packed")

    @property
    def weights(self) -> Path:
        """The weights for torch, see `ir2search.load_trained`."""
        return _file(self.name, "safetensors")

    @property
    def card(self) -> Path:
        """The model card."""
        return _file(self.name, "packed.md")

    def as_dict(self) -> dict[str, Any]:
        """The columns of `zoo`, as values for JSON."""
        training, images = self.training, self.images
        low, high = training.interval
        return {
            "name": self.name,
            "data": images.data,
            "image": list(images.image),
            "classes": len(images.class_names),
            "test_accuracy": training.test_accuracy,
            "low": low,
            "high": high,
            "test_images": training.test_images,
            "validation_accuracy": training.validation_accuracy,
            "ops": training.ops,
            "packed_bytes": self.packed.stat().st_size,
            "weights_bytes": self.weights.stat().st_size,
            "epochs": training.epochs,
            "seed": training.seed,
            "command": training.command,
            "packed": str(self.packed),
            "weights": str(self.weights),
            "card": str(self.card),
        }


def zoo() -> pd.DataFrame:
    """The trained networks that ship with the package, by data set and OPs.

    Returns:
        The columns ``name``, ``data``, ``image`` (channels, height, width), ``classes``,
        ``test_accuracy`` (from 0 to 1), ``low`` and ``high`` (its 95% interval for other images of
        this kind), ``test_images``, ``validation_accuracy``, ``ops``, ``packed_bytes``,
        ``weights_bytes``, ``epochs``, ``seed``, ``command`` (trains the network again), ``packed``,
        ``weights`` and ``card`` (files).
    """
    import pandas as pd

    return pd.DataFrame([network.as_dict() for network in shipped_networks()])


def shipped_names() -> tuple[str, ...]:
    """Names of all trained networks that ship with the package."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.json")))


def is_shipped(what: object) -> bool:
    """Whether this is the name of a network that ships with the package, and no file or folder."""
    return what in shipped_names() and not Path(str(what)).exists()


def shipped_networks() -> list[ShippedNetwork]:
    """All trained networks that ship with the package, by data set and OPs."""
    found = map(shipped_network, shipped_names())
    return sorted(found, key=lambda each: (each.images.data, each.training.ops))


def shipped_network(name: str) -> ShippedNetwork:
    """Get a trained network that ships with the package, without its weights.

    Raises:
        CandidateError: the name is unknown; the message has a suggestion.
    """
    if name not in shipped_names():
        raise CandidateError(f"no trained network {name!r}; {text.suggest(name, shipped_names())}")
    record, packed = _file(name, "json"), _file(name, "packed")
    about = read_about(packed)
    return ShippedNetwork(
        name,
        candidate_from_dict(about["candidate"], str(packed)),
        image_spec(about, packed),
        checked(read_json(record), TrainingRecord, record),
    )


def _file(name: str, suffix: str) -> Path:
    return FOLDER / f"{name}.{suffix}"
