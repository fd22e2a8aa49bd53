"""A benchmark's training images as arrays: pixels in 8 bits, and for each task what is to be answered.

Images of query and gallery never get here: `training_part` takes them away before anything else looks at the data, and
what a model is tried out on during training is a part of the training images, whose people the rest does not show.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from piq_bench.errors import BadDataset, Problem
from piq_bench.images.buffer import pixel_buffer
from piq_bench.images.parallel import map_images
from piq_bench.records import GALLERY, NO_IDENTITY, NOT_ANNOTATED, QUERY, RETRIEVAL, TRAIN, Benchmark, IntArray, Pixels

QUERY_EVERY = 8  # of a held-out person's images, one in so many is a query, as in the paper's data


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with their answers.

    Attributes:
        pixels: shape (n_images, height, width, 3), uint8.
        targets: by task, shape (n_images,): index of the label or of the identity, NOT_ANNOTATED where unknown; for a
            multi-label task (n_images, n_labels) of 0 and 1, or a row of NOT_ANNOTATED.
        n_classes: by task: labels, or identities.
    """

    pixels: Pixels
    targets: Mapping[str, IntArray]
    n_classes: Mapping[str, int]


def training_part(benchmark: Benchmark) -> Benchmark:
    """The training images alone.

    Raises:
        BadDataset: if there are none.
    """
    rows = np.flatnonzero(benchmark.split == TRAIN)
    if rows.size == 0:
        remedy = "mark images with split 'train' in the annotations"
        raise BadDataset(benchmark.name, [Problem("no-train", "split", "no image is for training", remedy)])
    return _only(benchmark, rows)


def held_out(benchmark: Benchmark, share: float, seed: int) -> Benchmark:
    """A benchmark made of training images alone: some people and scenes become its query and gallery.

    Args:
        benchmark: whatever is in query and gallery is left out.
        share: of the identities, and of the scenes of images without one, that are held out.
        seed: of the choice.
    """
    part = training_part(benchmark)
    rng = np.random.Generator(np.random.PCG64(seed))
    split = np.full(part.images.size, TRAIN)
    known = part.identity != NO_IDENTITY
    for rows in _some(part.identity[known], np.flatnonzero(known), share, rng):
        shuffled = rng.permutation(rows)
        split[rows] = GALLERY
        if rows.size > 1:  # a query without another image of its person has nothing to find
            split[shuffled[: -(-rows.size // QUERY_EVERY)]] = QUERY
    for rows in _some(_scene(part)[~known], np.flatnonzero(~known), share, rng):
        split[rows] = GALLERY
    return replace(part, split=split)


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
        folder: where pixels that are too many for memory may lie; see `images.buffer.pixel_buffer`.
        workers: processes that decode; None for one per free core.
        advance: told the number of pictures read.

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
    """The same into an array that is there, shape (n_images, height, width, 3)."""
    size = pixels.shape[1], pixels.shape[2]
    found = map_images(benchmark, rows, partial(resized, size=size), workers=workers, advance=advance)
    for place, picture in enumerate(found):
        pixels[place] = picture


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Shape (height, width, 3): grey in three channels; bilinear where the size is another.

    Args:
        pixels: (h, w) or (h, w, 3), 8 bits.
        size: height and width.
    """
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    if colour.shape[:2] == size:
        return colour
    return np.asarray(Image.fromarray(colour).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def targets_of(benchmark: Benchmark, rows: IntArray) -> tuple[dict[str, IntArray], dict[str, int]]:
    """Answers and number of classes by task; identities are numbered anew, in the order of their names."""
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


def _only(benchmark: Benchmark, rows: IntArray) -> Benchmark:
    """Some rows of a benchmark; near-duplicate groups are of query and gallery, and leave with them."""

    def some(column: NDArray[np.object_] | None) -> NDArray[np.object_] | None:
        return None if column is None else column[rows]

    return replace(
        benchmark,
        images=benchmark.images[rows],
        split=benchmark.split[rows],
        identity=benchmark.identity[rows],
        labels={task: label[rows] for task, label in benchmark.labels.items()},
        junk=benchmark.junk[rows],
        distractor=benchmark.distractor[rows],
        source=some(benchmark.source),
        sequence=some(benchmark.sequence),
        camera=some(benchmark.camera),
        groups=None,
    )


def _scene(benchmark: Benchmark) -> IntArray:
    """What images without an identity are held out by: their sequence, their film, or each for itself."""
    column = benchmark.source if benchmark.sequence is None else benchmark.sequence
    if column is None:
        return np.arange(benchmark.images.size)
    scene = np.unique(column.astype(np.str_), return_inverse=True)[1]
    unknown = np.asarray(column == "")
    scene[unknown] = scene.size + np.arange(int(unknown.sum()))
    return np.asarray(scene, dtype=np.int64)


def _some(unit: IntArray, rows: IntArray, share: float, rng: np.random.Generator) -> list[IntArray]:
    """The rows of each unit of a random share of all units."""
    units = np.unique(unit)
    chosen = np.sort(rng.permutation(units)[: round(share * units.size)])
    return [rows[unit == one] for one in chosen]
