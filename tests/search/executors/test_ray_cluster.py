from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ir2search as ir
from ir2search.errors import RunError
from ir2search.runs.layout import CLUSTER_MARK
from ir2search.search.executors import ExecutorSettings, ray_cluster
from ir2search.study.loading import parse_study

# Ray reads these on import. Without the first one it replaces 127.0.0.1 by the machine's address.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's default is 15
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A real cluster on 127.0.0.1: a head that trains nothing, and two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 0, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=arguments)
    for _ in range(2):
        started.add_node(**NODE)
    yield started
    ray.shutdown()
    started.shutdown()


NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}


class Faults(ir.RunObserver):
    """Removes a node during a training, and adds another one if it is asked to."""

    def __init__(self, nodes: Any, adds: bool) -> None:
        self.nodes, self.adds, self.epochs = nodes, adds, 0

    def on_epoch(self, *_: object) -> None:
        self.epochs += 1
        if self.epochs == 2:
            self.nodes.remove_node(sorted(self.nodes.worker_nodes, key=str)[0])
            if self.adds:
                self.nodes.add_node(**NODE)


class Unseen(ray_cluster.RayExecutor):
    """An executor whose nodes do not see the run's folder."""

    def __init__(self, settings: ExecutorSettings, address: str) -> None:
        super().__init__(settings, address)
        self._token = f"{self._token} of another folder"


@pytest.mark.slow
@pytest.mark.xdist_group("ray")  # one cluster
@pytest.mark.parametrize("sees", [True, False], ids=["shared folder", "object store"])
def test_trainings_of_a_lost_node_continue_on_another(
    quick: dict[str, Any],
    tmp_path: Path,
    nodes: Any,
    finished_run: Path,
    sees: bool,
    same: Callable[[Path, Path], None],
) -> None:
    study = parse_study({**quick, "confirm": {"seeds": 1}}, "a.toml")
    faults = Faults(nodes, adds=sees)
    ir.run(
        study,
        tmp_path / "run",
        device="cpu",
        executor="ray" if sees else partial(Unseen, address=nodes.address),
        address=nodes.address,
        observer=faults,
    )
    assert faults.epochs >= 2
    same(tmp_path / "run", finished_run)
    for row in ir.front(tmp_path / "run").itertuples():
        assert len(row.seed_test_accuracies) == 2
        assert (tmp_path / f"run/trials/{row.number}/best.safetensors").exists()
    assert not (tmp_path / "run" / CLUSTER_MARK).exists()


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_node_that_does_not_see_the_folder_gets_the_supernet(
    quick: dict[str, Any], tmp_path: Path, nodes: Any
) -> None:
    study = parse_study({**quick, "supernet": {"epochs": 1, "calibration": 128}}, "a.toml")
    ir.run(study, tmp_path / "here", device="cpu")
    unseen = partial(Unseen, address=nodes.address)
    ir.run(study, tmp_path / "there", device="cpu", executor=unseen, address=nodes.address)
    there, here = (ir.trials(tmp_path / name).drop(columns="seconds") for name in ("there", "here"))
    pd.testing.assert_frame_equal(there, here)
    for row in ir.front(tmp_path / "there").itertuples():
        assert (tmp_path / f"there/trials/{row.number}/best.safetensors").exists()


def test_the_files_of_a_training_are_sent_without_those_of_further_seeds(tmp_path: Path) -> None:
    trial = tmp_path / "seeds" / "run" / "trials" / "3"
    for folder in (trial, trial / "seeds" / "1"):
        folder.mkdir(parents=True)
        (folder / "last.safetensors").write_bytes(folder.name.encode())
    assert ray_cluster.read_files(trial) == {"last.safetensors": b"3"}
    assert ray_cluster.read_files(trial / "seeds" / "1") == {"last.safetensors": b"1"}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "address 'nonsense': must be auto or HOST:PORT"),
        ("127.0.0.1:1", "address '127.0.0.1:1': no Ray cluster answers there .*refused"),
    ],
)
def test_an_address_without_a_cluster_is_named(
    quick: dict[str, Any], tmp_path: Path, address: str, message: str
) -> None:
    study = parse_study(quick, "a.toml")
    with pytest.raises(RunError, match=message):
        ir.run(study, tmp_path / "run", device="cpu", executor="ray", address=address)


def test_ray_and_a_number_of_workers_exclude_each_other(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="workers and trials_per_device: do not apply"):
        ir.run(parse_study(quick, "a.toml"), tmp_path / "run", executor="ray", workers=2)
