"""The training loop: trains a configuration on a benchmark's training images and writes a checkpoint and a log.

The folder of a run holds `config.json`, `checkpoint.pt`, the state after the last full epoch, and `log.csv`, a row per
epoch. Seed and epoch alone decide what an epoch does, so a run that was interrupted resumes from its checkpoint exactly
as it would have gone on. No image of query or gallery is read.

The images are kept on the device as 8-bit pixels if there is room, and the host rarely waits for the device. A
checkpoint is written while the next epoch is trained. Started by torchrun, each process computes its share of every
batch; only the first one writes and prints.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed

from piq_bench.errors import first_few
from piq_bench.images.processes import available_cores
from piq_bench.records import Benchmark, IntArray, Task
from piq_bench.write.files import sha256_of
from reference_model.augment import Drawn, draw
from reference_model.checkpoint import FILE, Checkpoint, damaged, load, require_slices, save
from reference_model.config import RANDOM, Configuration
from reference_model.feed import Feed
from reference_model.material import Material, prepare, tasks_to_learn
from reference_model.predict import Progress, no_progress
from reference_model.processes import n_processes, rank
from reference_model.refusals import (
    bad_sampling,
    require_annotations,
    require_equal_parts,
    require_finite_losses,
    require_finite_weights,
    require_folder,
    require_no_graphs,
    require_same_run,
    require_same_weights,
    require_start,
)
from reference_model.samplers import batches, n_seen, share
from reference_model.saving import Saver
from reference_model.schedule import learning_rate
from reference_model.trainer import Trainer, compiler, memory, on_device
from reference_model.training_log import epoch_line, write_config, write_log
from reference_model.validation import validate
from reference_model.weights import load_backbone

CHECK_EVERY = 100  # steps after which the host waits, to see whether losses are finite
AUGMENTATION = 1  # beside seed and epoch, what sets these random numbers apart from the samplers'

RANDOM_START = (
    "the backbone starts from random numbers, the paper's rows from ImageNet: see `python -m reference_model weights`"
)

COMPILED = (
    "the backbone is compiled in the first minutes, in which no step is taken; --set compiled=false starts at once"
)

BUSY = "other programs use the cores: torch's threads would wait for each other; OMP_NUM_THREADS=1 may be much faster"

Tell = Callable[[str], None]


def train(
    benchmark: Benchmark,
    configuration: Configuration,
    folder: Path,
    *,
    device: torch.device,
    weights: Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    progress: Progress = no_progress,
    tell: Tell = lambda line: None,
) -> None:
    """Train what the configuration says; single-task models go to a folder each.

    Args:
        benchmark: a benchmark with image files; only images of split train are used.
        configuration: configuration of the run.
        folder: folder of the run; made if it does not exist.
        device: device to compute on.
        weights: weights of the backbone to start from; see `weights.load_backbone`.
        resume: resume the run in the folder, rather than refuse a folder that holds one.
        workers: processes that decode images; None for one per free core.
        progress: called with the number of images read, or steps taken, since the last call.
        tell: called with a line of text per epoch, and with what a user should know.

    Raises:
        BadUsage: if the configuration does not suit the data, the folder holds a run, or a loss is not finite.
        WrongCheckpoint: if the run to resume is another one, or the weights do not fit.
        BadDataset: if there is nothing to learn, or listing every image that cannot be read.
        LimitExceeded: if memory or disk do not suffice; the last checkpoint stays.
    """
    configuration = replace(configuration, start=RANDOM if weights is None else weights.name)
    require_no_graphs(configuration)
    tasks = tasks_to_learn(benchmark, configuration)
    runs = {folder: configuration}
    if configuration.models == "each" and configuration.task is None:
        runs = {folder / task.name: replace(configuration, task=task.name) for task in tasks}
    for run_folder, run_configuration in runs.items():  # before images are read, which may take long
        require_folder(run_folder, resume=resume)
        require_start(benchmark, run_configuration, run_folder, weights, resume=resume)
    if resume and weights is None:
        require_same_weights(runs)
    if weights is None and not all((run_folder / FILE).exists() for run_folder in runs):
        tell(RANDOM_START)
    if on_device(configuration, device).compiled:
        tell(COMPILED)
    if device.type == "cpu" and cores_are_busy():
        tell(BUSY)
    material = prepare(benchmark, configuration, folder, workers=workers, progress=progress)
    if isinstance(material.fitted.pixels, np.memmap) and n_processes() == 1:
        tell("the images are too many for memory: they are read from a file without a name, which ends with the run")
    unknown = [task.name for task in tasks if not material.is_annotated(task.name)]
    require_annotations(benchmark, tasks, unknown)
    if unknown:
        tell(f"left out, since no training image is annotated for them: {first_few(unknown, len(unknown))}")
    with memory(configuration.sampling.batch_size, "--set sampling.batch_size"), compiler():
        feed = Feed(material.fitted.pixels, device)
        for run_folder, run_configuration in runs.items():
            learned = [task for task in tasks_to_learn(benchmark, run_configuration) if task.name not in unknown]
            if learned:
                _run(material, feed, run_configuration, learned, run_folder, device, weights, resume, progress, tell)
    if n_processes() > 1 and device.type == "cpu":
        distributed.barrier()  # gloo's threads let go of tensors before an interpreter shuts down, which would abort it


def cores_are_busy() -> bool:
    """Whether torch wants more threads than there are cores that nobody used in the last minute."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # not on Windows
    n_threads = torch.get_num_threads()
    return bool(n_threads > 1 and n_threads + load > available_cores() + 1)


def _run(
    material: Material,
    feed: Feed,
    configuration: Configuration,
    tasks: Sequence[Task],
    folder: Path,
    device: torch.device,
    weights: Path | None,
    resume: bool,
    progress: Progress,
    tell: Tell,
) -> None:
    """Train one model, from its first epoch or the one after its checkpoint, to its last."""
    n_classes = {task.name: material.fitted.n_classes[task.name] for task in tasks}
    trainer = Trainer(configuration, material.benchmark.tasks, n_classes, device)
    facts: dict[str, Any] = {"torch": str(torch.__version__), "device": _name(device), "n_processes": n_processes()}
    facts |= {"n_images": len(material.fitted.pixels), "slices": trainer.model.split.edges()}
    facts |= {"compiled": bool(trainer.configuration.compiled)}
    state = None
    if resume and (folder / FILE).exists():
        state = load(folder / FILE)
        require_same_run(state, configuration, material.fingerprint, n_classes, folder / FILE)
        require_slices(state, trainer.model, folder / FILE)
        configuration = replace(configuration, start=state.configuration.start)
        try:
            trainer.restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(folder / FILE, error) from None
    elif weights is not None:
        load_backbone(trainer.model.backbone, weights)
        facts |= {"weights": weights.name, "weights_sha256": sha256_of(weights)}
    log: list[dict[str, Any]] = [] if state is None else [dict(row) for row in state.log]
    facts |= {} if state is None else dict(state.facts)
    if rank() == 0:
        write_config(folder, configuration)
        if log:  # a run may have been killed before it wrote the log of its last checkpoint
            write_log(folder, log)
        for name, start, stop in trainer.model.split.table():
            tell(f"  {name:16} {start:5} to {stop:5}")
    targets = [torch.from_numpy(material.fitted.targets[task.name]).to(device) for task in tasks]
    n_epochs = configuration.schedule.n_epochs
    with Saver() as saver:
        for epoch in range(len(log) + 1, n_epochs + 1):
            row = _epoch(trainer, feed, targets, material.identity, epoch, progress, saver)
            require_finite_weights(trainer, epoch)
            is_due = epoch % configuration.evaluate_every == 0 or epoch == n_epochs
            if rank() == 0:
                if is_due and material.validation_pixels is not None:
                    row |= validate(trainer, material.benchmark, material.validation_pixels)
                log.append(row)
                state = Checkpoint(
                    configuration=configuration,
                    vocabulary=material.benchmark.tasks,
                    n_classes=n_classes,
                    fingerprint=material.fingerprint,
                    n_epochs=epoch,
                    model=trainer.model.state_dict(),
                    objective=trainer.objective.state_dict(),
                    optimiser=trainer.optimiser.state_dict(),
                    facts=facts | {"seconds": round(sum(row["seconds"] for row in log), 1)},
                    log=log,
                )
                saver.save(state, partial(_write, folder))
                tell(epoch_line(row, n_epochs))


def _write(folder: Path, state: Checkpoint) -> None:
    """Write a checkpoint, and then the log, which a run that resumes writes again."""
    save(folder / FILE, state)
    write_log(folder, state.log)


def _epoch(
    trainer: Trainer,
    feed: Feed,
    targets: Sequence[Tensor],
    identity: IntArray,
    epoch: int,
    progress: Progress,
    saver: Saver,
) -> dict[str, Any]:
    """Train on all batches of an epoch; returns its row of the log."""
    options = trainer.configuration
    rows = _batches(options, identity, epoch)
    rate = learning_rate(epoch, options.schedule)
    trainer.set_rate(rate)
    rng = np.random.Generator(np.random.PCG64([options.seed, epoch, AUGMENTATION]))
    drawn = draw(rows.size, options.size, rng, options.augmentation)
    mine = share(np.arange(rows.size).reshape(rows.shape), rank(), n_processes())
    own = rows.ravel()[mine]
    order = torch.from_numpy(own).to(trainer.device)
    parts = [part[torch.from_numpy(mine)].to(trainer.device) for part in drawn]

    start = time.perf_counter()
    n_tasks = len(trainer.tasks)
    total = torch.zeros((), device=trainer.device)
    losses = torch.zeros(n_tasks, device=trainer.device)
    parts_of_losses = torch.zeros(2, n_tasks, device=trainer.device)
    n_present = torch.zeros(n_tasks, device=trainer.device)
    with (
        progress(f"epoch {epoch} of {options.schedule.n_epochs}", len(order)) as advance,
        closing(feed.batches(own)) as pixels,
    ):
        for step, (chosen, images) in enumerate(zip(order, pixels, strict=True), start=1):
            batch = [target.index_select(0, chosen) for target in targets]
            found = trainer.step(images, batch, Drawn(*(part[step - 1] for part in parts)))
            total += found.total
            losses += found.by_task
            parts_of_losses += torch.stack((found.classification, found.metric))
            n_present += found.n_valid > 0
            if step % CHECK_EVERY == 0 or step == len(order):
                require_finite_losses(total, losses, trainer.tasks, epoch)
                saver.check()
            advance(1)
    seconds = time.perf_counter() - start
    row: dict[str, Any] = {
        "epoch": epoch,
        "rate": rate,
        "seconds": round(seconds, 3),
        "images_per_second": round(rows.size / seconds, 1),
        "images_seen": n_seen(rows),
        "loss": total.item() / len(order),
    }
    means = (losses / n_present.clamp(min=1)).tolist()
    row |= {f"loss.{task.name}": mean for task, mean in zip(trainer.tasks, means, strict=True)}
    if options.metric != "none":
        for kind, sums in zip(("classification", "metric"), parts_of_losses, strict=True):
            means = (sums / n_present.clamp(min=1)).tolist()
            row |= {f"{kind}.{task.name}": mean for task, mean in zip(trainer.tasks, means, strict=True)}
    if trainer.objective.uncertainty is not None:
        learned = trainer.objective.uncertainty.weights().tolist()
        row |= {f"weight.{task.name}": weight for task, weight in zip(trainer.tasks, learned, strict=True)}
    return row


def _batches(configuration: Configuration, identity: IntArray, epoch: int) -> IntArray:
    """The rows of an epoch's batches, shape (n_batches, batch_size)."""
    options = configuration.sampling
    require_equal_parts(options.batch_size)
    try:
        return batches(
            options.kind,
            identity,
            epoch,
            configuration.seed,
            batch_size=options.batch_size,
            n_images=options.n_images,
            mix=options.mix,
        )
    except ValueError as error:
        raise bad_sampling(options, identity, error) from None


def _name(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type
