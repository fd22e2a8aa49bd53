"""Multiplies float32 rows with Intel's matrix unit (AMX), which multiplies bfloat16 many times faster than float32.

Every value is split into two bfloat16 numbers, high and low: their sum is within 2**-18 of it. A product of two rows
is the sum of high x high, low x high and high x low, added up in float32. `SPLIT_ROUNDINGS` bounds what that leaves
out. The unit works on tiles of 16 rows; both sides are stored as panels of 32 rows, two tiles for the high halves and
two for the low ones, in steps of 32 values, so that everything that is read together lies together.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and TDPBF16PS in volume 2.
"""

import ctypes
import platform
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

from piq_bench.records import Float32Array, FloatArray
from piq_bench.retrieve.numba_cache import inner, njit

Node = Any  # numba's and llvmlite's objects, which have no types
Halves = NDArray[np.uint16]  # bits of bfloat16 numbers

PANEL = 32  # rows of a panel: two tiles
TILE = 16  # rows of a tile
STEP = 32  # values of a row in a tile
ALIGNMENT = 64  # bytes; a tile is read several times faster from the beginning of a cache line
TILE_BYTES = TILE * ALIGNMENT
STEP_BYTES = 4 * TILE_BYTES  # of a panel: high halves of two tiles, then their low halves
PANELS_AT_ONCE = 16  # panels of images that stay in the second-level cache while all queries pass
SPLIT_ROUNDINGS = 3 * 2**6 * 1.02  # low x low and both remainders: 3 x 2**-18 of the magnitudes, in units of 2**-24
SUM_ROUNDINGS = 32.0  # further roundings of a sum: three parts, each of them added tile by tile
ASK_FOR_PERMISSION, TILE_DATA, ARCH_PRCTL = 0x1023, 18, 158  # of Linux: asm/prctl.h, asm/fpu/types.h, asm/unistd_64.h
SEVEN, ONE, HALF, SIGN = np.uint32(0x7FFF), np.uint32(1), np.uint32(16), np.uint32(0xFFFF0000)


@cache
def is_available() -> bool:
    """Whether this process may use the unit; asks Linux for permission, which it gives to the whole process."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or getattr(config, "CPU_NAME", None) is not None:
        return False
    features = binding.get_host_cpu_features()
    if not (features.get("amx-tile") and features.get("amx-bf16")):
        return False
    try:
        return int(ctypes.CDLL(None).syscall(ARCH_PRCTL, ASK_FOR_PERMISSION, TILE_DATA)) == 0
    except (OSError, AttributeError):
        return False


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros that begins at a multiple of ALIGNMENT bytes."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(n_bytes + ALIGNMENT, np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + n_bytes].view(dtype).reshape(shape)


def panels(n_rows: int, dimension: int) -> Halves:
    """Memory for the panels of some rows: shape (n_panels, n_steps, 4, TILE, STEP), zero where no row will be."""
    return aligned((-(-n_rows // PANEL), -(-dimension // STEP), 4, TILE, STEP), np.uint16)


def product_buffer(n_rows: int, n_images: int) -> Float32Array:
    """Memory for products of some queries and images. Rows are an odd number of cache lines apart, in whole panels."""
    return aligned((-(-n_rows // PANEL) * PANEL, -(-n_images // PANEL) * PANEL + TILE), np.float32)


@inner()
def _split(bits: np.uint32) -> np.uint32:
    """Bits of the nearest bfloat16 number, as those of a float32: ties to even."""
    return np.uint32((bits + SEVEN + (bits >> HALF & ONE)) & SIGN)


@njit(nogil=True)
def _fill(
    vectors: Float32Array, norm: FloatArray, first: int, last: int, per_row: int, per_pair: int, written: Halves
) -> None:
    """Write rows `first` to `last`, each divided by its norm, into panels.

    Args:
        vectors: shape (n_rows, dimension).
        norm: shape (n_rows,).
        first: the first of the rows.
        last: the first row after them.
        per_row: how far a row's first value is from that of the row before, in a tile.
        per_pair: how much further than the next value a row's next pair of values is.
        written: shape (n_panels, n_steps, 4, TILE * STEP).
    """
    dimension = vectors.shape[1]
    for begin in range(0, dimension, STEP):  # a step of a panel stays in the first-level cache
        for row in range(first, last):
            inverse = 1.0 / norm[row]
            panel, half, place = written[row // PANEL, begin // STEP], row % PANEL // TILE, row % TILE * per_row
            for index in range(min(STEP, dimension - begin)):
                whole = np.float32(np.float64(vectors[row, begin + index]) * inverse)
                high = _split(np.float32(whole).view(np.uint32))  # numba knows no `view` but that of such calls
                low = _split(np.float32(whole - np.uint32(high).view(np.float32)).view(np.uint32))
                here = place + index + index // 2 * per_pair
                panel[half, here] = high >> HALF
                panel[2 + half, here] = low >> HALF


def fill_rows(vectors: Float32Array, norm: FloatArray, first: int, last: int, written: Halves) -> None:
    """Write rows `first` to `last`, each divided by its norm, into panels of queries: one row after another."""
    _fill(vectors, norm, first, last, STEP, 0, written.reshape(*written.shape[:3], -1))


def fill_columns(vectors: Float32Array, norm: FloatArray, written: Halves) -> None:
    """Write all rows, each divided by its norm, into panels of images: pairs of values of 16 images side by side."""
    _fill(vectors, norm, 0, norm.size, 2, STEP - 2, written.reshape(*written.shape[:3], -1))


@njit(nogil=True)
def multiply(
    queries: Halves,
    first: int,
    last: int,
    images: Halves,
    n_panels: int,
    added: Float32Array,
    products: Float32Array,
    tiles: NDArray[np.uint8],
) -> None:
    """Write the products of some panels of queries with panels of images, each plus a number of the image.

    Args:
        queries: see `panels`, filled by `fill_rows`.
        first: the first panel of queries.
        last: the first panel after them.
        images: see `panels`, filled by `fill_columns`.
        n_panels: number of panels of images to multiply.
        added: shape (n_panels * PANEL or more,); is added to the products of each image.
        products: see `product_buffer`, written.
        tiles: `TILES`.
    """
    _configure(np.uint64(tiles.ctypes.data))  # type: ignore[call-arg]
    line = np.uint64(products.shape[1] * products.itemsize)
    n_steps = np.uint64(queries.shape[1])
    panel = n_steps * np.uint64(STEP_BYTES)
    left, right = np.uint64(queries.ctypes.data), np.uint64(images.ctypes.data)
    target, start = np.uint64(products.ctypes.data), np.uint64(added.ctypes.data)
    width = np.uint64(PANEL * products.itemsize)
    for group in range(0, n_panels, PANELS_AT_ONCE):
        for query in range(first, last):
            row = target + np.uint64((query - first) * PANEL) * line
            for image in range(group, min(group + PANELS_AT_ONCE, n_panels)):
                column = np.uint64(image) * width
                _multiply_panels(
                    left + np.uint64(query) * panel,
                    right + np.uint64(image) * panel,
                    n_steps,
                    start + column,
                    row + column,
                    line,
                )
    _release()


def _tiles() -> NDArray[np.uint8]:
    """The configuration of the unit: eight tiles of 16 rows, of 64 bytes each."""
    tiles = np.zeros(64, np.uint8)
    tiles[0] = 1  # palette
    tiles[16:32:2] = ALIGNMENT
    tiles[48:56] = TILE
    return tiles


TILES = _tiles()
_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_ADDRESS = ir.PointerType(_BYTE)


class _Unit:
    """Writes the instructions of the unit into a function that numba compiles. Addresses are 64-bit numbers."""

    def __init__(self, context: Node, builder: Node) -> None:
        self.nothing, self.builder = context.get_dummy_value(), builder

    def _call(self, name: str, kinds: list[Node], given: list[Node]) -> None:
        kind = ir.FunctionType(ir.VoidType(), kinds)
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)  # type: ignore[no-untyped-call]
        self.builder.call(function, given)

    def at(self, address: Node, offset: int) -> Node:
        return self.builder.inttoptr(self.builder.add(address, ir.Constant(_WORD, offset)), _ADDRESS)

    def configure(self, address: Node) -> None:
        self._call("llvm.x86.ldtilecfg", [_ADDRESS], [self.at(address, 0)])

    def release(self) -> None:
        self._call("llvm.x86.tilerelease", [], [])

    def load(self, tile: int, address: Node, offset: int, stride: Node) -> None:
        given = [ir.Constant(_BYTE, tile), self.at(address, offset), stride]
        self._call("llvm.x86.tileloadd64", [_BYTE, _ADDRESS, _WORD], given)

    def store(self, tile: int, address: Node, offset: int, stride: Node) -> None:
        given = [ir.Constant(_BYTE, tile), self.at(address, offset), stride]
        self._call("llvm.x86.tilestored64", [_BYTE, _ADDRESS, _WORD], given)

    def add_product(self, total: int, left: int, right: int) -> None:
        self._call("llvm.x86.tdpbf16ps", [_BYTE] * 3, [ir.Constant(_BYTE, tile) for tile in (total, left, right)])


@intrinsic
def _configure(typing: Node, address: Node) -> tuple[Node, Callable[..., Node]]:
    """Configure the tiles of this thread."""

    def generate(context: Node, builder: Node, signature: Node, given: Node) -> Node:
        unit = _Unit(context, builder)
        unit.configure(*given)
        return unit.nothing

    return types.void(types.uint64), generate


@intrinsic
def _release(typing: Node) -> tuple[Node, Callable[..., Node]]:
    """Release the tiles of this thread."""

    def generate(context: Node, builder: Node, signature: Node, given: Node) -> Node:
        unit = _Unit(context, builder)
        unit.release()
        return unit.nothing

    return types.void(), generate


@intrinsic
def _multiply_panels(
    typing: Node, left: Node, right: Node, n_steps: Node, added: Node, target: Node, line: Node
) -> tuple[Node, Callable[..., Node]]:
    """Multiply a panel of queries with a panel of images. Tiles 0 to 3 hold sums, 4 and 5 queries, 6 and 7 images."""

    def generate(context: Node, builder: Node, signature: Node, given: Node) -> Node:
        left, right, n_steps, added, target, line = given
        unit = _Unit(context, builder)
        same_line, next_line = ir.Constant(_WORD, 0), ir.Constant(_WORD, ALIGNMENT)
        for tile in range(4):
            unit.load(tile, added, tile % 2 * ALIGNMENT, same_line)  # the same line for all 16 rows
        with cgutils.for_range(builder, n_steps, intp=_WORD) as loop:
            step = builder.mul(loop.index, ir.Constant(_WORD, STEP_BYTES))
            queries, images = builder.add(left, step), builder.add(right, step)
            # High x high, low x high, high x low: each tile is loaded just before it is needed.
            for query_part, image_part in ((0, 0), (2, 0), (0, 2)):
                loads_images = (query_part, image_part) != (2, 0)
                unit.load(4, queries, query_part * TILE_BYTES, next_line)
                if loads_images:
                    unit.load(6, images, image_part * TILE_BYTES, next_line)
                unit.add_product(0, 4, 6)
                if loads_images:
                    unit.load(7, images, (image_part + 1) * TILE_BYTES, next_line)
                unit.add_product(1, 4, 7)
                unit.load(5, queries, (query_part + 1) * TILE_BYTES, next_line)
                unit.add_product(2, 5, 6)
                unit.add_product(3, 5, 7)
        lower = builder.add(target, builder.mul(line, ir.Constant(_WORD, TILE)))
        for tile in range(4):
            unit.store(tile, (target, lower)[tile // 2], tile % 2 * ALIGNMENT, line)
        return unit.nothing

    return types.void(*[types.uint64] * 6), generate
