from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from background import Background, wait_for
from replay import ReplayExecutor, replaying
from safetensors.torch import load_file

import ir2search as ir
from ir2search.data import load_data
from ir2search.errors import InputError, RunError, SpaceError, StudyError, WeightsError
from ir2search.files import locked
from ir2search.search.ledger import RungResult
from ir2search.search.samplers.optuna_based import RungSampler
from ir2search.space import build, candidate_from_dict
from ir2search.study.loading import parse_study
from ir2search.training import EpochResult


def start(values: dict[str, Any], folder: Path, **options: Any) -> None:
    """Run a study without training; ``executor="local"`` trains."""
    options = {"executor": ReplayExecutor, **options}
    ir.run(parse_study(values, "a.toml"), folder, device="cpu", **options)


def numbers(folder: Path) -> pd.DataFrame:
    """All trials of a run, without the times."""
    return ir.trials(folder).drop(columns="seconds")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


class StopAfter(ir.RunObserver):
    """Sends Ctrl-C to this process at the n-th call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def on_trial(self, *arguments: object) -> None:
        self.tick()

    def on_epoch(self, *arguments: object) -> None:
        self.tick()

    def on_trial_end(self, *arguments: object) -> None:
        self.tick()

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe", "gp", "random", "grid"])
def test_every_sampler_trains_the_requested_number_of_different_candidates(
    quick: dict[str, Any], tmp_path: Path, sampler: str
) -> None:
    start({**quick, "sampler": sampler, "trials": 4}, tmp_path / "run")
    table = ir.trials(tmp_path / "run")
    trained = table[table["state"] == "trained"]
    assert len(trained) == 4
    assert trained["candidate_id"].is_unique
    assert trained["accuracy"].between(0, 1).all()


def test_a_study_may_be_given_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="did you mean 'digits'"):
        ir.run("digit", tmp_path / "run")
    with pytest.raises(InputError, match="uses the included digits"):
        ir.run("digits", tmp_path / "run", data=tmp_path / "nowhere")


class Killed(BaseException):
    """Ends a run like a kill: nothing more is written."""


@pytest.mark.parametrize("attribute", ["duplicate_of", "best_epoch"])
@pytest.mark.parametrize("rungs", [None, {"minimum": 1, "factor": 2}])
def test_a_trial_whose_driver_was_killed_before_recording_it_is_recorded_on_resume(
    quick: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attribute: str,
    rungs: dict[str, int] | None,
) -> None:
    """The kill comes after the trial's last attribute is written and before its end is."""
    quick["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}
    quick["space"]["taps"] = {"stem": [True, False]}  # without a fusion, taps make no difference
    quick |= {"rungs": rungs} if rungs else {}
    import optuna

    tell = optuna.Study.tell

    def kill(study: optuna.Study, trial: optuna.Trial, *arguments: Any, **named: Any) -> Any:
        if attribute in trial.user_attrs:
            raise Killed
        return tell(study, trial, *arguments, **named)

    monkeypatch.setattr(optuna.Study, "tell", kill)
    with pytest.raises(Killed):
        start(quick, tmp_path / "run")
    monkeypatch.undo()
    start(quick, tmp_path / "run")
    start(quick, tmp_path / "whole")
    trials = ir.Run.open(tmp_path / "run").storage.trials
    assert all(trial.state.is_finished() for trial in trials)
    pd.testing.assert_frame_equal(numbers(tmp_path / "run"), numbers(tmp_path / "whole"))


@pytest.mark.parametrize("attribute", ["seconds", "accuracy", "rung_orders", "rungs"])
def test_a_kill_between_two_attributes_of_a_result_changes_nothing(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str
) -> None:
    """The kill comes at the last rung, right after this attribute is written."""
    import optuna

    quick |= {"rungs": {"minimum": 1, "factor": 2}}
    write, last = optuna.Trial.set_user_attr, quick["recipe"]["epochs"]

    def kill(trial: optuna.Trial, key: str, value: Any) -> None:
        write(trial, key, value)
        if key == attribute and trial.user_attrs["target_epochs"] == last:
            raise Killed

    monkeypatch.setattr(optuna.Trial, "set_user_attr", kill)
    with pytest.raises(Killed):
        start(quick, tmp_path / "run")
    monkeypatch.undo()
    start(quick, tmp_path / "run")
    start(quick, tmp_path / "whole")
    pd.testing.assert_frame_equal(numbers(tmp_path / "run"), numbers(tmp_path / "whole"))


def test_a_sampler_learns_in_the_same_order_after_an_interruption(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proposals of TPE depend on the order. Trials reach a rung in another one than they begin."""
    learned: list[tuple[int, int]] = []

    def learn(sampler: RungSampler, result: RungResult) -> None:
        learned.append((result.level, result.number))

    monkeypatch.setattr(RungSampler, "learn", learn)
    quick["recipe"]["epochs"] = 4
    quick |= {"rungs": {"minimum": 1, "factor": 2}, "trials": 12, "sampler": "tpe"}
    start(quick, tmp_path / "whole")
    whole = learned.copy()
    assert sorted(whole) != sorted(whole, key=lambda each: each[0])
    with pytest.raises(KeyboardInterrupt):
        start(quick, tmp_path / "run", observer=StopAfter(50))
    learned.clear()
    start(quick, tmp_path / "run")
    assert learned == whole


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_a_kill_during_a_proposal_changes_no_candidate(
    quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    """The kill comes when only some of a trial's parameters are written."""
    import optuna

    quick |= {"sampler": sampler, "trials": 3}
    suggest, calls = optuna.Trial._suggest, itertools.count()

    def kill(trial: optuna.Trial, *arguments: Any) -> Any:
        if next(calls) == 2:  # of the five parameters of the first trial
            raise Killed
        return suggest(trial, *arguments)

    monkeypatch.setattr(optuna.Trial, "_suggest", kill)
    with pytest.raises(Killed):
        start(quick, tmp_path / "run")
    monkeypatch.undo()
    start(quick, tmp_path / "run")
    start(quick, tmp_path / "whole")
    assert ir.status(tmp_path / "run").counts["failed"] == 0
    lost = ir.trials(tmp_path / "run").query("state == 'turned down'")
    assert list(lost["outcome"]) == ["interrupted before it was proposed"]
    found, whole = (
        ir.trials(tmp_path / name).query("state == 'trained'").set_index("candidate_id")
        for name in ("run", "whole")
    )
    same = ["accuracy", "test_accuracy", "ops"]
    pd.testing.assert_frame_equal(found[same], whole[same])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_the_same_file_and_seed_give_the_same_candidates_and_numbers(
    quick: dict[str, Any], tmp_path: Path, sampler: str
) -> None:
    values = {**quick, "sampler": sampler}
    for name in ("one", "two"):
        start(values, tmp_path / name)
    pd.testing.assert_frame_equal(numbers(tmp_path / "one"), numbers(tmp_path / "two"))
    start({**values, "seed": 1}, tmp_path / "three")
    assert not numbers(tmp_path / "one")["accuracy"].equals(numbers(tmp_path / "three")["accuracy"])


@pytest.mark.parametrize("calls", [1, 2, 4, 9])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(
    quick: dict[str, Any], tmp_path: Path, calls: int
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        start(quick, folder, observer=StopAfter(calls))
    assert ir.status(folder).counts["trained"] < 5
    assert not list(folder.glob("trials/*/test.json")), "the test set is for the end"
    start(quick, folder)
    start(quick, tmp_path / "whole")
    pd.testing.assert_frame_equal(numbers(folder), numbers(tmp_path / "whole"))


def test_an_interrupted_training_ends_like_an_uninterrupted_one(
    quick: dict[str, Any], tmp_path: Path, finished_run: Path
) -> None:
    """With real trainings. The signal comes after the first epoch of the second trial."""
    with pytest.raises(KeyboardInterrupt):
        start(quick, tmp_path / "run", executor="local", observer=StopAfter(6))
    start(quick, tmp_path / "run", executor="local")
    pd.testing.assert_frame_equal(numbers(tmp_path / "run"), numbers(finished_run))


def test_a_killed_run_continues_and_ends_like_an_uninterrupted_one(
    begin: Callable[..., Background],
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
    write_study: Callable[[dict[str, Any]], Path],
) -> None:
    command = ("run", write_study(quick), "--runs", tmp_path, "--workers", "1", "--device", "cpu")
    folder = tmp_path / "quick"

    def curves() -> int:
        return len(list(folder.glob("trials/*/curve.jsonl")))

    for _ in range(2):
        before, run = curves(), begin(*command)
        wait_for(lambda before=before, run=run: curves() > before or run.poll() is not None)
        time.sleep(random.Random(before).uniform(0, 0.2))
        run.kill()
    done = begin(*command).ended()
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(
        trained_by_id(folder), trained_by_id(finished_run), check_dtype=False
    )


def trained_by_id(folder: Path) -> pd.DataFrame:
    """Compared by candidate, as a kill during a proposal uses up a trial number."""
    table = numbers(folder)
    trained = table[table["state"] == "trained"].set_index("candidate_id")
    return trained[["accuracy", "ops", "best_epoch", "epochs"]].sort_index()


def test_the_number_of_trials_can_be_raised_later(quick: dict[str, Any], tmp_path: Path) -> None:
    start({**quick, "trials": 2}, tmp_path / "run")
    assert ir.status(tmp_path / "run").counts["trained"] == 2
    start(quick, tmp_path / "run")
    start(quick, tmp_path / "whole")
    columns = ["candidate_id", "accuracy"]
    pd.testing.assert_frame_equal(
        numbers(tmp_path / "run")[columns], numbers(tmp_path / "whole")[columns]
    )


def test_duplicates_get_the_values_of_the_first_trial_and_are_not_trained(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    quick["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}
    quick["space"]["taps"] = {"stem": [True, False]}  # without a fusion, taps make no difference
    start(quick, tmp_path / "run")
    table = ir.trials(tmp_path / "run")
    assert (table["state"] == "trained").sum() == 2, "all that the space holds"
    duplicates = table[table["state"] == "duplicate"]
    assert len(duplicates) > 0
    assert not [n for n in duplicates["number"] if (tmp_path / f"run/trials/{n}").exists()]
    storage = ir.Run.open(tmp_path / "run").storage
    for row in duplicates.itertuples():
        original = storage.trials[int(row.duplicate_of)]  # type: ignore[arg-type]
        assert storage.trials[int(row.number)].values == original.values  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_candidate_over_the_budget_is_not_trained(
    quick: dict[str, Any], tmp_path: Path, sampler: str
) -> None:
    values = {**quick, "sampler": sampler, "trials": 4, "budget": {"ops": "2.5k"}}
    start(values, tmp_path / "run")
    table = ir.trials(tmp_path / "run")
    trained, refused = (table[table["state"] == state] for state in ("trained", "turned down"))
    assert len(trained) == 4
    assert (trained["ops"] <= 2500).all()
    assert len(refused) > 0
    assert refused["outcome"].str.fullmatch(r"over budget: ops \d+(\.\d+)? > 2500").all()
    assert not [n for n in refused["number"] if (tmp_path / f"run/trials/{n}").exists()]


def test_a_space_without_a_candidate_in_the_budget_is_refused_before_anything_is_written(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SpaceError, match=r"a\.toml: \[budget\] ops: .* nearest has \d+ OPs"):
        start({**quick, "budget": {"ops": 10}}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_trial_that_diverges_is_recorded_and_the_study_goes_on(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    quick["recipe"]["lr"] = 1e30
    quick["recipe"]["optimizer"] = "sgd"
    start({**quick, "trials": 2}, tmp_path / "run", executor="local")
    table = ir.trials(tmp_path / "run")
    assert ir.status(tmp_path / "run").counts["failed"] == 2
    failed = table[table["state"] == "failed"]
    assert failed["outcome"].str.startswith("diverged: the loss of epoch").all()
    assert ir.front(tmp_path / "run").empty


def test_a_trial_that_runs_out_of_memory_is_recorded_and_the_study_goes_on(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    def too_large(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
        if candidate.width == 0.25:
            torch.empty(2**50)
        return [0.5] * epochs

    quick["space"] = {"depth": 8, "width": [0.125, 0.25], "threshold": 0.0, "fusion": "none"}
    start({**quick, "trials": 2}, tmp_path / "run", executor=replaying(curve=too_large))
    table = ir.trials(tmp_path / "run")
    failed = table[table["state"] == "failed"]
    assert len(failed) == 1
    assert failed["outcome"].iloc[0].startswith("out of memory")
    assert (table["state"] == "trained").sum() == 1


def test_optuna_gets_the_values_of_all_five_objectives(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    objectives = ["ops", "accuracy", "memory", "flops", "bops"]
    start({**quick, "trials": 3, "objectives": objectives}, tmp_path / "run")
    storage = ir.Run.open(tmp_path / "run").storage
    directions = [direction.name for direction in storage.directions]
    assert directions == ["MINIMIZE", "MAXIMIZE", "MINIMIZE", "MINIMIZE", "MINIMIZE"]
    table = ir.trials(tmp_path / "run").query("state == 'trained'").set_index("number")
    columns = ["ops", "accuracy", "memory_bytes", "flops", "bops"]
    for number, row in table[columns].iterrows():
        assert storage.trials[number].values == [float(value) for value in row]  # type: ignore[index]
    assert set(ir.front(tmp_path / "run")["number"]) <= set(table.index)


def test_the_files_of_a_trial_can_be_read_without_this_package(finished_run: Path) -> None:
    folder = finished_run / "trials" / "0"
    candidate = candidate_from_dict(json.loads((folder / "candidate.json").read_text()))
    price = json.loads((folder / "cost.json").read_text())
    assert price["ops"] == ir.cost(candidate).ops
    curve = pd.read_json(folder / "curve.jsonl", lines=True, precise_float=True)
    assert list(curve["epoch"]) == [1, 2]
    assert ir.trials(finished_run).loc[0, "accuracy"] == curve["validation_accuracy"].max()
    assert set(load_file(folder / "best.safetensors")) == set(build(candidate).state_dict())
    session = json.loads((finished_run / "environment.json").read_text())["sessions"][0]
    assert session["seed"] == 0
    assert session["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_only_the_front_is_measured_on_the_test_images(
    quick: dict[str, Any], finished_run: Path, tmp_path: Path
) -> None:
    table, front = ir.trials(finished_run), ir.front(finished_run)
    tested = table.loc[table["test_accuracy"].notna(), "number"]
    assert set(tested) == set(front["number"])
    study = ir.load_study(finished_run / "study.toml")
    data = load_data(study.data, None, tmp_path, study.seed)
    test = data.read_test()
    for row in front.itertuples():
        folder = finished_run / "trials" / str(row.number)
        network = build(candidate_from_dict(json.loads((folder / "candidate.json").read_text())))
        network.load_state_dict(load_file(folder / "best.safetensors"))
        network.eval()
        with torch.no_grad():
            predicted = network(data.normalise(test.images)).argmax(dim=1)
        assert row.test_accuracy == (predicted == test.labels).double().mean().item()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 7},
        {"sampler": "tpe"},
        {"objectives": ["accuracy", "memory"]},
        {"budget": {"ops": "1M"}},
        {"space": {"depth": 14}},
    ],
    ids=str,
)
def test_a_folder_made_by_another_study_file_is_refused_and_left_as_it_is(
    quick: dict[str, Any], finished_run: Path, change: dict[str, Any]
) -> None:
    before = contents(finished_run)
    field = next(iter(change))
    with pytest.raises(RunError, match=rf"quick: made by another study file: \[?{field}"):
        start({**quick, **change}, finished_run)
    assert contents(finished_run) == before


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"holds files but no study\.toml"):
        start(quick, tmp_path)
    assert set(contents(tmp_path)) == {"thesis.tex"}


def test_what_a_killed_process_left_of_a_first_file_does_not_block_the_folder(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / ".01234567.study.toml").write_text("name = ")
    start({**quick, "trials": 1}, tmp_path)
    assert ir.status(tmp_path).counts["trained"] == 1


def test_two_processes_cannot_run_the_same_study(quick: dict[str, Any], tmp_path: Path) -> None:
    start({**quick, "trials": 1}, tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from ir2search.files import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(RunError, match="another process works in it"):
            start(quick, tmp_path / "run")
        assert holder.stdin is not None
        holder.stdin.close()
    with locked(tmp_path / "run"):
        pass


@pytest.mark.parametrize("content", [b"", b"not a journal at all\n" * 100])
def test_a_corrupt_storage_is_named_and_kept(
    quick: dict[str, Any], tmp_path: Path, content: bytes
) -> None:
    start({**quick, "trials": 1}, tmp_path / "run")
    (tmp_path / "run" / "study.journal").write_bytes(content)
    message = r"study\.journal: damaged" if content else "has not started any trial yet"
    with pytest.raises(RunError, match=message):
        ir.status(tmp_path / "run")
    if content:
        assert (tmp_path / "run" / "study.journal").read_bytes() == content


def test_extensions_of_the_paper_can_be_searched(quick: dict[str, Any], tmp_path: Path) -> None:
    quick["space"] = {
        "depth": 8,
        "width": 0.125,
        "estimator": ["polynomial", "straight-through", "tanh"],
        "weight_estimator": ["straight-through", "tanh"],
        "shift": [True, False],
        "standardise": [True, False],
        "activation": ["hardtanh", "prelu", "rprelu"],
    }
    quick["recipe"]["epochs"] = 1
    start({**quick, "trials": 4}, tmp_path / "run", executor="local")
    table = ir.trials(tmp_path / "run").query("state == 'trained'")
    assert len(table) == 4
    for name in ("estimator", "weight_estimator", "shift", "standardise", "activation"):
        assert table[name].nunique() > 1


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("backbone", "depth"), [("cifar-basic-resnet", 18), ("cifar-vgg", 7), ("imagenet-resnet", 18)]
)
def test_every_family_can_be_searched_and_analysed(
    quick: dict[str, Any], tmp_path: Path, backbone: str, depth: int
) -> None:
    quick["space"] = {"backbone": backbone, "width": 0.03, "threshold": [0.0, 0.9]}
    quick["data"] |= {"size": 32, "validation": 0.9}
    quick["recipe"]["epochs"] = 1
    start({**quick, "trials": 1}, tmp_path / "run", executor="local")
    assert set(ir.trials(tmp_path / "run")["depth"]) == {depth}
    methods = ("conductance", "grad_cam")
    layers = None if backbone == "cifar-vgg" else ["stem", "stage1", "stage4", "recovery"]
    found = ir.analyze(
        tmp_path / "run", images=4, layers=layers, methods=methods, device="cpu"
    ).table
    shares = found[found["measure"] == "kept share"]["value"]
    assert len(shares)
    assert shares.between(0, 1).all()
    gaps = found[(found["measure"] == "completeness gap") & (found["method"] == "conductance")]
    assert gaps[gaps["network"] == "binary"]["value"].iloc[-1] < 1e-3


def test_a_missing_teacher_is_found_before_anything_is_written(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    quick["recipe"]["distillation"] = {"teacher": "cifar-resnet20", "weights": "none.pth"}
    with pytest.raises(WeightsError, match=r"none\.pth: no such file"):
        start(quick, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_observer_is_told_of_every_epoch(quick: dict[str, Any], tmp_path: Path) -> None:
    class Listener(ir.RunObserver):
        epochs: list[tuple[int, int]] = []  # noqa: RUF012

        def on_epoch(self, number: int, result: EpochResult) -> None:
            self.epochs.append((number, result.epoch))

    listener = Listener()
    start({**quick, "trials": 2}, tmp_path / "run", observer=listener)
    trained = ir.trials(tmp_path / "run").query("state == 'trained'")["number"]
    assert listener.epochs == [(number, epoch) for number in trained for epoch in (1, 2)]
