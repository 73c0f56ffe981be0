"""What do networks take on microcontrollers: flash, RAM, and instructions by layer?

Exports the trained networks of the package as C, compiles them and runs one image on emulated
boards (QEMU) with Cortex-M3, M4 and M7. An instruction is not a cycle: a real board also waits for
memory. Then exports small untrained networks, writes their instructions as milliseconds at 100
million instructions a second, and fits them as `ir2search latency --import` does. Writes tables and
a figure of the memory in use over the schedule of a network.

    PYTHONPATH=tests python tests/benchmarks/boards.py [--out runs/boards]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from emulators import CORTEX_M3, CORTEX_M4, CORTEX_M7, Machine, run, sizes
from matplotlib.figure import Figure

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.export.c_folder import write_c_folder
from ir2search.export.c_source import CNetwork
from ir2search.export.device import step_names
from ir2search.files import write_json
from ir2search.latency import fit_board
from ir2search.latency.board import operation_counts
from ir2search.plots import save
from ir2search.runtime import Graph, ImageSpec, read_image_spec, read_packed
from ir2search.runtime.lowering import MICROCONTROLLER
from ir2search.runtime.program import make_program
from ir2search.zoo import shipped_networks

BOARDS = (CORTEX_M3, CORTEX_M4, CORTEX_M7)
FITTED = (CORTEX_M3, CORTEX_M4)
PER_MILLISECOND = 1e5  # instructions
SMALL = ir.Candidate(image=(1, 16, 16))
SHOWN = "cifar10-resnet20"  # its layers and its memory


def measure(graph: Graph, spec: ImageSpec, machine: Machine) -> tuple[CNetwork, dict[str, object]]:
    """Export a network and run one image; its sizes, and its instructions by step."""
    folder = Path(tempfile.mkdtemp())
    try:
        image = np.random.default_rng(0).integers(0, 256, (1, *spec.image), dtype=np.uint8)
        network = write_c_folder(folder, graph, spec, image[0], 0, "network")
        found = sizes(folder, machine)
        steps = run(folder, image, machine).instructions
    finally:
        shutil.rmtree(folder)
    return network, {"flash": found["text"], "ram": found["bss"], "steps": steps}


def shipped() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row for each network and board, and a row for each step of SHOWN."""
    rows, layers = [], {}
    for each in shipped_networks():
        graph, spec = read_packed(each.packed), read_image_spec(each.packed)
        for machine in BOARDS:
            network, found = measure(graph, spec, machine)
            steps = found.pop("steps")
            rows.append({"network": each.name, "board": machine.name, **found})
            rows[-1]["instructions"] = sum(steps)
            if each.name == SHOWN:
                layers |= {
                    "step": [step.name for step in network.memory.steps],
                    machine.name: steps,
                }
                layers["memory"] = [step.ram_bytes for step in network.memory.steps]
    return pd.DataFrame(rows), pd.DataFrame(layers)


def small_networks() -> Iterable[ir.Candidate]:
    """Networks of many depths, widths, fusions and activations."""
    for depth, width, fusion, activation in product(
        (8, 14, 20), (0.25, 0.5, 1.0), ("none", "compact"), ("hardtanh", "rprelu")
    ):
        yield replace(SMALL, depth=depth, width=width, fusion=fusion, activation=activation)


def fitted(out: Path) -> pd.DataFrame:
    """What operations take on each board, from small networks; their times are written to out."""
    spec = ImageSpec("x", SMALL.image, (0.5,), (0.5,), tuple("0123456789"))
    counted, prices = [], []
    for machine in FITTED:
        lines = []
        for candidate in small_networks():
            _, found = measure(candidate_graph(candidate), spec, machine)
            write_json(out / "networks" / f"{candidate.id}.json", candidate.as_dict())
            counted.append(
                {"network": candidate.id, "board": machine.name, **operation_counts(candidate)}
            )
            counted[-1]["instructions"] = sum(found["steps"])
            time = counted[-1]["instructions"] / PER_MILLISECOND
            lines.append(f"{out}/networks/{candidate.id}.json,{time}")
        file = out / f"{machine.name.lower()}.csv"
        file.write_text("network,milliseconds\n" + "\n".join(lines) + "\n")
        fit = fit_board(file)
        prices.append({"board": machine.name, **fit.as_dict().pop("board")})
        prices[-1] |= {name: value for name, value in vars(fit).items() if name != "board"}
    pd.DataFrame(counted).to_csv(out / "small_networks.csv", index=False)
    return pd.DataFrame(prices)


def memory_in_use() -> pd.DataFrame:
    """Bytes of the static memory of SHOWN that are in use over its schedule, row by row or not."""
    graph = read_packed(next(each.packed for each in shipped_networks() if each.name == SHOWN))
    step_by_step = replace(MICROCONTROLLER, is_microcontroller=False)
    tables = []
    for schedule, target in (("row by row", MICROCONTROLLER), ("step by step", step_by_step)):
        program = make_program(graph, target)
        names = step_names(graph, program)
        table = pd.DataFrame([vars(rows) for rows in program.order])
        table["step"] = table["step"].map(dict(enumerate(names)))
        tables.append(table.assign(bytes=program.live_bytes(), schedule=schedule))
    return pd.concat(tables, ignore_index=True)


def draw(memory: pd.DataFrame) -> Figure:
    """Bytes in use from the first to the last call of each schedule."""
    figure = Figure(figsize=(7.0, 2.8))
    ax = figure.subplots()
    for name, table in memory.groupby("schedule"):
        done = np.linspace(0, 100, len(table))
        ax.step(done, table["bytes"] / 1000, where="post", label=name)
    ax.set_xlabel("calls done (%)")
    ax.set_ylabel("memory in use (kB)")
    ax.set_ylim(bottom=0)
    ax.legend()
    return figure


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/boards"))
    out = parser.parse_args().out
    (out / "networks").mkdir(parents=True, exist_ok=True)
    table, layers = shipped()
    table.to_csv(out / "networks.csv", index=False)
    layers.to_csv(out / "layers.csv", index=False)
    memory = memory_in_use()
    memory.to_csv(out / "memory.csv", index=False)
    save(partial(draw, memory), out / "memory")
    print(table.to_string(index=False))
    print(f"\nby step of {SHOWN}: instructions, and bytes in use\n{layers.to_string(index=False)}")
    print(f"\nfitted to small networks\n{fitted(out).round(3).to_string(index=False)}")


if __name__ == "__main__":
    main()
