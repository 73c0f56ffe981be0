"""Commands for devices: files to ship, and the time that networks take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ir2search.cli.options import Data, Json


def export(
    what: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder; or, with --weights, a network.")
    ],
    trial: Annotated[str, typer.Option(help="best, knee, or a trial's number.")] = "best",
    format: Annotated[  # noqa: A002 - the option's name
        Literal["packed", "onnx", "safetensors"],
        typer.Option(help="1 bit a binary weight; ONNX; or the network's own tensors."),
    ] = "packed",
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a preset or candidate.json, in place of a run.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file; in the trial's folder, or runs/NAME, else.")
    ] = None,
    data: Data = None,
    license: Annotated[  # noqa: A002
        str | None, typer.Option(help="Of the weights, for the model card.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a trained network for a device, and a model card beside it.

    The file is read back and run on up to 1,000 validation images first: it is written only where
    all predictions are those of the training graph.

    \b
    Examples:
      ir2search export runs/digits
      ir2search export runs/digits --trial knee --format onnx --out knee.onnx
      ir2search export cifar-resnet20 --weights best.safetensors --data cifar10/
    """
    from ir2search.cli.show import show_exported
    from ir2search.export import SUFFIXES, export_trial, export_weights
    from ir2search.latency import time_on_runtime

    if weights is None:
        done = export_trial(
            what, trial, format, file=out, data=data, license=license, timer=time_on_runtime
        )
    else:
        file = out or Path("runs") / f"{Path(what).stem}{SUFFIXES[format]}"
        done = export_weights(
            what, weights, file, format, data=data, license=license, timer=time_on_runtime
        )
    show_exported(done, as_json)


def latency(
    what: Annotated[
        str,
        typer.Argument(help="A preset, a candidate.json, a trial's folder, or an exported file."),
    ],
    threads: Annotated[str, typer.Option(help="Numbers of threads, by comma.")] = "1",
    batch: Annotated[str, typer.Option(help="Images a call, by comma.")] = "1",
    ways: Annotated[
        str, typer.Option(help="Of runtime, onnxruntime, int8, torch (a minute to compile).")
    ] = "runtime,onnxruntime,int8,torch",
    layers: Annotated[
        bool, typer.Option("--layers", help="Also show the time of each layer on the runtime.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.01, help="To time each way for.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Time a network at 1 bit against its float32 form in onnxruntime, 8 bits, compiled torch.

    The runtime runs the network as exported; the others run it without binarisation. All are timed
    in turns in one process, after a warm-up. The table has medians and quartiles, and marks as
    fastest every time that the noise does not tell from the fastest.

    \b
    Examples:
      ir2search latency cifar-resnet20
      ir2search latency imagenet-resnet18-D --threads 1,2 --batch 1,32 --ways onnxruntime,int8
      ir2search latency runs/digits/trials/3 --ways runtime,onnxruntime --layers
    """
    from rich.console import Console

    from ir2search.cli.show import show_latency
    from ir2search.latency import latency as time_network

    said = Console(stderr=True)
    found = time_network(
        what,
        threads=_numbers(threads, "threads"),
        batches=_numbers(batch, "batch"),
        ways=ways.split(","),
        seconds=seconds,
        on_step=lambda way, count, images: said.print(
            f"{way}: threads {count}, images {images}", highlight=False
        ),
    )
    show_latency(found, layers, as_json)


def _numbers(given: str, option: str) -> list[int]:
    from ir2search.errors import InputError

    try:
        return [int(number) for number in given.split(",")]
    except ValueError:
        raise InputError(
            f"--{option} must be whole numbers by comma, such as 1,2, but got {given!r}"
        ) from None
