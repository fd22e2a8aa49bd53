"""Numbers the shots of a film: a cut is a frame that differs far more from the one before than its neighbours do.

Frames are compared by the brightness of a coarse grid of pixels. A camera that moves changes every frame about as much
as the one before, so that the difference is compared with the usual one of the last frames. Fades and dissolves, which
change no frame abruptly, are no cuts.
"""

from collections import deque
from statistics import median

import numpy as np
from numpy.typing import NDArray

GRID = 8  # every eighth pixel of every eighth line
MIN_DIFFERENCE = 12.0  # mean difference of brightness, of 255
MIN_RATIO = 3.0  # to the median difference of the last frames
N_LAST = 12  # frames whose differences count as usual
MIN_SHOT = 6  # frames; a flash of light is no shot of its own


class Shots:
    """Tells the shot of each frame, from 1, when called with the frames in order."""

    def __init__(self) -> None:
        self.shot = 1
        self.length = 0
        self.before: NDArray[np.int16] | None = None
        self.last: deque[float] = deque(maxlen=N_LAST)

    def __call__(self, brightness: NDArray[np.uint8]) -> int:
        """The shot of the next frame.

        Args:
            brightness: shape (height, width); of every pixel.
        """
        grid = brightness[GRID // 2 :: GRID, GRID // 2 :: GRID].astype(np.int16)
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
