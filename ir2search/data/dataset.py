"""`load_data`: from the ``[data]`` section of a study to split images."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ir2search import text
from ir2search.data.config import DataConfig
from ir2search.data.decode import check_memory
from ir2search.data.digits import read_digits
from ir2search.data.encoded import EncodedImages
from ir2search.data.folder import find_source
from ir2search.data.listing import Columns, Listing
from ir2search.data.sources import SOURCES, LabelledImages, read_registered
from ir2search.data.split import Split
from ir2search.data.stream import StreamedSplit
from ir2search.errors import DataError
from ir2search.files import replacing
from ir2search.runtime import ImageSpec

if TYPE_CHECKING:
    from ir2search.space import Candidate

READER = 3  # increased when the same files give other pixels or labels, so that caches differ
STREAM_READER = 2  # as READER, for the fingerprint of streamed images
DATA_VARIABLE = "IR2SEARCH_DATA"  # environment variable with a folder of images
MOMENTS_SAMPLE = 1024  # images that give the mean and deviation of streamed data


logger = logging.getLogger("ir2search.data")


@dataclass(frozen=True)
class ImageData:
    """A data set; its test split is read only on request.

    Attributes:
        train: the split that candidates are trained on, in memory or streamed.
        validation: the split that ranks candidates in a search.
        class_names: names of the classes, in the order of the labels.
        mean: mean of the training images for each channel, where 1 is the byte 255.
        std: standard deviation of the training images for each channel, in the same unit.
        fingerprint: a digest of the images and of the split; equal data has equal fingerprints.
        read_test: reads the test split.
    """

    train: Split | StreamedSplit
    validation: Split | StreamedSplit
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    read_test: Callable[[], Split | StreamedSplit]

    @property
    def image(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images."""
        return self.train.shape

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def normalise(self, images: Tensor) -> Tensor:
        """Scale images (N, C, H, W) uint8 to float32 with mean 0 and deviation 1 by channel."""
        return normalised(images, self.mean, self.std)

    def with_classes(self, names: tuple[str, ...]) -> ImageData:
        """The same images, with labels in the order of ``names``.

        If the classes have other names, labels stay as they are, with a warning.
        """
        if names == self.class_names:
            return self
        if sorted(names) != sorted(self.class_names):
            logger.warning(
                "the data has classes %s, and the network %s; they are compared by their order",
                *(text.names(each) for each in (self.class_names, names)),
            )
            return self
        places = torch.tensor([names.index(name) for name in self.class_names])

        def ordered(split: Split | StreamedSplit) -> Split | StreamedSplit:
            return replace(split, labels=places[split.labels])

        return replace(
            self,
            train=ordered(self.train),
            validation=ordered(self.validation),
            class_names=names,
            read_test=lambda: ordered(self.read_test()),
        )

    def spec(self, name: str) -> ImageSpec:
        """What a network for these images needs to be told; ``name`` is that of the data."""
        streamed = isinstance(self.validation, StreamedSplit)
        return ImageSpec(
            data=name,
            image=self.image,
            mean=self.mean,
            std=self.std,
            class_names=self.class_names,
            crop="centre" if streamed else "whole",
        )

    def check_fit(self, candidate: Candidate, name: str, *, included: bool = False) -> None:
        """Check that a network, called ``name``, takes these images and has these classes.

        Args:
            candidate: the network.
            name: its name.
            included: whether these are the included digits, because no folder was given.

        Raises:
            DataError: the images have another size, or the number of classes differs.
        """
        if (candidate.image, candidate.classes) != (self.image, self.classes):
            data, advice = "the data has", "use data that fits the network"
            if included:
                data, advice = "the included digits are", "give the folder of its images: --data"
            raise DataError(
                f"{name}: takes {_described(candidate.image, candidate.classes)}, but {data} "
                f"{_described(self.image, self.classes)}; {advice}"
            )


def _described(image: tuple[int, int, int], classes: int) -> str:
    return f"images of {' x '.join(map(str, image))} in {classes} classes"


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale images (N, C, H, W) uint8 to float32 by the mean and deviation of each channel.

    Args:
        images: the images.
        mean: (C,), where 1 is the byte 255.
        std: (C,), in the same unit.
    """
    means, stds = (_by_channel(values, images.device) for values in (mean, std))
    return (images.float() / 255 - means) / stds


@functools.lru_cache(maxsize=64)  # a copy to the GPU at each step would wait for its queue
def _by_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device).view(1, -1, 1, 1)


def load_data(config: DataConfig, folder: Path | None, cache: Path, seed: int) -> ImageData:
    """Read the images that ``config`` describes, from their files or the cache, and split them.

    Args:
        config: the ``[data]`` section of a study.
        folder: the data folder; None for ``config.path``. If that is None too, the environment
            variable ``IR2SEARCH_DATA`` names the folder of a study whose source is ``"folder"``.
        cache: a folder for decoded images; created if it is missing.
        seed: seed of the validation split.

    Raises:
        DataError: a folder or file is missing, empty, corrupt or has an unknown layout.
    """
    if folder is not None and config.source == "digits":
        raise DataError(
            f"data folder {folder}: the study uses the included digits; give no data folder, or "
            'set `source = "folder"` in [data]'
        )
    if folder is None and config.path is not None:
        folder = Path(config.path)
    if folder is None and config.source == "folder" and (named := os.environ.get(DATA_VARIABLE)):
        folder = Path(named)
    if SOURCES[config.source] is not None:
        return _registered(config, folder, seed)
    if config.source == "digits":
        digits = _Source("digits", _digest("digits", config.size), 0, "", read_digits)
        return _resident(digits, config, cache, seed)
    if folder is None:
        raise DataError(
            f"no data folder is given; give --data FOLDER (in Python data=), set `path` in [data], "
            f"or set {DATA_VARIABLE}"
        )
    source = _source(folder, config)
    return (_streamed if config.stream else _resident)(source, config, cache, seed)


@dataclass(frozen=True)
class _Source:
    """A source, and its identity for the names of files in the cache.

    Attributes:
        name: its name in errors.
        key: a digest of the files' folder, names, sizes and times.
        size: size of all files in bytes.
        portable_key: a digest of names and sizes only, the same on every machine.
        read: reads all images, with the size in pixels to which they are resized.
        listing: lists the images, to stream them; None if they cannot be streamed.
    """

    name: str
    key: str
    size: int
    portable_key: str
    read: Callable[[int | None], LabelledImages]
    listing: Callable[[], Listing] | None = None


def _source(folder: Path, config: DataConfig) -> _Source:
    columns = Columns(config.image, config.label)
    found = find_source(folder, columns)
    for level, sentences in ((logging.INFO, found.notes), (logging.WARNING, found.warnings)):
        for sentence in sentences:
            _log_once(level, sentence)
    files = [*found.files["train"], *found.files["test"]]
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    times = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    listed = [(name, size) for name, size, _ in times]
    named = [] if columns == Columns() else [columns.image, columns.label]
    return _Source(
        name=str(folder),
        key=_digest(READER, str(folder.resolve()), times, *named),
        size=sum(stat.st_size for _, stat in stats),
        portable_key=_digest(listed, *named),
        read=found.read,
        listing=found.listing,
    )


@functools.cache  # a search reads its data several times
def _log_once(level: int, sentence: str) -> None:
    logger.log(level, "%s", sentence)


def _resident(source: _Source, config: DataConfig, cache: Path, seed: int) -> ImageData:
    """All images in memory; decoded images are kept in a file of the cache."""
    file = cache / f"{_digest(source.key, config.size)}.safetensors"
    if not _is_whole(file):
        check_memory(source.size, source.name)
        _store(source.read(config.size), file)
    with safe_open(file, "pt") as stored:
        images, labels = stored.get_tensor("train_images"), stored.get_tensor("train_labels")
        class_names = tuple(json.loads(stored.metadata()["class_names"]))
        content = stored.metadata()["content"]
    return _split(
        images, labels, class_names, content, config, seed, read_test=lambda: _read_test(file)
    )


def _registered(config: DataConfig, folder: Path | None, seed: int) -> ImageData:
    """A data set from a registered function, all in memory."""
    found = read_registered(config.source, folder, config.size)
    content = _content(found.tensors().values())
    images, labels = found.train_images.contiguous(), found.train_labels.long()
    test = Split(found.test_images.contiguous(), found.test_labels.long())
    names = tuple(found.class_names)
    return _split(images, labels, names, content, config, seed, read_test=lambda: test)


def _split(
    images: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...],
    content: str,
    config: DataConfig,
    seed: int,
    read_test: Callable[[], Split],
) -> ImageData:
    kept, held_out = _stratified(labels, config.validation, seed)
    train = Split(images[kept], labels[kept])
    mean, std = _moments(train.images)
    return ImageData(
        train=train,
        validation=Split(images[held_out], labels[held_out]),
        class_names=class_names,
        mean=mean,
        std=std,
        fingerprint=_digest(content, *_split_key(config, labels, seed)),
        read_test=read_test,
    )


def _read_test(file: Path) -> Split:
    with safe_open(file, "pt") as stored:
        return Split(stored.get_tensor("test_images"), stored.get_tensor("test_labels"))


def _streamed(source: _Source, config: DataConfig, cache: Path, seed: int) -> ImageData:
    """Decode only a sample, for mean and deviation; the cache has an index of all images."""
    if source.listing is None:
        raise DataError(
            f"{source.name}: CIFAR-10's binary batches cannot be streamed, and they fit in memory; "
            "remove `stream` from [data]"
        )
    files = {split: cache / f"{source.key}-{split}.arrow" for split in ("train", "test")}
    if not all(file.exists() for file in files.values()):
        cache.mkdir(parents=True, exist_ok=True)
        source.listing().index(files)
    assert config.size is not None  # DataConfig checks it
    size = config.size
    images, test = (EncodedImages(files[split]) for split in ("train", "test"))
    labels = images.labels
    kept, held_out = _stratified(labels, config.validation, seed)
    train = StreamedSplit(images, kept, labels[kept], size)
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    mean, std = _moments(train.take(order[:MOMENTS_SAMPLE])[0])
    return ImageData(
        train=train,
        validation=StreamedSplit(images, held_out, labels[held_out], size),
        class_names=images.class_names,
        mean=mean,
        std=std,
        fingerprint=_digest(
            STREAM_READER, source.portable_key, size, *_split_key(config, labels, seed)
        ),
        read_test=lambda: StreamedSplit(test, torch.arange(len(test)), test.labels, size),
    )


def _store(found: LabelledImages, file: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in found.tensors().items()}
    content = _content(tensors[name] for name in sorted(tensors))
    names = json.dumps(found.class_names)
    with replacing(file) as partial:
        save_file(tensors, partial, {"class_names": names, "content": content})


def _content(tensors: Iterable[Tensor]) -> str:
    """A digest of the values of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _is_whole(file: Path) -> bool:
    try:
        with safe_open(file, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def _stratified(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices that are kept and held out: ``share`` of each class, rounded, at least one.

    They are in the order of the files, or in a random order if the files are sorted by class: the
    first images of a split are then of all classes.
    """
    generator = torch.Generator().manual_seed(seed)
    kept, held_out = [], []
    for label in labels.unique(sorted=True):
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DataError(
                f"data: class {int(label)} has {len(members)} training image; "
                "a validation split needs at least 2 of each class: add some, or remove the class"
            )
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held_out.append(members[:count])
        kept.append(members[count:])
    first, second = torch.cat(kept), torch.cat(held_out)
    if not _sorted_by_class(labels):
        return first.sort().values, second.sort().values
    return (
        first[torch.randperm(len(first), generator=generator)],
        second[torch.randperm(len(second), generator=generator)],
    )


def _sorted_by_class(labels: Tensor) -> bool:
    """Whether neighbours have different classes less than half as often as in a random order."""
    shares = labels.bincount().double() / len(labels)
    changes = (labels[1:] != labels[:-1]).double().mean()
    return bool(changes < (1 - shares.square().sum()) / 2)


def _split_key(config: DataConfig, labels: Tensor, seed: int) -> list[object]:
    """What a split depends on besides the images; a random order gives another fingerprint."""
    order = ["random order"] if _sorted_by_class(labels) else []
    return [config.validation, seed, *order]


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by channel, where 1 is the byte 255; a histogram keeps them exact."""
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].flatten().int(), minlength=256).double()
        mean = float((counts * values).sum() / counts.sum())
        variance = float((counts * (values - mean) ** 2).sum() / counts.sum())
        means.append(mean)
        stds.append(max(variance**0.5, 1 / 255))
    return tuple(means), tuple(stds)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
