"""Computes the 64-bit perceptual hash and the quality of 32 x 32 grey pixels: the definition of the hash, version 1.

The hash takes the DCT-II along both axes and its 8 x 8 lowest frequencies, the constant one included. A bit says
whether its coefficient is greater than the median of all 64, in real arithmetic; bits are in order of rows, the first
is the most significant. The median of 64 numbers splits them 32 to 32, so two hashes always differ in an even number of
bits, except where coefficients are equal at the median: flat images and ramps. Those have one of a few hashes whatever
they show, and are called degenerate.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from piq_bench.images.lanczos import SIDE, product
from piq_bench.records import BoolArray, FloatArray, Pixels

DEFINITION = "piq-bench/phash/1"
N_LOW = 8
N_BITS = N_LOW * N_LOW
N_SET = N_BITS // 2

# Coefficients are below 2^18; a float64 sum of 1,024 products of that size has an error below 1e-8 in any order. Where
# the two middle coefficients are nearer than this, float64 cannot tell which is greater and exact integers decide.
NEAR_TIE = 1e-6
# Four times a coefficient is a sum of 2 cos(k pi / 64) with integer weights: an algebraic integer of degree 32. The
# difference of two is below 2^21, and so are its 31 conjugates; the product of all 32 is an integer, so a difference
# that is not 0 is above 2^-651. Errors of 800-bit cosines stay below 2^-770, so equality is decided exactly.
EXACT_BITS = 800
EXACT_EQUAL = 1 << (2 * EXACT_BITS - 700)


def phash(pixels: Pixels) -> NDArray[np.uint64]:
    """Hashes, shape (n,), of images of shape (n, 32, 32); the same bits on every machine.

    >>> image = np.arange(32, dtype=np.uint8) * np.ones((1, 32, 32), dtype=np.uint8)
    >>> f"{phash(image)[0]:016x}"  # a ramp: only its constant term is above the median, which is 0
    '8000000000000000'
    """
    along_x = product(pixels.reshape(-1, SIDE).astype(np.float64), BASIS.T)  # (n * 32 rows, 8)
    turned = np.ascontiguousarray(along_x.reshape(-1, SIDE, N_LOW).transpose(0, 2, 1)).reshape(-1, SIDE)
    both = product(turned, BASIS.T).reshape(-1, N_LOW, N_LOW)  # (n, along x, along y)
    coefficients = both.transpose(0, 2, 1).reshape(-1, N_BITS)
    ordered = np.sort(coefficients, axis=1)
    low, high = ordered[:, N_SET - 1], ordered[:, N_SET]
    bits = coefficients > ((low + high) / 2)[:, None]
    for row in np.flatnonzero(high - low < NEAR_TIE):
        bits[row] = exact_bits(pixels[row])
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64)


def degenerate(hashes: NDArray[np.uint64]) -> BoolArray:
    """Whether not exactly 32 of the 64 bits are set: such a hash says nothing about the image."""
    return np.asarray(popcount(hashes) != N_SET)


def quality(pixels: Pixels) -> FloatArray:
    """Mean absolute step along x plus that along y, shape (n,), of images of shape (n, 32, 32); 0 is flat."""
    values = pixels.astype(np.int16)
    along_x, along_y = (np.abs(np.diff(values, axis=axis)).sum(axis=(1, 2), dtype=np.int64) for axis in (2, 1))
    steps = along_x + along_y
    return np.asarray(steps / (SIDE * (SIDE - 1)), dtype=np.float64)  # one rounding of an exact quotient


def popcount(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of bits set in each value."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(values), dtype=np.uint8)
    return counted_by_halves(values)  # numpy 1.26


def counted_by_halves(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Number of bits set, counted in pairs, then nibbles, then bytes (Hacker's Delight, 5-1)."""
    one, two, four, top = (np.uint64(k) for k in (1, 2, 4, 56))
    pairs = values - ((values >> one) & np.uint64(0x5555555555555555))
    nibbles = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> two) & np.uint64(0x3333333333333333))
    octets = (nibbles + (nibbles >> four)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((octets * np.uint64(0x0101010101010101)) >> top, dtype=np.uint8)


def exact_bits(pixels: Pixels) -> BoolArray:
    """The 64 bits of one image by integers of 1,600 bits, which decide ties at the median exactly."""
    basis = exact_basis()
    values = [[int(value) for value in row] for row in pixels]
    along_x = [[sum(p * c for p, c in zip(row, wave, strict=True)) for row in values] for wave in basis]
    coefficients = [sum(p * c for p, c in zip(line, wave, strict=True)) for wave in basis for line in along_x]
    ordered = sorted(coefficients)
    low, high = ordered[N_SET - 1], ordered[N_SET]
    if high - low < EXACT_EQUAL:
        return np.array([value - low >= EXACT_EQUAL for value in coefficients])
    return np.array([value >= high for value in coefficients])


@cache
def exact_basis() -> list[list[int]]:
    """cos(pi u (2 x + 1) / 64) for u of 0..7 and x of 0..31, as integers of 2^-800."""
    cosines = exact_cosines()
    return [[cosines[u * (2 * x + 1) % (4 * SIDE)] for x in range(SIDE)] for u in range(N_LOW)]


def exact_cosines() -> list[int]:
    """cos(k pi / 64) for k of 0..127, each within 2^-790, from square roots of integers alone."""
    guard = 40  # extra bits for the rounding errors of the recurrence
    one = 1 << (EXACT_BITS + guard)
    half_angle = 0  # cos(pi / 2)
    for _ in range(5):  # cos(a / 2) = sqrt((1 + cos a) / 2): pi/4, pi/8, ... pi/64
        half_angle = math.isqrt((one + half_angle) * one // 2)
    line = [one, half_angle]
    while len(line) <= SIDE:  # cos((k + 1) a) = 2 cos a cos(k a) - cos((k - 1) a)
        line.append(2 * half_angle * line[-1] // one - line[-2])
    line[SIDE] = 0
    quarter = [value >> guard for value in line]  # k of 0..32
    half = quarter + [-value for value in quarter[SIDE - 1 :: -1]]  # k of 0..64
    return half + half[2 * SIDE - 1 : 0 : -1]


BASIS = np.array([[math.cos(math.pi * u * (2 * x + 1) / (2 * SIDE)) for x in range(SIDE)] for u in range(N_LOW)])
