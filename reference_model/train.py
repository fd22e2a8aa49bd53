"""The training loop: a benchmark's training images and a configuration to a folder with a checkpoint and a log.

The folder holds `config.json`, `checkpoint.pt`, the state after the last full epoch, and `log.csv`, a row per epoch.
Seed and epoch alone decide what an epoch does, so that a run which was interrupted goes on from its checkpoint exactly
as it would have. No image of query or gallery is read.

The images lie on the device as 8-bit pixels if there is room, and the host waits for it only once in a while. Started
by torchrun, each process computes its share of every batch; the first one writes and tells.
"""

import csv
import io
import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from piq_bench.errors import BadDataset, BadUsage, Problem, first_few, printable
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.records import NO_IDENTITY, NOT_ANNOTATED, TRAIN, Benchmark, IntArray, Pixels, Task
from piq_bench.write.files import sha256_of, write_text
from reference_model.augment import Drawn, draw
from reference_model.checkpoint import FILE, Checkpoint, damaged, load, require_slices, save, unwritable
from reference_model.config import Configuration, differences, to_json
from reference_model.data import Labelled, fill, held_out, read_pixels, targets_of, training_part
from reference_model.feed import Feed
from reference_model.heads import build_backbone
from reference_model.predict import Progress, no_progress
from reference_model.samplers import batches, n_seen, share
from reference_model.schedule import learning_rate
from reference_model.shared_pixels import decode_once
from reference_model.trainer import Trainer, compiler, memory, n_processes, rank
from reference_model.validation import validate
from reference_model.weights import WrongCheckpoint, load_backbone

CONFIG = "config.json"
LOG = "log.csv"
CHECK_EVERY = 100  # steps after which the host waits, to see whether losses are finite
LOWER_RATE = "a lower schedule.base_rate; the checkpoint holds the last epoch before"
AUGMENTATION = 1  # beside seed and epoch, what sets these random numbers apart from the samplers'

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Material:
    """What runs are made from.

    Attributes:
        benchmark: of training images alone; what is held out from training is its query and gallery.
        fingerprint: of the benchmark that these come from.
        fitted: the images to train on.
        identity: shape (n_fitted,), NO_IDENTITY where unidentified.
        tried: pixels of the images held out, in the order of `benchmark.test_rows`; in the first process alone.
    """

    benchmark: Benchmark
    fingerprint: str
    fitted: Labelled
    identity: IntArray
    tried: Pixels | None


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
    """Train what the configuration says; one model for each task goes to a folder of its own.

    Args:
        benchmark: with image files; what is not of split train is not looked at.
        configuration: of the run.
        folder: of the run; made if it is not there.
        device: to compute on.
        weights: of the backbone, to start from; see `weights.load_backbone`.
        resume: go on with the run in the folder, rather than refuse to.
        workers: processes that decode; None for one per free core.
        progress: told what is done.
        tell: given a line per epoch, and what a user should know.

    Raises:
        BadUsage: if the configuration does not suit the data, the folder holds a run, or a loss is not finite.
        WrongCheckpoint: if the run to resume is another, or `weights` are.
        BadDataset: if there is nothing to learn, or listing every picture that cannot be read.
        LimitExceeded: if memory or disk do not suffice; the last checkpoint stays.
    """
    asked = _asked(benchmark, configuration)
    runs = {folder: configuration}
    if configuration.models == "each" and configuration.task is None:
        runs = {folder / task.name: replace(configuration, task=task.name) for task in asked}
    for place, one in runs.items():  # all of it before pictures are read, which may take long
        _require_place(place, resume=resume)
        _require_start(benchmark, one, place, weights, resume=resume)
    if resume and weights is None:
        _require_same_start(runs)
    material = prepare(benchmark, configuration, folder, workers=workers, progress=progress)
    if isinstance(material.fitted.pixels, np.memmap) and n_processes() == 1:
        tell("the images are too many for memory: they are read from a file without a name, which ends with the run")
    unknown = [task.name for task in asked if not _annotated(material.fitted.targets[task.name])]
    if len(unknown) == len(asked):
        found = f"no training image is annotated for {first_few(unknown, len(unknown))}"
        remedy = "annotate some, or train another preset"
        raise BadDataset(benchmark.name, [Problem("nothing-to-learn", "annotations", found, remedy)])
    if unknown:
        tell(f"left out, since no training image is annotated for them: {first_few(unknown, len(unknown))}")
    with memory(configuration.sampling.batch_size, "--set sampling.batch_size"), compiler():
        feed = Feed(material.fitted.pixels, device)
        for place, one in runs.items():
            learned = [task for task in _asked(benchmark, one) if task.name not in unknown]
            if learned:
                _run(material, feed, one, learned, place, device, weights, resume, progress, tell)


def prepare(
    benchmark: Benchmark,
    configuration: Configuration,
    folder: Path | None = None,
    *,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> Material:
    """Read the training images and decide which of them are held out.

    Args:
        benchmark: with image files.
        configuration: of the run.
        folder: where pixels that are too many for memory may lie; see `images.buffer.pixel_buffer`.
        workers: processes that decode; None for one per free core.
        progress: told what is done.

    Raises:
        BadDataset: if there are none, or listing every picture that cannot be read.
        BadUsage: if nothing is left to train on, or nothing is held out.
        LimitExceeded: if there is no room for the pixels.
    """
    part = training_part(benchmark)
    if configuration.held_out:
        part = held_out(benchmark, configuration.held_out, configuration.seed)
    fitted, tried = np.flatnonzero(part.split == TRAIN), part.test_rows
    if not fitted.size or (configuration.held_out and not tried.size):
        found = f"{configuration.held_out:g} of {part.images.size} images leave {fitted.size} to train on"
        remedy = "another share, or 0 to train on all of them"
        raise BadUsage("configuration", [Problem("bad-share", "held_out", found, remedy)])
    with progress("reading pictures", part.images.size) as advance:
        read = partial(fill, benchmark=part, rows=fitted, workers=workers, advance=advance)
        images = Labelled(decode_once((fitted.size, *configuration.size, 3), folder, read), *targets_of(part, fitted))
        pixels = None
        if tried.size and rank() == 0:
            pixels = read_pixels(part, tried, configuration.size, folder=folder, workers=workers, advance=advance)
    return Material(part, fingerprint(benchmark), images, part.identity[fitted], pixels)


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
    """One model from its first epoch, or the next one, to its last."""
    n_classes = {task.name: material.fitted.n_classes[task.name] for task in tasks}
    trainer = Trainer(configuration, material.benchmark.tasks, n_classes, device)
    facts: dict[str, Any] = {"torch": str(torch.__version__), "device": _name(device), "n_processes": n_processes()}
    facts |= {"n_images": len(material.fitted.pixels), "slices": trainer.model.split.edges()}
    state = None
    if resume and (folder / FILE).exists():
        state = load(folder / FILE)
        _require_same(state, configuration, material.fingerprint, n_classes, folder / FILE)
        require_slices(state, trainer.model, folder / FILE)
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
        _write(folder / CONFIG, json.dumps(to_json(configuration), indent=2) + "\n")
        for name, start, stop in trainer.model.split.table():
            tell(f"  {name:16} {start:5} to {stop:5}")
    targets = [torch.from_numpy(material.fitted.targets[task.name]).to(device) for task in tasks]
    n_epochs = configuration.schedule.n_epochs
    for epoch in range(len(log) + 1, n_epochs + 1):
        row = _epoch(trainer, feed, targets, material.identity, epoch, progress)
        _require_finite_weights(trainer, epoch)
        is_due = epoch % configuration.evaluate_every == 0 or epoch == n_epochs
        if rank() == 0:
            if is_due and material.tried is not None:
                row |= validate(trainer, material.benchmark, material.tried)
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
            save(folder / FILE, state)
            _write(folder / LOG, _csv(log))
            tell(_line(row, n_epochs))


def _epoch(
    trainer: Trainer, feed: Feed, targets: Sequence[Tensor], identity: IntArray, epoch: int, progress: Progress
) -> dict[str, Any]:
    """All batches of an epoch, and its row of the log."""
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
    n_present = torch.zeros(n_tasks, device=trainer.device)
    with (
        progress(f"epoch {epoch} of {options.schedule.n_epochs}", len(order)) as advance,
        closing(feed.batches(own)) as batches,
    ):
        for step, (chosen, images) in enumerate(zip(order, batches, strict=True), start=1):
            batch = [target.index_select(0, chosen) for target in targets]
            found = trainer.step(images, batch, Drawn(*(part[step - 1] for part in parts)))
            total += found.total
            losses += found.by_task
            n_present += found.n_valid > 0
            if step % CHECK_EVERY == 0 or step == len(order):
                _require_finite(total, losses, trainer.tasks, epoch)
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
    if trainer.objective.uncertainty is not None:
        learned = trainer.objective.uncertainty.weights().tolist()
        row |= {f"weight.{task.name}": weight for task, weight in zip(trainer.tasks, learned, strict=True)}
    return row


def _batches(configuration: Configuration, identity: IntArray, epoch: int) -> IntArray:
    options = configuration.sampling
    _require_equal_parts(options.batch_size)
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
        known, change = identity != NO_IDENTITY, f"batch_size={max(2, options.batch_size // 2)}"
        if options.kind != "random" and not known.any():
            change = "kind=random"
        elif options.kind == "shuffle" and known.all():
            change = "kind=pk"
        remedy = f"such as --set sampling.{change}"
        raise BadUsage("configuration", [Problem("bad-sampling", "sampling", str(error), remedy)]) from None


def _require_equal_parts(batch_size: int) -> None:
    """Batch normalisation has no spread to divide by in one image."""
    n_parts = n_processes()
    if batch_size % n_parts or batch_size < 2 * n_parts:
        found = f"a batch of {batch_size} and {n_parts} processes: each takes an equal part of at least 2 images"
        remedy = f"such as --set sampling.batch_size={max(2, round(batch_size / n_parts)) * n_parts}"
        raise BadUsage("configuration", [Problem("bad-sampling", "sampling", found, remedy)])


def _require_finite(total: Tensor, losses: Tensor, tasks: Sequence[Task], epoch: int) -> None:
    """Stop before weights that are lost replace good ones."""
    if not torch.isfinite(total + losses.sum()).item():
        names = [task.name for task, is_fine in zip(tasks, torch.isfinite(losses).tolist(), strict=True) if not is_fine]
        found = f"in epoch {epoch} the loss of {first_few(names, len(names)) or 'all tasks together'} is not finite"
        raise BadUsage("training", [Problem("diverged", "loss", found, LOWER_RATE)])


def _require_finite_weights(trainer: Trainer, epoch: int) -> None:
    """The same for what the last step did, whose loss nobody has seen yet."""
    state = {key: value for key, value in trainer.model.state_dict().items() if value.is_floating_point()}
    is_fine = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
    lost = [key for key, fine in zip(state, is_fine, strict=True) if not fine]
    if lost:
        found = f"after epoch {epoch} not all weights are finite: {first_few(lost, len(lost))}"
        raise BadUsage("training", [Problem("diverged", "weights", found, LOWER_RATE)])


def _asked(benchmark: Benchmark, configuration: Configuration) -> list[Task]:
    """The tasks that a run, or all its models together, shall learn."""
    if configuration.task is not None:
        return [task for task in benchmark.tasks if task.name == configuration.task]
    if configuration.models != "retrieval":
        return list(benchmark.tasks)
    if benchmark.retrieval_task is None:
        found = "the benchmark has no re-identification"
        raise BadUsage(benchmark.name, [Problem("no-retrieval", "tasks", found, "a preset that learns all tasks")])
    return [benchmark.retrieval_task]


def _annotated(target: IntArray) -> bool:
    return bool((target != NOT_ANNOTATED).any())


def _require_place(folder: Path, *, resume: bool) -> None:
    """Only a folder that can be written, and holds no other run."""
    if (folder / FILE).exists() and not resume:
        remedy = "--resume to go on with it, or another folder"
        raise BadUsage(str(folder), [Problem("has-a-run", FILE, "the folder holds a run", remedy)])
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        found = f"{printable(there)} is no folder that can be written to"
        raise BadUsage(str(folder), [Problem("unwritable", "--out", found, "another folder")])


def _require_start(
    benchmark: Benchmark, configuration: Configuration, folder: Path, weights: Path | None, *, resume: bool
) -> None:
    """Only the same run is continued, and only from weights that fit."""
    if resume and (folder / FILE).exists():
        _require_same(load(folder / FILE), configuration, fingerprint(benchmark), None, folder / FILE)
    elif weights is not None:
        load_backbone(build_backbone(configuration), weights)


def _require_same_start(folders: Collection[Path]) -> None:
    """Models that are left to train start as the others did."""
    found = [load(folder / FILE) for folder in folders if (folder / FILE).exists()]
    names = {str(state.facts["weights"]) for state in found if "weights" in state.facts}
    if names and not all((folder / FILE).exists() for folder in folders):
        told = f"models that are left to train started from {first_few(sorted(names), len(names))} as well"
        raise BadUsage("weights", [Problem("no-weights", "--weights", told, "give it again")])


def _require_same(
    state: Checkpoint, configuration: Configuration, data: str, n_classes: Mapping[str, int] | None, path: Path
) -> None:
    """The same configuration, data of the same fingerprint, and as many classes, where these are known."""
    problems = []
    other = differences(state.configuration, configuration)
    if other:
        found = f"the run has another {first_few(other, len(other))}"
        problems.append(Problem("other-configuration", "configuration", found, "resume it as it was started"))
    if state.fingerprint != data or dict(state.n_classes) != dict(n_classes or state.n_classes):
        problems.append(Problem("other-data", "dataset", "the run is of other data", "resume it with its data set"))
    if problems:
        raise WrongCheckpoint(str(path), problems)


def _write(path: Path, text: str) -> None:
    """A file of the run, whose folder is made if it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise unwritable(path, error) from None


def _name(device: torch.device) -> str:
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else device.type


def _csv(log: Sequence[Mapping[str, Any]]) -> str:
    """Columns in the order of their first appearance; empty where an epoch has no such number."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(name for row in log for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    return stream.getvalue()


def _line(row: Mapping[str, Any], n_epochs: int) -> str:
    """An epoch for a person to read."""
    parts = [f"epoch {row['epoch']}/{n_epochs}", f"rate {row['rate']:.2g}", f"{row['images_per_second']:,.0f} images/s"]
    parts += [f"loss {row['loss']:.3f}", *(f"{key[5:]} {row[key]:.3f}" for key in row if key.startswith("loss."))]
    scores = {key[6:]: value for key, value in row.items() if key.startswith("score.") and value is not None}
    if scores:
        parts += ["held out:", *(f"{name} {value:.3f}" for name, value in scores.items())]
    return "  ".join(parts)
