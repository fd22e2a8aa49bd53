"""Numbers the shots of a film: a cut is a frame that differs far more from the one before than its neighbours do.

Frames are compared by the mean brightness of coarse blocks, which noise and fine texture hardly change. A camera that
moves changes every frame about as much as the one before, so that the difference is compared with the usual one of the
last frames. Fades and dissolves, which change no frame abruptly, are no cuts.
"""

from collections import deque
from statistics import median

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 24  # blocks from top to bottom; they are square
LINE_STEP = 4  # lines of a block that count: every fourth, where it has so many
MIN_DIFFERENCE = 12.0  # mean difference of brightness, of 255
MIN_RATIO = 3.0  # to the median difference of the last frames
N_LAST = 12  # frames whose differences count as usual
MIN_SHOT = 6  # frames; a flash of light is no shot of its own


class Shots:
    """Tells the shot of each frame, from 1, when called with the frames in order."""

    def __init__(self) -> None:
        self.shot = 1
        self.length = 0
        self.before: NDArray[np.float32] | None = None
        self.last: deque[float] = deque(maxlen=N_LAST)

    def __call__(self, brightness: NDArray[np.uint8]) -> int:
        """The shot of the next frame.

        Args:
            brightness: shape (height, width); of every pixel.
        """
        grid = block_means(brightness)
        self.length += 1
        if self.before is not None:
            changed = self.before.shape != grid.shape
            difference = 255.0 if changed else float(np.abs(grid - self.before).mean())
            usual = median(self.last) if self.last else 0.0
            if self.length > MIN_SHOT and difference > MIN_DIFFERENCE and difference > MIN_RATIO * usual:
                self.shot += 1
                self.length = 1
                self.last.clear()
            else:
                self.last.append(difference)
        self.before = grid
        return self.shot


def block_means(brightness: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shape (n_rows, n_columns); mean of each whole block, of every fourth of its lines where it has so many."""
    height, width = brightness.shape
    side = max(1, height // BLOCK_ROWS)
    step = LINE_STEP if side >= LINE_STEP else 1
    n_rows, n_columns = height // side, max(1, width // side)
    side_across = min(side, width)
    lines = brightness[: n_rows * side, : n_columns * side_across].reshape(n_rows, side, n_columns * side_across)
    sums = lines[:, ::step].sum(axis=1, dtype=np.uint32).reshape(n_rows, n_columns, side_across).sum(axis=2)
    means: NDArray[np.float32] = (sums / (len(range(0, side, step)) * side_across)).astype(np.float32)
    return means
