"""Shrinks colour images to 32 x 32 grey pixels by compiled integer arithmetic: the bytes of `lanczos.shrink`, sooner.

Loading the compiler takes as long as shrinking some thousand images with numpy, so only large data sets come here.
Sums are below 2^31, as in Pillow, whose integers they are.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.images.lanczos import PRECISION, SIDE, shrink, weights
from piq_bench.images.numba_cache import njit
from piq_bench.records import IntArray, Pixels

Whole32 = NDArray[np.int32]

ROWS = 64  # rows that are shrunk at once; their grey pixels stay in the processor's first cache
BITS = 22  # PRECISION is 2^22
HALF = 1 << (BITS - 1)
CACHED_LENGTH = 2048
I32: Any = np.int32  # numba makes 64-bit numbers of sums and products unless told otherwise, which halves the speed
U32: Any = np.uint32
RED, GREEN, BLUE, HALF_LUMA, LUMA_BITS = (U32(value) for value in (19595, 38470, 7471, 1 << 15, 16))


def shrink_compiled(pixels: Pixels) -> Pixels:
    """Shrinks as `lanczos.shrink` does; grey pixels are left to that."""
    if pixels.ndim != 3:
        return shrink(pixels)
    pixels = np.ascontiguousarray(pixels).view()
    pixels.flags.writeable = False  # as Pillow's are, so that the kernel is compiled once
    height, width, _ = pixels.shape
    small = np.empty((SIDE, SIDE), dtype=np.uint8)
    _shrink(pixels, *taps(width), *taps(height), small)
    return small


def shrink_all_compiled(images: Iterable[Pixels]) -> Pixels:
    """Shrinks images of any sizes to (n, 32, 32)."""
    return np.array([shrink_compiled(pixels) for pixels in images], dtype=np.uint8).reshape(-1, SIDE, SIDE)


def taps(length: int) -> tuple[IntArray, IntArray, Whole32]:
    """For each of the 32 pixels: the first pixel of the line with a weight, the one after the last, and the weights."""
    return _cached_taps(length) if length <= CACHED_LENGTH else _taps(length)


def _taps(length: int) -> tuple[IntArray, IntArray, Whole32]:
    fixed = (weights(length) * PRECISION).astype(np.int32)
    is_used = fixed != 0
    first, last = is_used.argmax(axis=0), length - is_used[::-1].argmax(axis=0)
    lines = np.zeros((SIDE, int((last - first).max())), dtype=np.int32)
    for pixel in range(SIDE):
        lines[pixel, : last[pixel] - first[pixel]] = fixed[first[pixel] : last[pixel], pixel]
    return first, last, lines


_cached_taps = lru_cache(maxsize=256)(_taps)


@njit(nogil=True)
def _shrink(
    pixels: Pixels,
    first_x: IntArray,
    last_x: IntArray,
    weight_x: Whole32,
    first_y: IntArray,
    last_y: IntArray,
    weight_y: Whole32,
    small: Pixels,
) -> None:
    height, width = pixels.shape[:2]
    grey = np.empty(ROWS * width, np.uint8)
    columns = np.zeros((width, ROWS), np.uint8)  # the grey pixels column by column, so that rows are summed together
    narrow = np.empty((height, SIDE), np.uint8)
    sums = np.empty(ROWS, np.int32)
    for top in range(0, height, ROWS):
        n_rows = min(ROWS, height - top)
        colours = pixels[top : top + n_rows].reshape(n_rows * width * 3)
        for i in range(n_rows * width):
            red, green, blue = U32(colours[3 * i]), U32(colours[3 * i + 1]), U32(colours[3 * i + 2])
            grey[i] = np.uint8((red * RED + green * GREEN + blue * BLUE + HALF_LUMA) >> LUMA_BITS)
        for y in range(n_rows):
            for x in range(width):
                columns[x, y] = grey[y * width + x]
        for out in range(SIDE):
            sums[:] = HALF
            for x in range(first_x[out], last_x[out]):
                weight = weight_x[out, x - first_x[out]]
                for y in range(ROWS):
                    sums[y] += I32(columns[x, y]) * weight
            for y in range(n_rows):
                narrow[top + y, out] = np.uint8(min(max(sums[y] >> I32(BITS), I32(0)), I32(255)))
    line = sums[:SIDE]
    for out in range(SIDE):
        line[:] = HALF
        for y in range(first_y[out], last_y[out]):
            weight = weight_y[out, y - first_y[out]]
            for x in range(SIDE):
                line[x] += I32(narrow[y, x]) * weight
        for x in range(SIDE):
            small[out, x] = np.uint8(min(max(line[x] >> I32(BITS), I32(0)), I32(255)))
