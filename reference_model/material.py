"""What a run trains on: the tasks it learns, and the pixels and targets of the training images.

No image of query or gallery is read. Images that are held out for validation come from the training images.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from piq_bench.errors import BadUsage, Problem
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.records import NOT_ANNOTATED, TRAIN, Benchmark, IntArray, Pixels, Task
from reference_model.config import Configuration
from reference_model.data import Labelled, fill, grouped, held_out, read_pixels, targets_of, training_part
from reference_model.predict import Progress, no_progress
from reference_model.processes import rank
from reference_model.shared_pixels import decode_once


@dataclass(frozen=True, eq=False)
class Material:
    """The data of one or several runs.

    Attributes:
        benchmark: the training images alone; those held out are its query and gallery. Only the first process knows
            which of these are near-duplicates.
        fingerprint: fingerprint of the benchmark that the images come from.
        fitted: the images to train on.
        identity: shape (n_fitted,), NO_IDENTITY where unidentified.
        validation_pixels: pixels of the images held out, in the order of `benchmark.test_rows`; None where there are
            none, and in every process but the first.
    """

    benchmark: Benchmark
    fingerprint: str
    fitted: Labelled
    identity: IntArray
    validation_pixels: Pixels | None

    def is_annotated(self, task: str) -> bool:
        """Whether any image to train on is annotated for a task."""
        return bool((self.fitted.targets[task] != NOT_ANNOTATED).any())


def tasks_to_learn(benchmark: Benchmark, configuration: Configuration) -> list[Task]:
    """The tasks that a run, or all its models together, shall learn.

    Raises:
        BadUsage: if the configuration asks for re-identification alone and the benchmark has none.
    """
    if configuration.task is not None:
        return [task for task in benchmark.tasks if task.name == configuration.task]
    if configuration.models != "retrieval":
        return list(benchmark.tasks)
    if benchmark.retrieval_task is None:
        found = "the benchmark has no re-identification"
        raise BadUsage(benchmark.name, [Problem("no-retrieval", "tasks", found, "a preset that learns all tasks")])
    return [benchmark.retrieval_task]


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
        benchmark: a benchmark with image files.
        configuration: configuration of the run.
        folder: where to keep pixels that do not fit in memory; see `images.buffer.pixel_buffer`.
        workers: processes that decode images; None for one per free core.
        progress: called with the number of images read since the last call.

    Raises:
        BadDataset: if there are no training images, or listing every image that cannot be read.
        BadUsage: if nothing is left to train on, or nothing is held out.
        LimitExceeded: if there is no room for the pixels.
    """
    part = training_part(benchmark)
    if configuration.held_out:
        part = held_out(benchmark, configuration.held_out, configuration.seed)
    fitted, validation = np.flatnonzero(part.split == TRAIN), part.test_rows
    if not fitted.size or (configuration.held_out and not validation.size):
        found = f"{configuration.held_out:g} of {part.images.size} images leave {fitted.size} to train on"
        remedy = "another share, or 0 to train on all of them"
        raise BadUsage("configuration", [Problem("bad-share", "held_out", found, remedy)])
    with progress("reading pictures", part.images.size) as advance:
        read = partial(fill, benchmark=part, rows=fitted, workers=workers, advance=advance)
        images = Labelled(decode_once((fitted.size, *configuration.size, 3), folder, read), *targets_of(part, fitted))
        pixels = None
        if validation.size and rank() == 0:
            pixels = read_pixels(part, validation, configuration.size, folder=folder, workers=workers, advance=advance)
            part = grouped(part, benchmark, workers=workers)
    return Material(part, fingerprint(benchmark), images, part.identity[fitted], pixels)
