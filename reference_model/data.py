"""Turns a benchmark's training images into arrays: 8-bit pixels, and the targets of each task.

Query and gallery images never get here: `training_part` removes them first. A model is validated during training on
held-out training images, and no person in these is in the images it is trained on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from piq_bench.errors import BadDataset, Problem
from piq_bench.group.hashes import HASHES
from piq_bench.images.buffer import pixel_buffer
from piq_bench.images.folder import required_images_folder
from piq_bench.images.parallel import map_images
from piq_bench.read.rules import ordered
from piq_bench.records import (
    GALLERY,
    NO_IDENTITY,
    NOT_ANNOTATED,
    QUERY,
    RETRIEVAL,
    SAME_GROUP,
    TRAIN,
    Benchmark,
    Grouping,
    IntArray,
    Pixels,
)

QUERY_EVERY = 8  # one in so many images of a held-out person is a query, as in the paper's data


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with their targets.

    Attributes:
        pixels: shape (n_images, height, width, 3), uint8.
        targets: by task, shape (n_images,): index of the label or of the identity, NOT_ANNOTATED where unknown; for a
            multi-label task (n_images, n_labels) of 0 and 1, or a row of NOT_ANNOTATED.
        n_classes: by task, number of labels or identities.
    """

    pixels: Pixels
    targets: Mapping[str, IntArray]
    n_classes: Mapping[str, int]


def training_part(benchmark: Benchmark) -> Benchmark:
    """The benchmark reduced to its training images.

    Raises:
        BadDataset: if there are none.
    """
    rows = np.flatnonzero(benchmark.split == TRAIN)
    if rows.size == 0:
        remedy = "mark images with split 'train' in the annotations"
        raise BadDataset(benchmark.name, [Problem("no-train", "split", "no image is for training", remedy)])
    return _select_rows(benchmark, rows)


def held_out(benchmark: Benchmark, share: float, seed: int) -> Benchmark:
    """A benchmark of the training images alone, in which some people and scenes become query and gallery.

    Args:
        benchmark: the whole benchmark; its own query and gallery are dropped.
        share: share of the identities to hold out, and of the scenes of images without an identity.
        seed: seed of the random choice.
    """
    part = training_part(benchmark)
    rng = np.random.Generator(np.random.PCG64(seed))
    split = np.full(part.images.size, TRAIN)
    known = part.identity != NO_IDENTITY
    for rows in _random_units(part.identity[known], np.flatnonzero(known), share, rng):
        shuffled = rng.permutation(rows)
        split[rows] = GALLERY
        if rows.size > 1:  # a query without another image of its person has nothing to find
            split[shuffled[: -(-rows.size // QUERY_EVERY)]] = QUERY
    for rows in _random_units(_scene_numbers(part)[~known], np.flatnonzero(~known), share, rng):
        split[rows] = GALLERY
    return replace(part, split=split)


def grouped(part: Benchmark, benchmark: Benchmark, *, workers: int | None = None) -> Benchmark:
    """Find near-duplicates among the images held out, which scores then leave out as those of a submission do.

    A data set that has groups, and whose own rules leave near-duplicates in, is left as it is.

    Args:
        part: what `held_out` made of the benchmark.
        benchmark: the whole benchmark; its rules apply, and its parameters unless its groups were given.
        workers: processes that hash images; None for one per free core.
    """
    from piq_bench.group.build import build_groups  # only runs that hold images out need pyarrow and more

    rules = tuple(rule for rule in benchmark.exclude if "group" in rule.columns)
    if benchmark.groups is not None and not rules:
        return part
    grouping = benchmark.grouping if benchmark.grouping.hash in HASHES else Grouping()
    report = build_groups(part, required_images_folder(part), grouping=grouping, workers=workers)
    return replace(part, groups=report.groups, exclude=ordered((*part.exclude, *(rules or (SAME_GROUP,)))))


def read_pixels(
    benchmark: Benchmark,
    rows: IntArray,
    size: tuple[int, int],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Pixels:
    """Read and resize the pictures of some rows.

    Args:
        benchmark: with image files.
        rows: shape (n_images,).
        size: height and width.
        folder: folder for a file with the pixels if they do not fit into memory; see `images.buffer.pixel_buffer`.
        workers: processes that decode; None for one per free core.
        advance: called with the number of pictures read since the last call.

    Returns:
        Shape (n_images, height, width, 3), uint8.

    Raises:
        BadDataset: listing every picture that cannot be read.
        LimitExceeded: if there is no room for the pixels.
    """
    pixels = pixel_buffer((rows.size, *size, 3), folder)
    fill(pixels, benchmark, rows, workers=workers, advance=advance)
    return pixels


def fill(
    pixels: Pixels,
    benchmark: Benchmark,
    rows: IntArray,
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> None:
    """Read pictures as `read_pixels` does, into an existing array of shape (n_images, height, width, 3)."""
    size = pixels.shape[1], pixels.shape[2]
    images = map_images(benchmark, rows, partial(resized, size=size), workers=workers, advance=advance)
    for place, image in enumerate(images):
        pixels[place] = image


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize a picture bilinearly, and give a grey one three channels.

    Args:
        pixels: shape (h, w) or (h, w, 3), uint8.
        size: height and width of the result.

    Returns:
        Shape (height, width, 3), uint8.
    """
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    if colour.shape[:2] == size:
        return colour
    return np.asarray(Image.fromarray(colour).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def targets_of(benchmark: Benchmark, rows: IntArray) -> tuple[dict[str, IntArray], dict[str, int]]:
    """Targets and number of classes by task; identities are numbered from 0, in the order of their names."""
    targets: dict[str, IntArray] = {}
    n_classes: dict[str, int] = {}
    for task in benchmark.tasks:
        if task.kind == RETRIEVAL:
            identity = benchmark.identity[rows]
            present = np.unique(identity[identity != NO_IDENTITY])
            targets[task.name] = np.where(identity == NO_IDENTITY, NOT_ANNOTATED, np.searchsorted(present, identity))
            n_classes[task.name] = present.size
        else:
            targets[task.name] = benchmark.labels[task.name][rows]
            n_classes[task.name] = len(task.labels)
    return targets, n_classes


def _select_rows(benchmark: Benchmark, rows: IntArray) -> Benchmark:
    """The benchmark reduced to some rows; near-duplicate groups cover query and gallery only and are dropped.

    The rules that name them are dropped as well.
    """

    def selected(column: NDArray[np.object_] | None) -> NDArray[np.object_] | None:
        return None if column is None else column[rows]

    return replace(
        benchmark,
        images=benchmark.images[rows],
        split=benchmark.split[rows],
        identity=benchmark.identity[rows],
        labels={task: label[rows] for task, label in benchmark.labels.items()},
        junk=benchmark.junk[rows],
        distractor=benchmark.distractor[rows],
        source=selected(benchmark.source),
        sequence=selected(benchmark.sequence),
        camera=selected(benchmark.camera),
        groups=None,
        columns={name: values[rows] for name, values in benchmark.columns.items()},
        exclude=tuple(rule for rule in benchmark.exclude if "group" not in rule.columns),
    )


def _scene_numbers(benchmark: Benchmark) -> IntArray:
    """Number the scene of every image: its sequence, else its source; an image without either is its own scene."""
    column = benchmark.source if benchmark.sequence is None else benchmark.sequence
    if column is None:
        return np.arange(benchmark.images.size)
    scene = np.unique(column.astype(np.str_), return_inverse=True)[1]
    unknown = np.asarray(column == "")
    scene[unknown] = scene.size + np.arange(int(unknown.sum()))
    return np.asarray(scene, dtype=np.int64)


def _random_units(unit: IntArray, rows: IntArray, share: float, rng: np.random.Generator) -> list[IntArray]:
    """Choose a random share of all units (people or scenes) and return the rows of each."""
    all_units = np.unique(unit)
    chosen = np.sort(rng.permutation(all_units)[: round(share * all_units.size)])
    return [rows[unit == number] for number in chosen]
