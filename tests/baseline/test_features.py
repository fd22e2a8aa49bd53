import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.baseline.features import COLOUR_BINS, COLUMNS, DIRECTIONS, N_COLOURS, ROWS, SCALE, STRIPES, features

N_FEATURES = N_COLOURS + ROWS * COLUMNS * DIRECTIONS


def plain_features(pixels: np.ndarray) -> list[int]:
    """The same formulas, pixel by pixel."""
    height, width = pixels.shape[:2]
    rgb = [[[int(v) for v in np.broadcast_to(pixels[y, x], 3)] for x in range(width)] for y in range(height)]
    grey = [[(299 * r + 587 * g + 114 * b) // 1000 for r, g, b in row] for row in rgb]
    colours = [[[0] * COLOUR_BINS for _ in range(STRIPES)] for _ in range(3)]
    edges = [[0] * (COLUMNS * DIRECTIONS) for _ in range(ROWS)]
    left, right = width // 5, max(width - width // 5, width // 5 + 1)
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[y][x]
            if left <= x < right:
                for c, (value, zoom) in enumerate(
                    ((grey[y][x], 1), ((r - g + 255) // 2, 3), ((2 * b - r - g + 510) // 4, 3))
                ):
                    value = min(max((value - 128) * zoom + 128, 0), 255)
                    colours[c][y * STRIPES // height][value * COLOUR_BINS // 256] += 1
            across = grey[y][x + 1] - grey[y][x - 1] if 0 < x < width - 1 else 0
            down = grey[y + 1][x] - grey[y - 1][x] if 0 < y < height - 1 else 0
            if 12 * abs(across) > 29 * abs(down):
                direction = 0
            elif 12 * abs(down) > 29 * abs(across):
                direction = 2
            else:
                direction = 1 if across * down > 0 else 3
            cell = (x * COLUMNS // width) * DIRECTIONS + direction
            edges[y * ROWS // height][cell] += abs(across) + abs(down)
    values = []
    for part in [stripe for channel in colours for stripe in channel] + edges:
        values += [int((count / max(sum(part), 1)) ** 0.5 * SCALE + 0.5) for count in part]
    return values


@settings(max_examples=25)
@given(st.integers(1, 24), st.integers(1, 24), st.booleans(), st.integers(0, 2**32 - 1))
def test_features_agree_with_plain_counting(height: int, width: int, grey: bool, seed: int) -> None:
    shape = (height, width) if grey else (height, width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    assert features(pixels).tolist() == plain_features(pixels)


def test_every_picture_gives_the_same_number_of_features() -> None:
    for shape in ((256, 128, 3), (120, 128), (1, 1), (7, 300, 3)):
        assert features(np.zeros(shape, np.uint8)).shape == (N_FEATURES,)


def test_a_flat_picture_has_colours_and_no_edges() -> None:
    vector = features(np.full((64, 32, 3), 90, np.uint8))
    assert vector[N_COLOURS:].tolist() == [0] * (N_FEATURES - N_COLOURS)
    assert (vector[:N_COLOURS] == SCALE).sum() == 3 * STRIPES


@pytest.mark.parametrize(("turned", "direction"), [(False, 0), (True, 2)])
def test_stripes_are_edges_across_or_down(turned: bool, direction: int) -> None:
    stripes = np.tile(np.repeat([0, 255], 4), (64, 8)).astype(np.uint8)
    vector = features(stripes.T if turned else stripes)[N_COLOURS:].reshape(-1, DIRECTIONS)
    assert vector[:, direction].any()
    assert not np.delete(vector, direction, axis=1).any()
