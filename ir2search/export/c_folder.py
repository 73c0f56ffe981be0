"""A folder with a network as C99, the runtime for it, and an example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ir2search import text
from ir2search.errors import InputError
from ir2search.escape import markdown
from ir2search.export import c_text
from ir2search.export.c_source import CNetwork, c_network
from ir2search.export.device import CODE_BYTES
from ir2search.files import write_bytes, write_text
from ir2search.kernels.inference import SOURCES
from ir2search.runtime.graph import Graph
from ir2search.runtime.image_spec import ImageSpec

NETWORK, HEADER = "network.c", "network.h"
RUNTIME = ("ir2_runtime.c", "ir2_runtime.h")
EXAMPLE = ("Makefile", "main.c")

_README = """\
# {title} in C

`network.c` and `network.h` have the network, `ir2_runtime.c` and `ir2_runtime.h` run it. They are
C99 for little-endian processors. They call no function of the C library but memcpy, memmove and
memset, and allocate no memory.

```c
#include "network.h"

int label = ir2_classify(pixels);   /* {size} bytes, row by row{order} */
```

`label` is a number from 0 to {last}; its name is `ir2_class_names[label]`. Pixels are normalised
inside. `ir2_logits()` gives the logits.

- Flash: {constants} of constants, and about {code} of code on a Cortex-M with `-Os`. On processors
  without a unit for floats, the compiler's functions for them come on top.
- RAM: {arena} of static memory, and less than 1 kB of stack.

Compile both `.c` files with `-std=c99 -ffp-contract=off`. Then the logits are those of the same C
on a computer, bit for bit, on any processor with floats of IEEE 754. On a Cortex-M with GCC:

```console
arm-none-eabi-gcc -std=c99 -ffp-contract=off -Os -mcpu=cortex-m4 -mthumb -c network.c ir2_runtime.c
```

`make && ./example` runs the network on this machine, on one validation image (`image.h`).

## By step

| step | static memory in use | constants |
| --- | ---: | ---: |
{memory}
"""


def check_folder(folder: Path) -> None:
    """Check that a folder can be written: it is new, empty, or of an earlier export.

    Raises:
        InputError: it holds other files, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder for the C files")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / NETWORK).exists():
        raise InputError(f"{folder}: holds files but no {NETWORK}; choose another folder")


def write_c_folder(
    folder: Path, graph: Graph, spec: ImageSpec, example: NDArray[np.uint8], label: int, title: str
) -> CNetwork:
    """Write a network as C99 with all that is needed to run it.

    Args:
        folder: the folder, see `check_folder`.
        graph: the network.
        spec: its images and classes.
        example: an image, (channels, height, width).
        label: the class that the network gives this image.
        title: the first words of the files.
    """
    found = c_network(graph, spec, title)
    write_text(folder / HEADER, found.header)
    for name in RUNTIME:
        write_bytes(folder / name, (SOURCES / name).read_bytes())
    for name in EXAMPLE:
        write_bytes(folder / name, Path(__file__).with_name("c").joinpath(name).read_bytes())
    write_text(folder / "image.h", _image(example, label))
    write_text(folder / "README.md", _readme(found, spec, title))
    write_text(folder / NETWORK, found.source)
    return found


def _image(pixels: NDArray[np.uint8], label: int) -> str:
    rows = c_text.array("IMAGE", np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return (
        f"/* A validation image. */\n\n#include <stdint.h>\n\n"
        f"#define IMAGE_CLASS {label} /* of the trained network */\n\n{rows}"
    )


def _readme(network: CNetwork, spec: ImageSpec, title: str) -> str:
    memory, (channels, height, width) = network.memory, spec.image
    return _README.format(
        title=markdown(title),
        size=f"{height} x {width} x {channels}",
        order=", red, green, blue" if channels == 3 else "",
        last=len(spec.class_names) - 1,
        constants=text.size(memory.constant_bytes),
        code=text.size(CODE_BYTES),
        arena=f"{memory.ram_bytes:,} bytes",
        memory="\n".join(
            f"| {markdown(each.name)} | {each.ram_bytes:,} B | {each.flash_bytes:,} B |"
            for each in memory.steps
        ),
    )
