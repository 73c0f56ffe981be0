"""Choose a torch device by its name, and order images in memory as it prefers."""

from __future__ import annotations

import torch
from torch import Tensor

from ir2search import text
from ir2search.errors import InputError, first_line

TYPES = ("cpu", "cuda", "mps", "xpu")


def pick_device(name: str) -> torch.device:
    """The torch device of a name; ``"auto"`` is the first GPU, or the CPU if there is none.

    Raises:
        InputError: this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cpu" and device.index:  # torch takes any number
            raise RuntimeError("all cores are the device cpu")
        torch.empty(1, device=device).tolist()  # fails on "meta", which stores no values
    except (RuntimeError, AssertionError) as error:
        kind = name.split(":")[0]
        if kind in TYPES:
            reason, fix = first_line(error), "; try cpu"
        else:  # torch's own message lists dozens of types
            reason, fix = "no such device", text.did_you_mean(kind, TYPES) or "; try cpu"
        raise InputError(f"device {name!r} is not available ({reason}){fix}") from None
    return device


def channels_last(images: Tensor) -> Tensor:
    """The images (N, C, H, W); on a GPU, their channels are last in memory, for tensor cores."""
    if images.device.type != "cuda":
        return images
    return images.contiguous(memory_format=torch.channels_last)
