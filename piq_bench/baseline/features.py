"""Computes fixed features of an image: histograms of colours in stripes, and of edge directions in the cells of a grid.

Nothing is learned and nothing is resized: histograms hold shares of an image, so that any size works. Everything up to
the last division is whole-number arithmetic, and a square root rounds in the same way everywhere, so that every machine
gets the same vector.
"""

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import FloatArray, IntArray

STRIPES = 8  # horizontal: head, shoulders, ..., feet
COLOUR_BINS = 8  # per channel
MARGIN = 5  # 1 / MARGIN of the width on either side is ignored: it is mostly background
ROWS, COLUMNS = 16, 8  # grid of cells for edge directions
DIRECTIONS = 4
SCALE = 255  # feature value of a share of 1
N_COLOURS = 3 * STRIPES * COLOUR_BINS  # the first N_COLOURS features are colours, the others edges

Pixels = NDArray[np.uint8]


def features(pixels: Pixels) -> IntArray:
    """Compute the features of one image.

    Args:
        pixels: shape (height, width) or (height, width, 3), 8 bits per channel.

    Returns:
        Shape (n_features,), whole numbers from 0 to 255: square roots of shares (Hellinger).
    """
    whole = _whole(pixels)
    return _hellinger(np.concatenate([_colours(whole), _edges(whole)]))


def colour_features(pixels: Pixels) -> IntArray:
    """Compute the first N_COLOURS features of one image alone, in a fraction of the time."""
    return _hellinger(_colours(_whole(pixels)))


def _whole(pixels: Pixels) -> IntArray:
    """Shape (height, width, 3); pixels in three channels of whole numbers."""
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    return colour.astype(np.int64)


def _hellinger(shares: FloatArray) -> IntArray:
    """Square roots of shares, as whole numbers."""
    return np.asarray(np.floor(np.sqrt(shares) * SCALE + 0.5), dtype=np.int64)


def _colours(whole: IntArray) -> FloatArray:
    """Histograms of brightness and of two opponent colours in each horizontal stripe, without the margins."""
    width = whole.shape[1]
    middle = whole[:, width // MARGIN : max(width - width // MARGIN, width // MARGIN + 1)]
    red, green, blue = middle[..., 0], middle[..., 1], middle[..., 2]
    grey = (299 * red + 587 * green + 114 * blue) // 1000
    channels = (grey, (red - green + 255) // 2, (2 * blue - red - green + 510) // 4)
    stripe = _cells(middle.shape[0], STRIPES)[:, None]
    parts = []
    for channel, zoom in zip(channels, (1, 3, 3), strict=True):  # opponent colours cluster around grey
        centred = np.clip((channel - 128) * zoom + 128, 0, 255)
        place = stripe * COLOUR_BINS + centred * COLOUR_BINS // 256
        parts.append(_shares(np.bincount(place.ravel(), minlength=STRIPES * COLOUR_BINS), STRIPES))
    return np.concatenate(parts)


def _edges(whole: IntArray) -> FloatArray:
    """Histograms of edge strength by direction, in each cell of the grid."""
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
    """Shape (length,); the cell of each pixel along one side of the image."""
    return np.arange(length) * n_cells // length


def _shares(counts: IntArray, n_parts: int) -> FloatArray:
    """Counts divided by the total of their part (a stripe, or a row of cells); 0 in a part whose total is 0."""
    table = counts.reshape(n_parts, -1)
    total = table.sum(axis=1, keepdims=True)
    return np.asarray(table / np.maximum(total, 1)).ravel()
