"""`analyze`: tables and figures of where a trained network loses information."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ir2search import escape
from ir2search.costs import cost
from ir2search.data import ImageData
from ir2search.errors import InputError, WeightsError
from ir2search.files import replacing, write_json, write_text
from ir2search.information.attributions import MethodName
from ir2search.information.figures import write_figures
from ir2search.information.finding import Finding, findings
from ir2search.information.images import Images, first_images
from ir2search.information.measure import measure, steps
from ir2search.information.passes import MEMORY
from ir2search.information.pictures import attention_pictures
from ir2search.information.progress import OnStep, shown_steps
from ir2search.information.registered import MEASURES
from ir2search.information.sensitivity import ceiling, operations
from ir2search.information.settings import Settings, settings_for
from ir2search.information.suggestion import suggested_study, suggestions, write_study
from ir2search.measures.file import read_measures
from ir2search.measures.names import BINARY, PLAIN, TWIN
from ir2search.measures.tables import layers_table, sensitivity_table
from ir2search.measures.trust import trust
from ir2search.models.network import TappedNetwork
from ir2search.nn import kernels_without_gradients
from ir2search.notebook import html_table
from ir2search.runs import Run, runs_folder, train_variant
from ir2search.runs.layout import CACHE, INFORMATION
from ir2search.runs.trained_networks import images_of
from ir2search.space import Candidate
from ir2search.training import pick_device
from ir2search.training.weights import load_weights
from ir2search.zoo import named_candidate
from ir2search.zoo.shipped import is_shipped, shipped_network

REVISION = 4  # raise it if the same settings give other numbers, so that caches are not used
IMAGES = 256
FITTING = 2000  # largest number of training images that probes are fitted to
SUGGESTED = "suggested.toml"  # the file of the study
BATCH = 64  # images in a forward pass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Analysis:
    """The result of an analysis.

    Attributes:
        name: name of the network, such as ``"trial 3"``.
        folder: folder with ``information.parquet``, ``layers.csv``, ``sensitivity.csv``,
            ``findings.json`` and the figures.
        table: all values, see `ir2search.information.measure`.
        layers: a row for each layer, see `ir2search.measures.layers_table`.
        trust: which attribution methods can be trusted, see `ir2search.measures.trust`.
        sensitivity: a row for each change of precision, see
            `ir2search.measures.sensitivity_table`.
        findings: what was found, in words.
        study: file of a study that searches the suggested releases; None if it was not asked for,
            or if no release is suggested.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    layers: pd.DataFrame
    trust: pd.DataFrame
    sensitivity: pd.DataFrame
    findings: list[Finding]
    study: Path | None = None

    def __repr__(self) -> str:
        return f"Analysis({self.name!r}, {len(self.layers)} layers, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        rows = [(each.topic, each.sentence) for each in self.findings]
        return html_table(f"{self.name}: {len(self.layers)} layers", ("about", "finding"), rows)


def analyze(
    what: Run | str | Path,
    trial: str = "best",
    *,
    weights: str | Path | None = None,
    twin_weights: str | Path | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    images: int | None = None,
    layers: Sequence[str] | None = None,
    methods: Sequence[MethodName] | None = None,
    memory: int = MEMORY,
    sweep: bool = True,
    suggest: bool = False,
    device: str = "auto",
    on_step: OnStep = lambda what, done, total: None,
    progress: bool = True,
) -> Analysis:
    """Measure the information in each layer of a trained network.

    A trial's network is compared with its twin (the same candidate without binarisation) and with
    the same network without recovery. Both are trained once, on the run's data with its recipe, and
    kept in the run's folder. Another network is compared with its twin if you give the weights of
    that. Measures use the first validation images; probes are fitted to training images. Results
    are cached beside the runs, by weights and settings.

    Args:
        what: a run, or its folder; or a trained network of `zoo`; with ``weights``, a preset, a
            ``candidate.json``, or the folder of a trial.
        trial: of a run: ``"best"``, ``"knee"`` or the number of a trial.
        weights: weights of a network that is not part of a run: safetensors, or a torch checkpoint.
        twin_weights: weights of the same network without binarisation.
        out: folder for the results of a network that is not part of a run; None for
            ``runs/analyze-NAME``.
        data: the folder of images. None for those of the run, or for the digits that come with the
            package.
        images: number of validation images; None for 256, or for all if there are fewer.
        layers: names of layers or of whole stages; None for all layers.
        methods: attribution methods; None for the default ones.
        memory: limit for activations and gradients, in MiB.
        sweep: whether the precision of each layer is changed, see
            `ir2search.measures.sensitivity_table`.
        suggest: whether a study is written that trains the network again with every subset of the
            suggested layers in full precision.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        on_step: called with the current step, the number of steps done, and their total.
        progress: show a bar in a notebook or a terminal; nothing is shown anywhere else.

    Raises:
        InputError: one of the arguments is wrong.
        RunError: there is no run, no trained trial, or the data is not that of the run.
        KeyboardInterrupt: the user interrupted; the next call continues a training.
    """
    if suggest and not sweep:
        raise InputError("suggest: suggestions come from the sweep; leave the sweep on")
    where = pick_device(device)
    if weights is None and is_shipped(what):
        weights = shipped_network(str(what)).weights
    if weights is None:
        if twin_weights is not None or out is not None:
            raise InputError(
                "twin_weights and out: are for a network that is not part of a run; a run has its "
                "own twin and folder"
            )
        subject = _trial(Run.of(what), trial, data)
    elif suggest:
        raise InputError("suggest: a study needs the recipe of a run; analyze a trial of a run")
    else:
        subject = _single(str(what), Path(weights), twin_weights, out, data)
    settings = settings_for(subject.networks[BINARY], layers, methods, memory, sweep)
    count = _checked_images(images, subject.data)
    with shown_steps(on_step, progress) as on_step:
        networks = _on_device({**subject.networks, **_compared(subject, where, on_step)}, where)
        found = _analyze(_Request(replace(subject, networks=networks), count, settings), on_step)
    return _with_study(found, subject.run, subject.candidate) if suggest and subject.run else found


@dataclass(frozen=True)
class _Subject:
    """A network to analyze, with those to compare it with, and where its results belong."""

    name: str
    candidate: Candidate
    networks: Mapping[str, TappedNetwork]
    data: ImageData
    folder: Path
    cache: Path
    run: Run | None = None

    @property
    def title(self) -> str:
        """The name with that of the run's study."""
        return f"{self.run.study.name}, {self.name}" if self.run else self.name


def _trial(run: Run, trial: str, data: str | Path | None) -> _Subject:
    number = run.pick(trial)
    candidate, source, network = run.candidate(number), run.data(data), run.network(number)
    folder = run.folder_of(number) / INFORMATION
    return _Subject(f"trial {number}", candidate, {BINARY: network}, source, folder, run.cache, run)


def _single(
    what: str,
    weights: Path,
    twin_weights: str | Path | None,
    out: str | Path | None,
    data: str | Path | None,
) -> _Subject:
    """A network that is not part of a run."""
    candidate = named_candidate(what)
    folder = runs_folder() / f"analyze-{Path(what).stem}" if out is None else Path(out)
    images = images_of(what, candidate, data, folder / CACHE)
    networks = {BINARY: load_weights(candidate, weights)}
    if twin_weights is not None:
        networks[TWIN] = load_weights(candidate.twin(), Path(twin_weights))
    return _Subject(Path(what).name, candidate, networks, images, folder, folder / CACHE)


def _compared(subject: _Subject, device: torch.device, on_step: OnStep) -> dict[str, TappedNetwork]:
    """Networks that a trial is compared with, trained if that was not done yet."""
    networks: dict[str, TappedNetwork] = {}
    if (run := subject.run) is not None:
        for name, other in _others(subject.candidate).items():
            told = partial(_report_epoch, on_step, name)
            networks[name] = train_variant(run, other, subject.data, device=device, on_epoch=told)
    return networks


def _with_study(found: Analysis, run: Run, candidate: Candidate) -> Analysis:
    """Write a study of the suggested releases beside the analysis, if there are any."""
    layers = [each.layer for each in suggestions(found.sensitivity)]
    study = suggested_study(run.study, candidate, layers)
    if study is None:
        return found
    file = found.folder / SUGGESTED
    write_study(study, file, run.folder)
    return replace(found, study=file)


def analyze_trials(what: Run | str | Path, which: str = "best", **arguments: Any) -> list[Analysis]:
    """Analyze one network, or every member of a run's front.

    Args:
        what: as in `analyze`.
        which: ``"front"``, ``"best"``, ``"knee"`` or the number of a trial.
        arguments: passed to `analyze`.
    """
    if which != "front":
        return [analyze(what, which, **arguments)]
    run = Run.of(what)
    run.pick("best")  # raises RunError if no trial is trained
    return [analyze(run, str(number), **arguments) for number in run.front()["number"]]


@dataclass(frozen=True)
class _Request:
    """A network to analyze, and everything that its measures depend on."""

    subject: _Subject
    images: int
    settings: Settings

    def digest(self) -> str:
        """A hash of everything that the measures depend on."""
        digest, subject = hashlib.sha256(), self.subject
        given = [REVISION, subject.candidate.id, subject.data.fingerprint, self.images, FITTING]
        given += [asdict(self.settings), *sorted(MEASURES.origins().items())]
        digest.update(json.dumps(given, sort_keys=True).encode())
        for name, network in subject.networks.items():
            digest.update(name.encode())
            for tensor in network.state_dict().values():
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def measure(self, on_step: OnStep) -> pd.DataFrame:
        """All measures and the pictures of the attention grid, as one table.

        Raises:
            WeightsError: a network gives logits that are NaN or infinite.
        """
        networks, data = self.subject.networks, self.subject.data
        candidate = self.subject.candidate
        device = next(networks[BINARY].parameters()).device
        images = first_images(data, data.validation, self.images, device)
        fitting = first_images(data, data.train, FITTING, device)
        for name, network in networks.items():
            if not _gives_finite_logits(network, images):
                raise WeightsError(
                    f"{self.subject.name}: the {name} network gives logits that are NaN or "
                    "infinite; train it again"
                )
        total, counter = steps(networks, images, fitting, self.settings), itertools.count(1)
        on_step("measuring", 0, total)
        table = measure(
            networks,
            images,
            fitting,
            self.settings,
            lambda what: on_step(what, next(counter), total),
        )
        more = [ceiling(candidate.classes)]
        if self.settings.sweep:
            more += operations(networks[BINARY], cost(candidate))
        more += attention_pictures(networks, candidate, data)
        added = pd.DataFrame(more).reindex(columns=table.columns)
        return pd.concat([table, added], ignore_index=True)


@torch.no_grad()
def _gives_finite_logits(network: TappedNetwork, images: Images) -> bool:
    with kernels_without_gradients():
        return all(bool(network(batch).isfinite().all()) for batch, _ in images.batches(BATCH))


def _analyze(request: _Request, on_step: OnStep) -> Analysis:
    """Measure or read the cache; then write tables and figures into the subject's folder."""
    subject, target = request.subject, request.subject.folder
    file = subject.cache / f"information-{request.digest()}.parquet"
    table = _cached(file)
    if table is None:
        table = request.measure(on_step)
        with replacing(file) as partial:
            table.to_parquet(partial)
    with replacing(target / "information.parquet") as partial:
        table.to_parquet(partial)
    write_figures(table, f"{subject.title} ({request.images} images)", target)
    layers, sensitivity, found = layers_table(table), sensitivity_table(table), findings(table)
    write_text(target / "sensitivity.csv", escape.csv_table(sensitivity))
    write_json(target / "findings.json", [each.as_dict() for each in found])
    # last, because the report treats a folder with this file as a finished analysis
    write_text(target / "layers.csv", escape.csv_table(layers))
    return Analysis(subject.name, target, table, layers, trust(table), sensitivity, found)


def _cached(file: Path) -> pd.DataFrame | None:
    """The table of an earlier analysis; None if there is none, or its file is damaged."""
    try:
        return read_measures(file, pictures=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, NotImplementedError):
        logger.warning("%s: cannot be read; the analysis is made again", file)
        return None


def _checked_images(images: int | None, data: ImageData) -> int:
    if images is None:
        return min(IMAGES, len(data.validation))
    if not 1 <= images <= len(data.validation):
        raise InputError(
            f"images: must be from 1 to {len(data.validation)}, the number of validation images, "
            f"but got {images}"
        )
    return images


def _others(candidate: Candidate) -> dict[str, Candidate]:
    """The candidates to compare with, by name."""
    others = {TWIN: candidate.twin()}
    if candidate.fusion != "none":
        others[PLAIN] = candidate.without_recovery()
    return others


def _on_device(
    networks: Mapping[str, TappedNetwork], device: torch.device
) -> dict[str, TappedNetwork]:
    """The networks on a device; the twin's float convolutions are fastest with channels last."""
    placed = {name: network.to(device) for name, network in networks.items()}
    if TWIN in placed:
        placed[TWIN].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _report_epoch(on_step: OnStep, name: str, what: str, done: int, total: int) -> None:
    """Call ``on_step`` during the training of the twin or of the network without recovery."""
    called = {TWIN: "the twin", PLAIN: "the network without recovery"}[name]
    on_step(f"training {called}" + ("'s backbone" if what == "backbone" else ""), done, total)
