"""Shrinks 8-bit images to 32 x 32 grey pixels by the two LANCZOS passes of the hash's definition: width, then height.

The result has the same bytes as Pillow's `resize((32, height))` followed by `resize((32, 32))`. Pillow itself is not
called: version 13 swapped the two passes inside one `resize`, which changes 4 to 10 % of the hashes. Its fixed-point
arithmetic is repeated here instead: weights rounded to multiples of 2^-22, sums rounded to 8 bits after each pass. All
products and sums are multiples of 2^-22 below 2^31, exact in float64 in any order, so a matrix product by any BLAS
gives the same bytes.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import FloatArray, Pixels

Real = TypeVar("Real", np.float32, np.float64)
Shape = tuple[int, ...]

SIDE = 32
BAND = 8  # pixels of a line that are summed together: half as many would be more calls, twice as many more zeros
PRECISION = 1 << 22  # Pillow's PRECISION_BITS for 8-bit channels
LANCZOS_SUPPORT = 3.0
SHORT = 1024  # weights of all lines up to this length are kept
LUMA = np.array([19595, 38470, 7471], dtype=np.float32) / np.float32(1 << 16)  # ITU-R 601, as Pillow's convert("L")
ROUND = np.float32(0.5)
TOGETHER = 8  # images that are shrunk at a time, so that what is computed of them stays in the caches
WAITING_BYTES = 1 << 22  # of images that are kept until the first of them is shrunk
BLOCK_PIXELS = 1 << 16  # large images are processed in blocks of rows, of about this many pixels each
# Sizes up to which OpenBLAS uses one thread. Larger products use all cores, where the threads of several worker
# processes wait for each other.
ONE_THREAD_MATRIX = 1 << 18
ONE_THREAD_VECTOR = 9_000


def shrink(images: Iterable[Pixels]) -> Pixels:
    """Shrinks images of any sizes, grey (height, width) or colour (height, width, 3), to grey (n, 32, 32).

    Many are taken from `images`, which decodes them, before the first is shrunk: the code of either step then stays in
    the processor's caches, and both take less time.

    >>> int(shrink([np.full((256, 128, 3), 200, dtype=np.uint8)]).min())
    200
    """
    small = [np.empty((0, SIDE, SIDE), dtype=np.uint8)]
    memory = Memory()
    for pixels, shapes in gathered(images):
        end = 0
        for first in range(0, len(shapes), TOGETHER):
            few = shapes[first : first + TOGETHER]
            start, end = end, end + sum(map(math.prod, few))
            small.append(_shrink(pixels[start:end], few, memory))
    return np.concatenate(small)


def gathered(images: Iterable[Pixels]) -> Iterator[tuple[Pixels, list[Shape]]]:
    """Yields the pixels of several images in one array, valid until the next, and their shapes.

    One array takes less time than many small ones: those would be fresh memory, whose pages the system has to clear.
    """
    room = np.empty(WAITING_BYTES, dtype=np.uint8)
    shapes: list[Shape] = []
    used = 0
    for pixels in images:
        if shapes and used + pixels.size > len(room):
            yield room[:used], shapes
            shapes, used = [], 0
        if pixels.size > len(room):
            yield pixels.reshape(-1), [pixels.shape]
            continue
        shapes.append(pixels.shape)
        room[used : used + pixels.size].reshape(pixels.shape)[...] = pixels
        used += pixels.size
    if shapes:
        yield room[:used], shapes


class Memory:
    """Arrays that are used again: for each image, new ones would cost as much as half of what is done in them."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], kind: type[Real]) -> NDArray[Real]:
        """An array for some purpose, with any content."""
        size = math.prod(shape)
        if name not in self._arrays or self._arrays[name].size < size:
            self._arrays[name] = np.empty(size, dtype=kind)
        return self._arrays[name][:size].reshape(shape)


def _shrink(pixels: Pixels, shapes: Sequence[Shape], memory: Memory) -> Pixels:
    """Shrinks images whose pixels lie one after another; those of one width make one high image for the first pass."""
    narrow = memory.array("narrow", (sum(height for height, *_ in shapes), SIDE), np.float64)  # the lines of all images
    pixel = line = 0
    for line_shape, alike in groupby(shapes, lambda shape: shape[1:]):
        n_lines = sum(height for height, *_ in alike)
        end = pixel + n_lines * math.prod(line_shape)
        narrow_lines(pixels[pixel:end].reshape(n_lines, *line_shape), narrow[line : line + n_lines], memory)
        pixel, line = end, line + n_lines
    rounded_to_eight_bits(narrow)
    small = np.empty((len(shapes), SIDE, SIDE))
    image = line = 0
    for height, same in groupby(height for height, *_ in shapes):
        n = len(list(same))
        lines = narrow[line : line + n * height].reshape(n, height, SIDE)
        for band in bands(height):
            products(band.weights.T, lines[:, band.first : band.last], small[image : image + n, band.pixels])
        image, line = image + n, line + n * height
    return rounded_to_eight_bits(small).astype(np.uint8)


def narrow_lines(pixels: Pixels, lines: FloatArray, memory: Memory) -> None:
    """The first pass: sums of grey along each line of pixels, into `lines` of shape (height, 32), not rounded."""
    height, width = pixels.shape[:2]
    of_line = bands(width)
    step = max(1, BLOCK_PIXELS // width)
    for top in range(0, height, step):
        block = pixels[top : top + step]
        grey = memory.array("grey", block.shape[:2], np.float64)
        grey[...] = luma(block, memory) if block.ndim == 3 else block
        for band in of_line:
            product(grey[:, band.first : band.last], band.weights, lines[top : top + step, band.pixels])


def luma(pixels: Pixels, memory: Memory) -> NDArray[np.float32]:
    """Grey of each pixel of (height, width, 3): (R * 19595 + G * 38470 + B * 7471 + 32768) >> 16.

    Multiples of 2^-16 below 2^8 fill the 24 bits of a float32 exactly, so no sum is ever rounded.
    """
    height, width, _ = pixels.shape
    colours = memory.array("colours", (height * width, 3), np.float32)
    colours[...] = pixels.reshape(-1, 3)
    grey = product(colours, LUMA, memory.array("luma", (height * width,), np.float32), one_thread=ONE_THREAD_VECTOR)
    grey += ROUND
    return np.floor(grey, out=grey).reshape(height, width)


def product(
    left: NDArray[Real],
    right: NDArray[Real],
    out: NDArray[Real] | None = None,
    *,
    one_thread: int = ONE_THREAD_MATRIX,
) -> NDArray[Real]:
    """Multiplies (n, k) by (k, m) or (k,), in blocks of rows that BLAS multiplies on one thread."""
    if out is None:
        out = np.empty((len(left), *right.shape[1:]), dtype=left.dtype)
    step = max(1, one_thread // right.size)
    whole = len(left) // step * step
    if whole:
        blocks = out[:whole].reshape(-1, step, *right.shape[1:])
        np.matmul(left[:whole].reshape(-1, step, left.shape[1]), right, out=blocks)
    if whole < len(left):
        np.matmul(left[whole:], right, out=out[whole:])
    return out


def products(left: FloatArray, right: FloatArray, out: FloatArray) -> None:
    """Multiplies (n, k) by each of (images, k, m), in blocks of rows that BLAS multiplies on one thread."""
    step = max(1, ONE_THREAD_MATRIX // right[0].size)
    for top in range(0, len(left), step):
        np.matmul(left[top : top + step], right, out=out[:, top : top + step])


def rounded_to_eight_bits(values: FloatArray) -> FloatArray:
    """Rounds half up and clips to 0..255, as Pillow does after each pass; changes `values`."""
    values += 0.5
    np.floor(values, out=values)
    return np.clip(values, 0, 255, out=values)


@dataclass(frozen=True, eq=False)
class Band:
    """Weights of some of the 32 pixels; all others of their columns are 0, and multiplying by those takes time.

    Attributes:
        pixels: which of the 32 pixels.
        first, last: the pixels of the line that they depend on; `last` is the first one after these.
        weights: shape (last - first, number of pixels).
    """

    pixels: slice
    first: int
    last: int
    weights: FloatArray


def bands(length: int) -> tuple[Band, ...]:
    """The weights of a line of `length` pixels, for each quarter of the 32 pixels."""
    return bands_of_short(length) if length <= SHORT else bands_of_long(length)


def computed_bands(length: int) -> tuple[Band, ...]:
    """Cuts the weights into bands."""
    matrix = weights(length)
    found = []
    for start in range(0, SIDE, BAND):
        own = slice(start, start + BAND)
        used = np.flatnonzero(matrix[:, own].any(axis=1))
        first, last = int(used[0]), int(used[-1]) + 1
        found.append(Band(own, first, last, np.ascontiguousarray(matrix[first:last, own])))
    return tuple(found)


# Crops of people have hundreds of sizes, and their weights take several times as long as an image. Either cache stays
# below 50 MB.
bands_of_short = lru_cache(maxsize=SHORT)(computed_bands)
bands_of_long = lru_cache(maxsize=8)(computed_bands)


def weights(length: int) -> FloatArray:
    """Shape (length, 32): the weight of each of `length` pixels in a line for each of the 32 pixels.

    Repeats Pillow's precompute_coeffs and normalize_coeffs_8bpc (libImaging/Resample.c) operation by operation.
    """
    scale = length / SIDE
    filter_scale = max(scale, 1.0)
    support = LANCZOS_SUPPORT * filter_scale
    center = (np.arange(SIDE)[:, None] + 0.5) * scale
    first = np.maximum(np.trunc(center - support + 0.5), 0.0)
    last = np.minimum(np.trunc(center + support + 0.5), length)
    pixel = first + np.arange((last - first).max())  # shape (32, most pixels that one depends on)
    is_used = pixel < last
    line = np.where(is_used, lanczos((pixel - center + 0.5) * (1.0 / filter_scale)), 0.0)
    total = np.add.accumulate(line, axis=1)[:, -1:]  # left to right as in C
    fixed = line / total * PRECISION
    rounded = np.trunc(fixed + np.copysign(0.5, fixed)) / PRECISION
    matrix = np.zeros((length, SIDE))
    matrix[pixel[is_used].astype(np.int64), np.nonzero(is_used)[0]] = rounded[is_used]
    return matrix


def lanczos(x: FloatArray) -> FloatArray:
    """The windowed sinc; 0 outside [-3, 3)."""
    is_inside = (x >= -LANCZOS_SUPPORT) & (x < LANCZOS_SUPPORT)
    return np.where(is_inside, sinc(x) * sinc(x / LANCZOS_SUPPORT), 0.0)


def sinc(x: FloatArray) -> FloatArray:
    """sin(pi x) / (pi x), by the sine of the C library, as in Pillow: numpy's own may differ in the last bit."""
    angle = x * math.pi
    sine = np.reshape(list(map(math.sin, angle.ravel().tolist())), x.shape)
    return np.asarray(np.divide(sine, angle, out=np.ones_like(x), where=x != 0.0))
