"""Run a study again, from what a run recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ir2search.errors import RunError
from ir2search.extensions import check_trusted
from ir2search.runs.run import Run
from ir2search.runs.status import RunStatus
from ir2search.search.session import run as run_study


def rerun(
    run: Run | str | Path,
    folder: str | Path | None = None,
    *,
    seed: int | None = None,
    data: str | Path | None = None,
    **options: Any,
) -> RunStatus:
    """Run the study of a run again in another folder, or continue that.

    With the same seed it tries the same candidates, and on a CPU of the same kind it gives the same
    accuracies. Measured latencies differ, and so may what a search by latency finds; the candidates
    of a run on a shared storage depend on the order in which its trainings ended.

    Args:
        run: the run, which is not changed.
        folder: of the new run; by default see `rerun_folder`.
        seed: seed of the study; None for that of the run. Another seed also splits the images into
            training and validation images in another way.
        data: folder of the images, if they have moved.
        options: further arguments of `run`, such as ``device``, ``workers`` and ``observer``.

    Raises:
        RunError: there is no run, or the images differ from those of the run.
        InputError: as for `run`.
        KeyboardInterrupt: the user asked to stop; the same call continues.
    """
    run = Run.of(run)
    target = rerun_folder(run, seed) if folder is None else Path(folder)
    if target.resolve() == run.folder.resolve():
        raise RunError(f"{target}: is the run itself; choose another folder")
    check_trusted(run.folder, run.study.modules)
    run.data(data)  # raises an error if these are other images
    changes = {
        "seed": run.study.seed if seed is None else seed,
        "parallel": run.parallel,  # on it depends what the sampler has seen
    }
    study = run.study.model_copy(update=changes)
    return run_study(study, target, data=data, **options)


def rerun_folder(run: Run, seed: int | None) -> Path:
    """The folder ``NAME-rerun`` or ``NAME-seed-N`` beside a run."""
    ending = "rerun" if seed in (None, run.study.seed) else f"seed-{seed}"
    return run.folder.with_name(f"{run.folder.resolve().name}-{ending}")
