import io
from decimal import Decimal, localcontext

import numpy as np
import PIL
import pytest
from group_builders import balanced_hashes, sample_image
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles_groups import hash_by_imagehash, native_hash
from PIL import Image

from piq_bench.group.phash import (
    EXACT_BITS,
    counted_by_halves,
    degenerate,
    exact_bits,
    exact_cosines,
    phash,
    popcount,
    quality,
)
from piq_bench.group.selftest import EXPECTED, made_image, wrong_hashes
from piq_bench.images.lanczos import shrink
from piq_bench.records import Pixels


def hash_of(pixels: Pixels) -> int:
    return int(phash(shrink([pixels]))[0])


def bits_to_number(bits: NDArray[np.bool_]) -> int:
    return int("".join("1" if bit else "0" for bit in bits), 2)


def test_a_batch_of_noise_hashes_as_imagehash_does() -> None:
    pixels = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (500, 32, 32), dtype=np.uint8)
    expected = [native_hash(Image.fromarray(one)) for one in pixels]  # of this size, it resizes nothing
    assert phash(pixels).tolist() == expected


@pytest.mark.parametrize("size", [(128, 256), (64, 128), (61, 127), (200, 90), (20, 12), (7, 90), (90, 7), (33, 31)])
def test_images_of_any_size_hash_as_imagehash_fed_with_two_passes(size: tuple[int, int]) -> None:
    for seed in range(8):
        image = sample_image(seed, *size)
        assert hash_of(np.asarray(image)) == hash_by_imagehash(image)
        assert hash_of(np.asarray(image.convert("L"))) == hash_by_imagehash(image)


def test_jpeg_files_hash_as_imagehash_fed_with_two_passes() -> None:
    for seed, quality_level in enumerate([95, 75, 30, 10]):
        buffer = io.BytesIO()
        sample_image(seed, 127, 251).save(buffer, "JPEG", quality=quality_level)
        image = Image.open(buffer)
        assert hash_of(np.asarray(image)) == hash_by_imagehash(image)


def test_hashes_do_not_depend_on_the_installed_pillow() -> None:
    images = [sample_image(seed, 128, 256) for seed in range(40)]
    differing = sum(native_hash(image) != hash_of(np.asarray(image)) for image in images)
    if int(PIL.__version__.split(".")[0]) >= 13:
        assert differing > 0  # its one-call resize goes the other way round
    else:
        assert differing == 0


def test_synthetic_images_have_their_frozen_bits() -> None:
    assert wrong_hashes() == {}
    for key, expected in EXPECTED.items():
        assert hash_by_imagehash(Image.fromarray(made_image(*key))) == expected


def test_another_grey_of_pillow_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = Image.Image.convert
    monkeypatch.setattr(
        Image.Image, "convert", lambda image, mode: convert(image, mode).point(lambda value: value * 7 // 8)
    )
    assert wrong_hashes().keys() == EXPECTED.keys()


def test_distances_are_even_because_32_bits_are_set() -> None:
    hashes = [hash_of(np.asarray(sample_image(seed))) for seed in range(30)]
    assert {value.bit_count() for value in hashes} == {32}
    assert all((a ^ b).bit_count() % 2 == 0 for a in hashes for b in hashes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("black", 0), ("grey", 1 << 63), ("white", 1 << 63), ("ramp", 1 << 63), ("falling", 0xD500000000000000)],
)
def test_degenerate_images_have_known_hashes_and_are_marked(name: str, expected: int) -> None:
    ramp = np.arange(32, dtype=np.uint8)[None, :] + np.zeros((32, 1), dtype=np.uint8)
    pixels = {
        "black": np.zeros((32, 32), dtype=np.uint8),
        "grey": np.full((32, 32), 90, dtype=np.uint8),
        "white": np.full((32, 32), 255, dtype=np.uint8),
        "ramp": ramp,
        "falling": ramp[:, ::-1].copy(),
    }[name]
    hashes = phash(pixels[None])
    assert hashes.tolist() == [expected]
    assert degenerate(hashes).tolist() == [True]


def test_a_mirror_image_of_itself_has_exact_zeros_that_float64_misses() -> None:
    half = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (32, 16), dtype=np.uint8)
    pixels = np.concatenate([half, half[:, ::-1]], axis=1)  # every odd frequency along x is 0: 32 ties
    value = int(phash(pixels[None])[0])
    for v in (1, 3, 5, 7):  # a zero is above the median only if the median is negative, and then all are
        column = {value >> (63 - (8 * u + v)) & 1 for u in range(8)}
        assert len(column) == 1
    assert value == bits_to_number(exact_bits(pixels))
    assert value == int(phash(pixels[:, ::-1].copy()[None])[0])


def slow_bits(pixels: Pixels) -> list[bool]:
    """The definition in decimals of 60 digits; equal within 1e-40."""
    with localcontext() as context:
        context.prec = 60
        cosines = [decimal_cosine(k) for k in range(128)]
        coefficients = []
        for u in range(8):
            for v in range(8):
                total = Decimal(0)
                for y in range(32):
                    line = sum((int(pixels[y, x]) * cosines[v * (2 * x + 1) % 128] for x in range(32)), Decimal(0))
                    total += line * cosines[u * (2 * y + 1) % 128]
                coefficients.append(total)
        ordered = sorted(coefficients)
        median = (ordered[31] + ordered[32]) / 2
        return [value - median > Decimal("1e-40") for value in coefficients]


def decimal_cosine(k: int) -> Decimal:
    """cos(k pi / 64) by its series."""
    x = Decimal("3.14159265358979323846264338327950288419716939937510582097494459") * k / 64
    term, total = Decimal(1), Decimal(1)
    for n in range(1, 60):
        term = -term * x * x / ((2 * n - 1) * (2 * n))
        total += term
    return total


@pytest.mark.parametrize("seed", range(3))
def test_bits_follow_the_definition_in_decimals(seed: int) -> None:
    rng = np.random.Generator(np.random.PCG64(seed))
    pixels = rng.integers(0, 4 if seed else 256, (32, 32), dtype=np.uint8)
    if seed == 2:
        pixels = np.maximum(pixels, pixels.T)  # equal coefficients across the diagonal
    assert phash(pixels[None])[0] == bits_to_number(np.array(slow_bits(pixels)))
    assert exact_bits(pixels).tolist() == slow_bits(pixels)


def test_exact_and_float_decisions_agree_where_there_is_no_tie() -> None:
    pixels = np.random.Generator(np.random.PCG64(6)).integers(0, 256, (20, 32, 32), dtype=np.uint8)
    assert phash(pixels).tolist() == [bits_to_number(exact_bits(one)) for one in pixels]


def test_exact_cosines_are_right_to_their_last_bits() -> None:
    with localcontext() as context:
        context.prec = 60
        for k, value in enumerate(exact_cosines()):
            assert abs(Decimal(value) / Decimal(1 << EXACT_BITS) - decimal_cosine(k)) < Decimal("1e-55")


def test_quality_is_the_mean_step() -> None:
    flat = np.full((32, 32), 7, dtype=np.uint8)
    ramp = (2 * np.arange(32, dtype=np.uint8))[None, :] + flat
    checks = np.where(np.indices((32, 32)).sum(axis=0) % 2, 255, 0).astype(np.uint8)
    assert quality(np.stack([flat, ramp, checks])).tolist() == [0.0, 2.0, 510.0]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_bits_are_counted(values: list[int]) -> None:
    expected = [value.bit_count() for value in values]
    assert popcount(np.array(values, dtype=np.uint64)).tolist() == expected
    assert counted_by_halves(np.array(values, dtype=np.uint64)).tolist() == expected


def test_made_hashes_are_like_real_ones() -> None:
    assert not degenerate(balanced_hashes(300, seed=1)).any()
