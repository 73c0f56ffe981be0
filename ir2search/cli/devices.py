"""Commands on what a network is on a device: its time."""

from __future__ import annotations

from typing import Annotated

import typer

from ir2search.cli.options import Json, Network


def latency(
    what: Network,
    threads: Annotated[str, typer.Option(help="Numbers of threads, by comma.")] = "1",
    batch: Annotated[str, typer.Option(help="Images a call, by comma.")] = "1",
    ways: Annotated[
        str, typer.Option(help="Of onnxruntime, int8, torch (a minute to compile), by comma.")
    ] = "onnxruntime,int8,torch",
    seconds: Annotated[float, typer.Option(min=0.01, help="To time each way for.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Time a network's float32 form under onnxruntime, in 8 bits, and compiled by torch.

    What the network would take here without binarisation: all ways in one process and turn by
    turn, after a warm-up, with median and quartiles. What lies within the noise of the fastest is
    marked as fast as it.

    \b
    Examples:
      ir2search latency cifar-resnet20
      ir2search latency imagenet-resnet18-D --threads 1,2 --batch 1,32 --ways onnxruntime,int8
      ir2search latency runs/digits/trials/3 --seconds 10 --json
    """
    from rich.console import Console

    from ir2search.cli.show import show_latency
    from ir2search.latency import latency as measure

    said = Console(stderr=True)
    found = measure(
        what,
        threads=_numbers(threads, "threads"),
        batches=_numbers(batch, "batch"),
        ways=ways.split(","),
        seconds=seconds,
        on_step=lambda way, count, images: said.print(
            f"{way}: threads {count}, images {images}", highlight=False
        ),
    )
    show_latency(found, as_json)


def _numbers(given: str, option: str) -> list[int]:
    from ir2search.errors import InputError

    try:
        return [int(number) for number in given.split(",")]
    except ValueError:
        raise InputError(
            f"--{option} must be whole numbers by comma, such as 1,2, but got {given!r}"
        ) from None
