"""The `ir2search` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ir2search.errors import InputError, IR2SearchError


class _Commands(TyperGroup):
    """Turns what people can mend into one sentence on stderr.

    Exit codes: 2 for wrong input, 130 for Ctrl-C, 1 for all else.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            _complain(str(error))
            raise typer.Exit(2) from None
        except BrokenPipeError:
            raise  # typer knows what to do with `| head`
        except OSError as error:
            _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            raise typer.Exit(1) from None
        except IR2SearchError as error:
            _complain(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _complain("stopped; run the same command again to go on")
            raise typer.Exit(130) from None


def _complain(sentence: str) -> None:
    typer.echo(f"ir2search: {sentence}", err=True)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which binary network gives the most accuracy for what a device can afford?",
    epilog="A first study, on data that comes along:  ir2search run digits",
)

Folder = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/digits.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder of images: parquet, CIFAR-10 binary batches, or split/class/*."),
]
Device = Annotated[str, typer.Option(help="auto (the first GPU, else the CPU), cpu, cuda, cuda:1.")]
Devices = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda, or several as cuda:0,cuda:1.")
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Train so many candidates at once, each in a process of its own."),
]
TrialsPerDevice = Annotated[
    int | None, typer.Option(min=1, help="In place of --workers: so many on each device.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def main() -> None:
    """Entry point."""
    app()


@app.callback()
def _root() -> None:
    pass


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study file, or the name of a shipped study.")],
    runs: Annotated[
        Path, typer.Option(help="Folder of all runs; nothing is written elsewhere.")
    ] = (Path("runs")),
    data: Data = None,
    device: Devices = "auto",
    trials: Annotated[
        int | None, typer.Option(min=1, help="Train so many candidates, whatever the file says.")
    ] = None,
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Train on this machine, or on a Ray cluster.")
    ] = "local",
    address: Annotated[str, typer.Option(help="The Ray cluster: auto or HOST:PORT.")] = "auto",
    storage: Annotated[
        str | None,
        typer.Option(
            help="Keep the trials in a journal, or on postgresql+psycopg://USER@HOST/DATABASE or "
            "grpc://HOST:PORT, for several drivers; SQLite in the run's folder if left out."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a study, or go on with it.

    Candidates are trained on the training images and ranked on validation images; test images
    are read once, for the front, at the end. Ctrl-C ends cleanly; run it again to go on.

    \b
    Examples:
      ir2search run digits
      ir2search run cifar10 --data cifar10/ --device cuda
      ir2search run my-study.toml --runs /scratch/runs --trials 100
      ir2search run my-study.toml --device cuda:0,cuda:1 --trials-per-device 4
      ir2search run my-study.toml --engine ray --address head:6379
      ir2search run my-study.toml --storage postgresql+psycopg://me@db/studies
    """
    from ir2search.cli.progress import RunProgress
    from ir2search.cli.show import show_status
    from ir2search.search import load_study
    from ir2search.search import run as run_study

    asked = load_study(study)
    if trials is not None:
        asked = asked.model_copy(update={"trials": trials})
    with RunProgress() as progress:
        result = run_study(
            asked,
            runs / asked.name,
            data=data,
            device=device,
            workers=workers,
            trials_per_device=trials_per_device,
            engine=engine,
            address=address,
            storage=storage,
            observer=progress,
        )
    show_status(result, as_json)


@app.command()
def worker(
    folder: Folder,
    data: Data = None,
    device: Devices = "auto",
    workers: Workers = None,
    trials_per_device: TrialsPerDevice = None,
    storage: Annotated[
        str | None, typer.Option(help="The run's storage again, where it needs a password.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Work on a run that was begun with --storage, from this machine too.

    The run's folder has to be one that all machines share, such as on NFS.

    \b
    Examples:
      ir2search worker /shared/runs/my-study
      srun --ntasks 8 ir2search worker /shared/runs/my-study --device cuda
    """
    from ir2search.cli.progress import RunProgress
    from ir2search.cli.show import show_status
    from ir2search.search import join

    with RunProgress() as progress:
        result = join(
            folder,
            data=data,
            device=device,
            workers=workers,
            trials_per_device=trials_per_device,
            storage=storage,
            observer=progress,
        )
    show_status(result, as_json)


@app.command()
def status(folder: Folder, as_json: Json = False) -> None:
    """How far a run is, and its front so far.

    \b
    Examples:
      ir2search status runs/digits
      ir2search status runs/digits --json | jq '.front[0].candidate_id'
    """
    from ir2search.cli.show import show_status
    from ir2search.search import status as run_status

    show_status(run_status(folder), as_json)


@app.command()
def report(folder: Folder) -> None:
    """Write a run's report: a page, figures and tables.

    Makes report/index.html (one file, works offline), report/trials.parquet, report/front.csv
    and report/figures/*.png and *.svg in the run's folder, and prints where the page is.

    \b
    Examples:
      ir2search report runs/digits
    """
    from ir2search.report import write_report

    typer.echo(write_report(folder))


@app.command()
def analyze(
    what: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder; or, with --weights, a network.")
    ],
    trial: Annotated[str, typer.Option(help="best, knee, front, or a trial's number.")] = "best",
    layers: Annotated[
        str | None, typer.Option(help="Of which layers: stem,stage2.1,stage3; all if left out.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Of attribution, by comma; the quick ones if left out.")
    ] = None,
    images: Annotated[int, typer.Option(help="How many validation images to measure on.")] = 256,
    memory: Annotated[int, typer.Option(help="MiB that activations may take at once.")] = 2048,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a preset or candidate.json, in place of a run.")
    ] = None,
    twin_weights: Annotated[
        Path | None, typer.Option(help="Those of the same network without binarisation.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --weights: where to write; runs/analyze-NAME.")
    ] = None,
    data: Data = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure layer by layer where a trained network loses information.

    Trains the full-precision twin and the network without recovery, once, to compare with. Writes
    information.parquet (every number), layers.csv and figures to trials/<number>/information in
    the run's folder. Methods: integrated_gradients, conductance, gradient_x_activation, grad_cam,
    deeplift, feature_ablation, occlusion.

    \b
    Examples:
      ir2search analyze runs/digits
      ir2search analyze runs/digits --trial front --images 128
      ir2search analyze runs/digits --layers stage2,stage3.0 --methods deeplift,occlusion
      ir2search analyze cifar-resnet20 --weights best.safetensors --data cifar10/
    """
    from ir2search.cli.progress import analysis_progress
    from ir2search.cli.show import show_analyses
    from ir2search.report import analyze_trials, analyze_weights

    asked: dict[str, Any] = {
        "data": data,
        "images": images,
        "layers": layers and layers.split(","),
        "methods": methods and methods.split(","),
        "memory": memory,
        "device": device,
    }
    with analysis_progress() as on_step:
        if weights is None:
            found = analyze_trials(what, trial, **asked, on_step=on_step)
        else:
            folder = out or Path("runs") / f"analyze-{Path(what).stem}"
            asked |= {"twin_weights": twin_weights, "on_step": on_step}
            found = [analyze_weights(what, weights, folder, **asked)]
    show_analyses(found, as_json)


@app.command()
def cost(
    what: Annotated[str, typer.Argument(help="A preset, a candidate.json, or a trial's folder.")],
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the layers as CSV.")] = False,
) -> None:
    """Count a network's operations, parameters and memory, by layer and in total.

    \b
    Examples:
      ir2search cost cifar-resnet20
      ir2search cost runs/digits/trials/3
      ir2search cost candidate.json --json | jq .ops
      ir2search cost imagenet-resnet18-D --csv > layers.csv
    """
    from ir2search.cli.show import show_cost
    from ir2search.costs import cost as candidate_cost
    from ir2search.zoo import named_candidate

    show_cost(candidate_cost(named_candidate(what)), what, as_json, as_csv)


@app.command()
def train(
    what: Annotated[str, typer.Argument(help="A preset, a candidate.json, or a trial's folder.")],
    data: Data = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of each stage, in place of the recipe's.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A preset's name, or that and -short; its own if left out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The network's folder; runs/train-NAME if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train one network, or go on with it, and measure it on the test images.

    Writes curve.jsonl, best.safetensors, candidate.json, cost.json and environment.json to its
    folder. Without --data it learns the digits that come along. Ctrl-C ends cleanly; run it again
    to go on.

    \b
    Examples:
      ir2search train cifar-resnet20 --data cifar10/ --epochs 30
      ir2search train cifar-resnet20 --recipe cifar-resnet20-short
      ir2search train runs/digits/trials/3 --epochs 100 --out runs/longer --device cuda
    """
    from ir2search.cli.progress import TrainingProgress
    from ir2search.cli.show import show_training
    from ir2search.interrupts import deferred_interrupts
    from ir2search.training import Interrupted, train_network

    folder = out or Path("runs") / f"train-{Path(what).stem}"
    try:
        with TrainingProgress() as progress, deferred_interrupts() as should_stop:
            trained = train_network(
                what,
                folder,
                data=data,
                recipe=recipe,
                epochs=epochs,
                seed=seed,
                device=device,
                on_start=progress.on_start,
                on_epoch=progress.on_epoch,
                on_step=progress.on_step,
                should_stop=should_stop,
            )
    except Interrupted:
        raise KeyboardInterrupt from None
    show_training(trained, as_json)


@app.command()
def evaluate(
    preset: Annotated[str, typer.Option(help="Which network, by its name.")],
    weights: Annotated[Path, typer.Option(help="The authors' weights: .safetensors, .pth, .th.")],
    data: Annotated[Path, typer.Option(help="Folder of images, of which the test split is read.")],
    device: Device = "auto",
    runs: Annotated[Path, typer.Option(help="Decoded images are cached in this folder.")] = (
        Path("runs")
    ),
    as_json: Json = False,
) -> None:
    """Measure the paper's released weights on a test set.

    A checkpoint is read as weights only: no code in it can run.

    \b
    Examples:
      ir2search evaluate --preset cifar-resnet20 --weights resnet20.th --data cifar10/
    """
    from ir2search.cli.show import show_evaluation
    from ir2search.released import evaluate_released

    show_evaluation(evaluate_released(preset, weights, data, runs / ".cache", device), as_json)


@app.command()
def studies(as_json: Json = False) -> None:
    """List the studies that come along.

    \b
    Examples:
      ir2search studies
    """
    from ir2search.cli.show import show_studies
    from ir2search.search import shipped_studies

    show_studies(shipped_studies(), as_json)


if __name__ == "__main__":
    main()
