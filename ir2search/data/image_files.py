"""Image files in a folder for each class: ``train/<class>/*`` and ``test/<class>/*``.

Images in deeper folders belong to the class of the first folder. In tiny-ImageNet's form, a split
has a folder ``images`` and a table ``val_annotations.txt`` of file names and classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ir2search.data.directories import composed, entries, is_folder, is_regular, named
from ir2search.data.encoded import Row
from ir2search.data.listing import (
    MAX_CLASSES,
    MAX_IMAGES,
    TEST_NAMES,
    TRAIN_NAMES,
    FolderSource,
    Listing,
    Part,
    check_count,
    missing_split,
)
from ir2search.data.pixels import SUFFIXES
from ir2search.errors import DataError
from ir2search.files import read_bytes

ANNOTATIONS = "val_annotations.txt"
SPLITS = (TRAIN_NAMES, TEST_NAMES)


def find_image_files(place: Path) -> FolderSource | None:
    """Look in a folder for splits with folders of classes; None if no split has an image.

    Raises:
        DataError: a split is missing, a folder cannot be read, or a class has no training images.
    """
    scans = {names: [_scan(path) for path in named(place, names)] for names in SPLITS}
    trains, tests = ([scan for scan in scans[names] if scan.images] for names in SPLITS)
    if not trains and not tests:
        return None
    if not trains:
        raise missing_split(place, "training")
    if not tests:
        raise missing_split(place, "test")
    train = trains[0]
    test = next((split for split in tests if split.classes & train.classes), tests[0])
    class_names = _in_order(train.classes)
    check_count(str(train.folder), len(class_names), "classes", MAX_CLASSES)
    for name, path in test.images:
        if name not in train.classes:
            raise DataError(
                f"{path.parent}: the class has no training images; add some, or remove the class"
            )
    splits = {"train": train, "test": test}
    unused = [scan for names in SPLITS for scan in scans[names] if scan not in (train, test)]
    return _source(splits, class_names, _warnings(splits, unused))


@dataclass(eq=False)
class _Scan:
    """The images of a split's folder: class and file of each; what was skipped, and how often."""

    folder: Path
    images: list[tuple[str, Path]] = field(default_factory=list)
    deeper: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> set[str]:
        return {name for name, _ in self.images}


def _scan(folder: Path) -> _Scan:
    found = _Scan(folder)
    annotations = folder / ANNOTATIONS
    if annotations.is_file():
        _add_annotated(found, annotations)
    else:
        for entry in entries(folder):
            if is_folder(entry):
                _add_class(found, composed(entry.name), Path(entry))
            else:
                found.skipped["files outside of the class folders"] += 1
    check_count(str(folder), len(found.images), "images", MAX_IMAGES)
    return found


def _add_class(found: _Scan, name: str, folder: Path) -> None:
    before = len(found.images)
    for path in _files(folder, ()):
        if path.suffix.lower() in SUFFIXES:
            found.images.append((name, path))
            found.deeper += path.parent != folder
        else:
            found.skipped[f"{path.suffix or path.name!r} files"] += 1
    if len(found.images) == before:
        found.skipped["folders without images"] += 1


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Regular files below a folder; a link to a folder above it is not followed."""
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    for entry in entries(folder):
        if is_folder(entry):
            yield from _files(Path(entry), (*above, identity))
        elif is_regular(entry):
            yield Path(entry)


def _add_annotated(found: _Scan, annotations: Path) -> None:
    """Read tiny-ImageNet's table: file name, class, and a box, separated by tabs."""
    classes = {}
    try:
        for line in read_bytes(annotations).decode("utf-8").splitlines():
            name, label, *_ = line.split("\t")
            classes[name] = composed(label)
    except (OSError, ValueError):
        raise DataError(
            f"{annotations}: must have a file name and a class in each line, separated by a tab"
        ) from None
    for path in _files(found.folder, ()):
        if path.name in classes:
            found.images.append((classes[path.name], path))
        elif path.suffix.lower() in SUFFIXES:
            found.skipped[f"images that are not in {ANNOTATIONS}"] += 1


def _in_order(classes: set[str]) -> list[str]:
    """Names in the order of text; as numbers if all are whole numbers."""
    if all(name.isascii() and name.isdecimal() for name in classes):
        return sorted(classes, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"), name))
    return sorted(classes)


def _source(splits: dict[str, _Scan], class_names: list[str], warnings: list[str]) -> FolderSource:
    number = {name: label for label, name in enumerate(class_names)}
    for split in splits.values():
        split.images.sort(key=lambda image: (number[image[0]], image[1]))

    def listing() -> Listing:
        parts = {
            name: Part(partial(_rows, split), [number[each] for each, _ in split.images])
            for name, split in splits.items()
        }
        return Listing(parts, class_names, in_files=True)

    files = {name: [path for _, path in split.images] for name, split in splits.items()}
    return FolderSource(
        "image files", files, [], warnings, lambda size: listing().read(size), listing
    )


def _rows(split: _Scan) -> Iterator[Row]:
    for _, path in split.images:
        yield str(path.absolute()), None


def _warnings(splits: dict[str, _Scan], unused: list[_Scan]) -> list[str]:
    warnings = []
    for split in splits.values():
        if split.deeper:
            warnings.append(
                f"{split.folder}: images in deeper folders belong to the class of the first folder "
                f"({split.deeper:,})"
            )
        if split.skipped:
            counts = ", ".join(f"{what} ({count:,})" for what, count in split.skipped.items())
            warnings.append(f"{split.folder}: skipped {counts}")
    train = splits["train"]
    return [*warnings, *(f"{split.folder}: is not used, {_why(split, train)}" for split in unused)]


def _why(split: _Scan, train: _Scan) -> str:
    if not split.images:
        return "it has no images in class folders"
    if not split.classes & train.classes:
        return "its folders are not those of the training classes"
    return "another folder is the split"
