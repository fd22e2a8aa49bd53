"""What stops a run, checked before images are read where possible, and after every few steps.

Each check raises a refusal that says where, what was found and what would help. No check changes a file.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from piq_bench.errors import BadDataset, BadUsage, Problem, first_few, printable
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.records import NO_IDENTITY, Benchmark, IntArray, Task
from reference_model.checkpoint import FILE, Checkpoint, load
from reference_model.config import Configuration, Sampling, differences
from reference_model.heads import build_backbone
from reference_model.processes import n_processes
from reference_model.trainer import Trainer
from reference_model.weights import WrongCheckpoint, load_backbone

LOWER_RATE = "a lower schedule.base_rate; the checkpoint holds the last epoch before"


def require_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that cannot be written to, or that holds a run when none is to be resumed."""
    if (folder / FILE).exists() and not resume:
        remedy = "--resume to go on with it, or another folder"
        raise BadUsage(str(folder), [Problem("has-a-run", FILE, "the folder holds a run", remedy)])
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        found = f"{printable(existing)} is no folder that can be written to"
        raise BadUsage(str(folder), [Problem("unwritable", "--out", found, "another folder")])


def require_start(
    benchmark: Benchmark, configuration: Configuration, folder: Path, weights: Path | None, *, resume: bool
) -> None:
    """Refuse to resume another run than the one in the folder, or to start from weights that do not fit."""
    if resume and (folder / FILE).exists():
        require_same_run(load(folder / FILE), configuration, fingerprint(benchmark), None, folder / FILE)
    elif weights is not None:
        load_backbone(build_backbone(configuration), weights)


def require_same_weights(folders: Collection[Path]) -> None:
    """Refuse to start the remaining single-task models without the weights that the finished ones started from."""
    found = [load(folder / FILE) for folder in folders if (folder / FILE).exists()]
    names = {str(state.facts["weights"]) for state in found if "weights" in state.facts}
    if names and not all((folder / FILE).exists() for folder in folders):
        what = f"models that are left to train started from {first_few(sorted(names), len(names))} as well"
        raise BadUsage("weights", [Problem("no-weights", "--weights", what, "give it again")])


def require_same_run(
    state: Checkpoint, configuration: Configuration, data: str, n_classes: Mapping[str, int] | None, path: Path
) -> None:
    """Refuse to resume with another configuration, data of another fingerprint, or other numbers of classes.

    Args:
        state: the checkpoint to resume.
        configuration: configuration of the run that resumes it.
        data: fingerprint of the benchmark.
        n_classes: number of classes by task; None before the images are read.
        path: file of the checkpoint, named in the refusal.

    Raises:
        WrongCheckpoint: if it is another run.
    """
    problems = []
    other = differences(state.configuration, configuration)
    if other:
        found = f"the run has another {first_few(other, len(other))}"
        problems.append(Problem("other-configuration", "configuration", found, "resume it as it was started"))
    if state.fingerprint != data or dict(state.n_classes) != dict(n_classes or state.n_classes):
        problems.append(Problem("other-data", "dataset", "the run is of other data", "resume it with its data set"))
    if problems:
        raise WrongCheckpoint(str(path), problems)


def require_annotations(benchmark: Benchmark, tasks: Sequence[Task], unknown: Sequence[str]) -> None:
    """Refuse a data set without an annotation for any task to learn.

    Args:
        benchmark: the benchmark, named in the refusal.
        tasks: the tasks to learn.
        unknown: names of those for which no training image is annotated.
    """
    if len(unknown) == len(tasks):
        found = f"no training image is annotated for {first_few(unknown, len(unknown))}"
        remedy = "annotate some, or train another preset"
        raise BadDataset(benchmark.name, [Problem("nothing-to-learn", "annotations", found, remedy)])


def require_equal_parts(batch_size: int) -> None:
    """Refuse batches of which each process gets less than two images: batch normalisation needs a spread."""
    n_parts = n_processes()
    if batch_size % n_parts or batch_size < 2 * n_parts:
        found = f"a batch of {batch_size} and {n_parts} processes: each takes an equal part of at least 2 images"
        remedy = f"such as --set sampling.batch_size={max(2, round(batch_size / n_parts)) * n_parts}"
        raise BadUsage("configuration", [Problem("bad-sampling", "sampling", found, remedy)])


def require_no_graphs(configuration: Configuration) -> None:
    """Refuse CUDA graphs for several processes."""
    if configuration.graphs and n_processes() > 1:
        found = f"{n_processes()} processes, for which CUDA graphs were never tested"
        raise BadUsage("configuration", [Problem("no-graphs", "graphs", found, "--set graphs=false, or one process")])


def bad_sampling(sampling: Sampling, identity: IntArray, error: ValueError) -> BadUsage:
    """The refusal of a sampler that cannot form a batch of these images.

    Args:
        sampling: how batches are formed.
        identity: shape (n_fitted,), NO_IDENTITY where unidentified.
        error: what the sampler raised.
    """
    known, change = identity != NO_IDENTITY, f"batch_size={max(2, sampling.batch_size // 2)}"
    if sampling.kind != "random" and not known.any():
        change = "kind=random"
    elif sampling.kind == "shuffle" and known.all():
        change = "kind=pk"
    remedy = f"such as --set sampling.{change}"
    return BadUsage("configuration", [Problem("bad-sampling", "sampling", str(error), remedy)])


def require_finite_losses(total: Tensor, losses: Tensor, tasks: Sequence[Task], epoch: int) -> None:
    """Stop before weights that are lost replace good ones in the checkpoint.

    Args:
        total: shape (), sum over the epoch's steps of the loss that is minimised.
        losses: shape (n_tasks,), the same sum by task.
        tasks: the tasks that the model learns.
        epoch: number of the epoch, from 1.
    """
    if not torch.isfinite(total + losses.sum()).item():
        names = [task.name for task, is_fine in zip(tasks, torch.isfinite(losses).tolist(), strict=True) if not is_fine]
        found = f"in epoch {epoch} the loss of {first_few(names, len(names)) or 'all tasks together'} is not finite"
        raise BadUsage("training", [Problem("diverged", "loss", found, LOWER_RATE)])


def require_finite_weights(trainer: Trainer, epoch: int) -> None:
    """Stop if an epoch's last step made a weight infinite or NaN; no loss has been computed with these weights yet."""
    state = {key: value for key, value in trainer.model.state_dict().items() if value.is_floating_point()}
    is_fine = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
    lost = [key for key, fine in zip(state, is_fine, strict=True) if not fine]
    if lost:
        found = f"after epoch {epoch} not all weights are finite: {first_few(lost, len(lost))}"
        raise BadUsage("training", [Problem("diverged", "weights", found, LOWER_RATE)])
