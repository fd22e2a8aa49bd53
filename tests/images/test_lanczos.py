from collections.abc import Iterator
from weakref import finalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_groups import lanczos_weights, two_passes
from PIL import Image

from piq_bench.images import lanczos
from piq_bench.images.lanczos import (
    BLOCK_PIXELS,
    ONE_THREAD_MATRIX,
    TOGETHER,
    WAITING_BYTES,
    Memory,
    bands_of_long,
    bands_of_short,
    luma,
    product,
    shrink,
    weights,
)
from piq_bench.records import Pixels

sizes = st.one_of(st.integers(1, 48), st.sampled_from([64, 100, 128, 131, 256, 257, 600]))


@settings(max_examples=120)
@given(sizes, sizes, st.integers(0, 2**32), st.sampled_from(["noise", "hard", "smooth"]))
def test_the_two_passes_are_pillows_to_the_byte(width: int, height: int, seed: int, kind: str) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "hard":
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)  # overshoots, so that clipping counts
    if kind == "smooth":
        pixels = np.sort(pixels, axis=0)
    expected = np.asarray(two_passes(Image.fromarray(pixels)))
    np.testing.assert_array_equal(shrink([pixels])[0], expected)
    np.testing.assert_array_equal(shrink([np.asarray(Image.fromarray(pixels).convert("L"))])[0], expected)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(sizes, sizes, st.booleans(), st.integers(1, 3)), max_size=TOGETHER),
    st.integers(0, 2**32),
    st.sampled_from([1, 50_000, WAITING_BYTES]),
    st.sampled_from([1, 2_000, ONE_THREAD_MATRIX]),
)
def test_images_of_any_sizes_shrink_together_as_one_by_one(
    kinds: list[tuple[int, int, bool, int]], seed: int, waiting: int, one_thread: int
) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    shapes = [(height, width, 3)[: 2 + is_colour] for height, width, is_colour, n in kinds for _ in range(n)]
    images = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanczos, "WAITING_BYTES", waiting)
        patch.setattr(lanczos, "ONE_THREAD_MATRIX", one_thread)
        small = shrink(iter(images))
    assert small.shape == (len(images), 32, 32)
    for pixels, found in zip(images, small, strict=True):
        np.testing.assert_array_equal(found, np.asarray(two_passes(Image.fromarray(pixels).convert("L"))))


def test_large_images_do_not_wait_for_others() -> None:
    rng = np.random.Generator(np.random.PCG64(6))
    alive: list[int] = []

    def decoded() -> Iterator[Pixels]:
        for _ in range(4):
            pixels = rng.integers(0, 256, (WAITING_BYTES // 2000, 2001), dtype=np.uint8)
            finalize(pixels, alive.pop)
            alive.append(0)
            assert len(alive) <= 2  # this one, and the one before as long as its name is in use
            yield pixels

    assert shrink(decoded()).shape == (4, 32, 32)


def test_an_image_of_several_blocks_shrinks_as_in_one() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    pixels = rng.integers(0, 256, (1100, 1000, 3), dtype=np.uint8)
    assert pixels.shape[0] * pixels.shape[1] > 2 * BLOCK_PIXELS
    np.testing.assert_array_equal(shrink([pixels])[0], np.asarray(two_passes(Image.fromarray(pixels))))


def test_a_long_side_is_shrunk_too() -> None:
    pixels = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (3, 5000), dtype=np.uint8)
    np.testing.assert_array_equal(shrink([pixels])[0], np.asarray(two_passes(Image.fromarray(pixels))))


def test_weights_are_computed_once_for_each_length() -> None:
    """Crops of people have more lengths than a small cache would hold."""
    for cache, lengths in ((bands_of_short, range(1, 301)), (bands_of_long, (2100, 2101))):
        cache.cache_clear()
        for length in (*lengths, *lengths):
            shrink([np.zeros((1, length), dtype=np.uint8)])
        assert cache.cache_info().misses == len(lengths)


def test_luma_is_the_integer_formula_for_every_corner_and_many_colours() -> None:
    levels = np.array([0, 1, 2, 63, 127, 128, 200, 254, 255], dtype=np.uint8)
    corners = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    many = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (100, 997, 3), dtype=np.uint8)
    for pixels in (corners, many):
        red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
        expected = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        np.testing.assert_array_equal(luma(pixels, Memory()), expected)
        np.testing.assert_array_equal(np.asarray(Image.fromarray(pixels).convert("L")), expected)


@settings(max_examples=60)
@given(st.one_of(st.integers(1, 64), st.integers(1, 3000)))
def test_weights_are_pillows_to_the_last_bit(length: int) -> None:
    np.testing.assert_array_equal(weights(length), np.transpose(lanczos_weights(length)))


@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 128, 333])
def test_weights_are_whole_multiples_and_sum_to_about_one(length: int) -> None:
    fixed = weights(length) * (1 << 22)
    np.testing.assert_array_equal(fixed, np.round(fixed))
    assert abs(fixed.sum(axis=0) - (1 << 22)).max() <= length


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(1, 60))
def test_a_product_in_pieces_is_the_product(rows: int, inner: int, columns: int, one_thread: int) -> None:
    left = np.arange(rows * inner, dtype=np.float64).reshape(rows, inner) % 7
    right = np.arange(inner * columns, dtype=np.float64).reshape(inner, columns) % 5
    np.testing.assert_array_equal(product(left, right, one_thread=one_thread), left @ right)
    np.testing.assert_array_equal(product(left, right[:, 0].copy(), one_thread=one_thread), left @ right[:, 0])
