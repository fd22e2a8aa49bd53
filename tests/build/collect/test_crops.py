"""Crops: which pixels a box covers, and the same bytes for the same pixels."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from piq_bench.build.collect.crops import LOW, OUTSIDE, CropSettings, encoded, region
from piq_bench.build.collect.tracks import Box

SETTINGS = CropSettings(min_height=10)


def at(left: float, top: float, width: float, height: float, settings: CropSettings = SETTINGS) -> object:
    return region(Box(1, left, top, width, height, 1), settings, height=100, width=200)


def test_a_box_is_cut_at_the_border_of_the_picture() -> None:
    assert at(10, 20, 30, 40) == (10, 20, 40, 60)
    assert at(-5, -5, 30, 40) == (0, 0, 25, 35)
    assert at(190, 80, 30, 40) == (190, 80, 200, 100)


def test_padding_adds_a_share_on_each_side_and_stays_inside() -> None:
    assert at(50, 20, 20, 40, CropSettings(padding=0.25)) == LOW
    assert at(50, 20, 20, 70, CropSettings(padding=0.25)) == (45, 2, 75, 100)


def test_boxes_outside_and_low_ones_have_reasons() -> None:
    assert at(250, 20, 30, 40) == OUTSIDE
    assert at(20, -50, 30, 40) == OUTSIDE
    assert at(20, -31, 30, 40) == LOW
    assert at(20, -30, 30, 40) == (20, 0, 50, 10)


numbers = st.floats(-300, 300)
sizes = st.floats(0.01, 500)


@given(numbers, numbers, sizes, sizes, st.floats(0, 2))
def test_a_region_is_never_empty_and_never_leaves_the_picture(
    left: float, top: float, width: float, height: float, padding: float
) -> None:
    area = at(left, top, width, height, CropSettings(padding=padding, min_height=1))
    if isinstance(area, tuple):
        assert 0 <= area[0] < area[2] <= 200 and 0 <= area[1] < area[3] <= 100
    else:
        covered = (
            [x for x in range(200) if left <= x < left + width],
            [y for y in range(100) if top <= y < top + height],
        )
        assert area == OUTSIDE and min(map(len, covered)) <= 1


@pytest.mark.parametrize("file_type", ["jpg", "png"])
def test_equal_pixels_give_equal_bytes_of_the_size_asked_for(file_type: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 30, 3)).astype(np.uint8)
    settings = CropSettings(64, 32, file_type=file_type)
    data = encoded(pixels, settings)
    assert data == encoded(pixels.copy(), settings)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ({"jpg": "JPEG", "png": "PNG"}[file_type], (32, 64))


def test_a_crop_that_already_has_the_size_is_kept_to_the_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(encoded(pixels, CropSettings(64, 32, file_type="png")))) as image:
        assert np.array_equal(np.asarray(image), pixels)
