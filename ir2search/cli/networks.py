"""Commands on single networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ir2search.cli.completion import trained_names
from ir2search.cli.options import (
    RUNS,
    Data,
    Device,
    Json,
    Log,
    Network,
    RunOrNetwork,
    Runs,
    RunTrial,
    SavedStorage,
    Trust,
    Weights,
    listed,
    opened,
    trial_of,
)
from ir2search.errors import InputError
from ir2search.interrupts import stoppable


def presets(as_json: Json = False) -> None:
    """List the paper's networks, with their costs and epochs of training.

    \b
    Examples:
      ir2search presets
      ir2search presets --json | jq '.[] | select(.ops < 1e8) | .name'
    """
    from ir2search.cli.show_networks import show_presets
    from ir2search.study.survey import survey_presets

    show_presets(survey_presets(), as_json)


def cost(
    what: Network,
    trial: RunTrial = None,
    trust: Trust = False,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the layers as CSV.")] = False,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Also show RAM and flash of the exported C, by step."),
    ] = False,
) -> None:
    """Count a network's operations, parameters and memory, by layer and in total.

    RAM and flash are those on a microcontroller, as `ir2search export --format c` writes the
    network.

    \b
    Examples:
      ir2search cost cifar-resnet20
      ir2search cost digits --trial 3
      ir2search cost candidate.json --json | jq .ops
      ir2search cost imagenet-resnet18-D --csv > layers.csv
    """
    from ir2search.cli.show_networks import show_cost
    from ir2search.costs import cost as candidate_cost
    from ir2search.errors import CandidateError
    from ir2search.export import device_memory
    from ir2search.zoo import named_candidate

    what = trial_of(what, trial)
    candidate = named_candidate(what)
    price = candidate_cost(candidate)
    try:
        memory = None if as_csv else device_memory(candidate)
    except CandidateError:  # a registered network has a layer that cannot be exported
        memory = None
    show_cost(price, memory, what, steps, as_json, as_csv)


def train(
    what: Network,
    trial: RunTrial = None,
    data: Data = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            help="Epochs of each stage; overrides the recipe. With --trial: in total.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Name of a recipe: cifar-fast, cifar-fast-rprelu, cifar-fast-ema, "
            "cifar-fast-crop1, digits, a preset, or a preset with -short. By default the "
            "network's own recipe."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; by default runs/train-NAME.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: a file, or a network of `ir2search zoo`. By default they "
            "are random. Keep their seed: it also chooses the validation images.",
            autocompletion=trained_names,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Threshold of the restriction in this training, 0 for none; by default the "
            "network's own."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the training.")] = 0,
    device: Device = "auto",
    log: Log = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Train one network, or continue its training, and test it on the test images.

    Writes curve.jsonl, best.safetensors, candidate.json, cost.json and environment.json into the
    folder. Without --data, the network is trained on the included digits. Ctrl-C stops the training
    after its checkpoint is saved; run the same command again to continue.

    With --trial, the network of a run is trained for more epochs, from a copy of its checkpoint:
    the run does not change. Schedules are then those of all epochs, so the learning rate jumps up
    unless it is constant; the command says so.

    \b
    Examples:
      ir2search train digits --trial knee --epochs 60
      ir2search train cifar-resnet20 --data cifar10/ --epochs 30
      ir2search train cifar-resnet20 --recipe cifar-resnet20-short
      ir2search train runs/digits/trials/3 --epochs 100 --out runs/longer --device cuda
      ir2search train cifar10-241k --weights cifar10-241k --data photos/
    """
    from ir2search.cli.show_networks import show_training
    from ir2search.runs import Run, find_run, plan_longer, runs_folder, train_longer
    from ir2search.trackers import named_tracker
    from ir2search.zoo import TrainingProgress, train_network

    trackers = [named_tracker(name) for name in log or ()]
    with TrainingProgress() as bar, stoppable() as should_stop:
        asked: dict[str, Any] = {
            "data": data,
            "device": device,
            "observer": [bar, *trackers],
            "progress": False,
            "should_stop": should_stop,
        }
        if trial is None:
            folder = out or runs_folder() / f"train-{Path(what).stem}"
            asked |= {"recipe": recipe, "epochs": epochs, "weights": weights, "seed": seed}
            trained = train_network(what, folder, threshold=threshold, **asked)
        else:
            of_run = recipe, weights, threshold
            if epochs is None or seed or any(given is not None for given in of_run):
                raise InputError(
                    "--trial: needs --epochs, and takes recipe, weights, threshold and seed of the "
                    "run"
                )
            run = Run.open(find_run(what))
            bar.say(plan_longer(run, trial, epochs).sentence)
            trained = train_longer(run, trial, epochs, out, **asked)
    show_training(trained, as_json)


def zoo(as_json: Json = False) -> None:
    """List the trained networks that come with this package, with their accuracy and costs.

    --json also has the files of each network, its model card, and the command that trains it.

    \b
    Examples:
      ir2search zoo
      ir2search zoo --json | jq -r '.[] | select(.ops < 1e5) | .name'
    """
    from ir2search.cli.show_networks import show_zoo
    from ir2search.zoo import shipped_networks

    show_zoo(shipped_networks(), as_json)


def predict(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A network of `ir2search zoo`, a file of `export`, a trial's folder, or a folder "
            "of `train`.",
            autocompletion=trained_names,
        ),
    ],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show.")] = 3,
    data: Annotated[
        Path | None,
        typer.Option(
            help="For a folder: its training images; by default the run's images, or the included "
            "digits."
        ),
    ] = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Classify image files with a trained network.

    Images are resized and normalised as the training images were.

    \b
    Examples:
      ir2search predict cifar10-resnet20 cat.png dog.jpg
      ir2search predict runs/digits/trials/3 digit.png
      ir2search predict runs/digits/trials/3/export/network.packed digit.png --top 1 --json
    """
    from ir2search.cli.show_networks import show_predictions
    from ir2search.runs import predict as predictions

    show_predictions(predictions(what, images, top=top, data=data), as_json)


def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A run's folder or name, a network of `ir2search zoo`, a folder of `train`, a "
            "trial's folder, or a file of `export`. With --weights: a preset or a candidate.json.",
            autocompletion=trained_names,
        ),
    ],
    trial: RunTrial = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of images; by default the included digits, or the run's images."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="The network's weights, or the authors' for a preset: safetensors or torch."
        ),
    ] = None,
    device: Device = "auto",
    runs: Runs = RUNS,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Measure the accuracy of a trained network on test images.

    Only weights are read from a file: code in it cannot run.

    \b
    Examples:
      ir2search evaluate cifar10-resnet20 --data cifar10/
      ir2search evaluate runs/train-cifar-resnet20 --data cifar10/
      ir2search evaluate digits --trial 3
      ir2search evaluate cifar-resnet20 --weights resnet20.th --data cifar10/
    """
    from ir2search.cli.show_networks import show_evaluation
    from ir2search.runs import evaluate as measured
    from ir2search.runs.layout import CACHE

    place = trial_of(what, trial)
    found = measured(place, data, weights=weights, cache=runs / CACHE, device=device)
    show_evaluation(found, as_json)


def analyze(
    what: RunOrNetwork,
    trial: Annotated[str, typer.Option(help="best, knee, front, or a trial's number.")] = "best",
    layers: Annotated[
        str | None,
        typer.Option(help="Layers to analyse, such as stem,stage2.1,stage3; by default all."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Attribution methods, separated by commas; by default the fast ones."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(help="Number of validation images to use; by default 256, or all if fewer."),
    ] = None,
    memory: Annotated[int, typer.Option(help="Memory limit for activations, in MiB.")] = 2048,
    sweep: Annotated[
        bool, typer.Option(help="Measure the accuracy with each layer in another precision.")
    ] = True,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Write a study that keeps suggested layers real.")
    ] = False,
    weights: Weights = None,
    twin_weights: Annotated[
        Path | None, typer.Option(help="Weights of the same network without binarisation.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Without a run: folder to write; by default runs/analyze-NAME."),
    ] = None,
    data: Data = None,
    device: Device = "auto",
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Find the layers in which a trained network loses information.

    The network is compared with its full-precision twin and with the same network without
    recovery; both are trained once. Ends with findings in words. Writes information.parquet (all
    values), layers.csv, sensitivity.csv, findings.json and figures into trials/NUMBER/information
    in the run's folder. --suggest also writes suggested.toml there: a study that trains the network
    with the suggested layers in full precision. Attribution methods: integrated_gradients,
    conductance, gradient_x_activation, grad_cam, deeplift, feature_ablation, occlusion.

    \b
    Examples:
      ir2search analyze runs/digits
      ir2search analyze runs/digits --trial front --images 128
      ir2search analyze runs/digits --trial knee --suggest
      ir2search analyze runs/digits --layers stage2,stage3.0 --methods deeplift,occlusion
      ir2search analyze cifar-resnet20 --weights best.safetensors --data cifar10/
      ir2search analyze cifar10-resnet20 --data cifar10/
    """
    from ir2search.cli.show_networks import show_analyses
    from ir2search.information import analysis_progress, analyze_trials
    from ir2search.zoo.shipped import is_shipped

    is_run = weights is None and not is_shipped(what)
    with analysis_progress() as on_step:
        found = analyze_trials(
            opened(what, storage) if is_run else what,
            trial,
            weights=weights,
            twin_weights=twin_weights,
            out=out,
            data=data,
            images=images,
            layers=layers and listed(layers),
            methods=methods and listed(methods),
            memory=memory,
            sweep=sweep,
            suggest=suggest,
            device=device,
            on_step=on_step,
            progress=False,
        )
    show_analyses(found, as_json)
