"""Commands for devices: export and latency of networks, and a check of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ir2search import escape
from ir2search.cli.completion import trained_names
from ir2search.cli.options import (
    RUNS,
    Data,
    Json,
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

TrainedNetwork = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A run's folder, or a network of `ir2search zoo`. With --weights: a preset or a "
        "candidate.json.",
        autocompletion=trained_names,
    ),
]


def export(
    what: TrainedNetwork,
    trial: Annotated[
        str | None, typer.Option(help="best, knee, or a trial's number; by default best.")
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["packed", "onnx", "safetensors", "c", "web"],
        typer.Option(
            help="packed has 1 bit per binary weight; safetensors has the tensors as trained; c is "
            "a folder of C99 for a microcontroller; web is a page that classifies images in a "
            "browser, offline."
        ),
    ] = "packed",
    weights: Weights = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write (for c a folder); by default in the trial's folder, or "
            "without a run in runs/."
        ),
    ] = None,
    data: Data = None,
    license: Annotated[  # noqa: A002
        str | None, typer.Option(help="License of the weights, for the model card.")
    ] = None,
    storage: SavedStorage = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Write a trained network as a file for a device, with a model card.

    The file is read back and run on up to 1,000 validation images. It is kept only if all
    predictions equal those of the trained network.

    \b
    Examples:
      ir2search export runs/digits
      ir2search export runs/digits --trial knee --format onnx --out knee.onnx
      ir2search export digits-27k --format c --out firmware/network
      ir2search export digits-63k --format web --out digits.html
      ir2search export cifar-resnet20 --weights best.safetensors --data cifar10/
    """
    from ir2search.cli.show_devices import show_exported
    from ir2search.export import SUFFIXES, export_shipped, export_trial, export_weights
    from ir2search.latency import time_on_runtime
    from ir2search.runs import runs_folder
    from ir2search.zoo.shipped import is_shipped

    options: Any = {"data": data, "license": license, "timer": time_on_runtime}
    shipped = weights is None and is_shipped(what)
    if weights is None and not shipped:
        if Path(what).is_file():
            raise InputError(
                f"{what}: is a file, and one that `ir2search export` wrote is exported already; "
                "name a run's folder or a network of `ir2search zoo`"
            )
        run = opened(what, storage)
        done = export_trial(run, trial or "best", format, file=out, **options)
    else:
        if trial is not None:
            raise typer.BadParameter("only a run has trials; leave it out", param_hint="--trial")
        file = out or runs_folder() / f"{Path(what).stem}{SUFFIXES[format]}"
        if weights is None:
            done = export_shipped(what, file, format, **options)
        else:
            done = export_weights(what, weights, file, format, **options)
    show_exported(done, as_json)


Measured = Annotated[
    Path | None,
    typer.Option(
        "--import",
        help="Instead of a network: CSV file of times on a device, with the columns network and "
        "milliseconds.",
    ),
]
RuntimeNames = Annotated[
    str,
    typer.Option(
        help="Runtimes, separated by commas: runtime, onnxruntime, int8, torch (compiles for a "
        "minute)."
    ),
]


def latency(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="NETWORK",
            help="A preset, a candidate.json, a run's folder or name, a trial's folder, or an "
            "exported packed file.",
        ),
    ] = None,
    trial: RunTrial = None,
    measured: Measured = None,
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1",
    batch: Annotated[
        str, typer.Option(help="Numbers of images per call, separated by commas.")
    ] = "1",
    runtimes: RuntimeNames = "runtime,onnxruntime,int8,torch",
    layers: Annotated[
        bool, typer.Option("--layers", help="Also show the time of each layer on the runtime.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds to time each runtime.")
    ] = 2.0,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Time a network on the 1-bit runtime, on onnxruntime, in 8 bits and in compiled torch.

    The runtime runs the binary network, the others run it without binarisation. All are timed
    alternately in one process, after a warm-up. The table has medians and quartiles. It marks the
    fastest time, and each time that equals it within the noise.

    With --import, nothing is timed. The command fits the time of an operation to times that you
    measured on your device, and prints a section for a study file. With this section, `latency` in
    the study is the time on your device.

    \b
    Examples:
      ir2search latency cifar-resnet20
      ir2search latency imagenet-resnet18-D --threads 1,2 --batch 1,32 --runtimes onnxruntime,int8
      ir2search latency digits --trial 3 --runtimes runtime,onnxruntime --layers
      ir2search latency --import board.csv
    """
    from ir2search.cli.show_devices import show_board, show_latency
    from ir2search.latency import fit_board
    from ir2search.latency import latency as time_network

    if (what is None) == (measured is None):
        raise InputError("give either a network or --import FILE.csv")
    if what is None:
        assert measured is not None
        show_board(fit_board(measured), as_json)
        return

    found = time_network(
        trial_of(what, trial),
        threads=_numbers(threads, "threads"),
        batches=_numbers(batch, "batch"),
        runtimes=listed(runtimes),
        seconds=seconds,
        on_step=lambda runtime, count, images: typer.echo(
            escape.terminal(f"{runtime}: threads {count}, images {images}"), err=True
        ),
    )
    show_latency(found, layers, as_json)


def doctor(
    data: Data = None,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """Check this machine: devices, threads, compiler, disk, data, optional packages.

    Gives advice for faster training. The exit code is 1 if a study cannot run.

    \b
    Examples:
      ir2search doctor
      ir2search doctor --data cifar10/ --runs /scratch/runs
    """
    from ir2search.cli.show_devices import show_checks
    from ir2search.doctor import examine

    checks = examine(data, runs)
    show_checks(checks, as_json)
    if any(each.state == "wrong" for each in checks):
        raise typer.Exit(1)


def _numbers(given: str, option: str) -> list[int]:
    try:
        return [int(number) for number in listed(given)]
    except ValueError:
        raise InputError(
            f"--{option} must be whole numbers separated by commas, such as 1,2, but got {given!r}"
        ) from None
