"""One picture to a vector of whole numbers by fixed formulas: where which colours are, and which way edges run.

Nothing is learned and nothing is resized: shares of a picture are counted, so that any size will do. Everything up to
the last division is whole-number arithmetic, and a square root rounds the same everywhere: every machine gets the same
vector.
"""

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import FloatArray, IntArray

STRIPES = 8  # horizontal: head, shoulders, ..., feet
COLOUR_BINS = 8  # per channel
MARGIN = 5  # 1 / MARGIN of the width is mostly background, on either side
ROWS, COLUMNS = 16, 8  # cells for edges
DIRECTIONS = 4
SCALE = 255  # a share of 1 becomes this
N_COLOURS = 3 * STRIPES * COLOUR_BINS  # features before this place are colours, those behind it edges

Pixels = NDArray[np.uint8]


def features(pixels: Pixels) -> IntArray:
    """Shape (n_features,), whole numbers from 0 to 255: square roots of shares (Hellinger).

    Args:
        pixels: (height, width) or (height, width, 3), 8 bits.
    """
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    whole = colour.astype(np.int64)
    shares = np.concatenate([_colours(whole), _edges(whole)])
    return np.asarray(np.floor(np.sqrt(shares) * SCALE + 0.5), dtype=np.int64)


def _colours(whole: IntArray) -> FloatArray:
    """Shares of brightness and of two opponent colours, in each stripe of the picture's middle."""
    width = whole.shape[1]
    middle = whole[:, width // MARGIN : max(width - width // MARGIN, width // MARGIN + 1)]
    red, green, blue = middle[..., 0], middle[..., 1], middle[..., 2]
    grey = (299 * red + 587 * green + 114 * blue) // 1000
    channels = (grey, (red - green + 255) // 2, (2 * blue - red - green + 510) // 4)
    stripe = _cells(middle.shape[0], STRIPES)[:, None]
    parts = []
    for channel, zoom in zip(channels, (1, 3, 3), strict=True):  # opponent colours crowd around grey
        centred = np.clip((channel - 128) * zoom + 128, 0, 255)
        place = stripe * COLOUR_BINS + centred * COLOUR_BINS // 256
        parts.append(_shares(np.bincount(place.ravel(), minlength=STRIPES * COLOUR_BINS), STRIPES))
    return np.concatenate(parts)


def _edges(whole: IntArray) -> FloatArray:
    """Shares of edge strength by direction, in each cell of a grid."""
    grey = (299 * whole[..., 0] + 587 * whole[..., 1] + 114 * whole[..., 2]) // 1000
    across = np.zeros_like(grey)
    down = np.zeros_like(grey)
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    strength = np.abs(across) + np.abs(down)
    flat, steep = 12 * np.abs(across) > 29 * np.abs(down), 12 * np.abs(down) > 29 * np.abs(across)  # tan 22.5 = 12/29
    direction = np.where(flat, 0, np.where(steep, 2, np.where(across * down > 0, 1, 3)))
    cell = _cells(grey.shape[0], ROWS)[:, None] * COLUMNS + _cells(grey.shape[1], COLUMNS)[None, :]
    weights = np.bincount(
        (cell * DIRECTIONS + direction).ravel(), weights=strength.ravel(), minlength=ROWS * COLUMNS * DIRECTIONS
    )
    return _shares(weights.astype(np.int64), ROWS)


def _cells(length: int, n_cells: int) -> IntArray:
    """Shape (length,); the cell of each place along one side."""
    return np.arange(length) * n_cells // length


def _shares(counts: IntArray, n_parts: int) -> FloatArray:
    """Counts as shares of their part (stripe, or row of cells); a part without any has none."""
    table = counts.reshape(n_parts, -1)
    total = table.sum(axis=1, keepdims=True)
    return np.asarray(table / np.maximum(total, 1)).ravel()
