"""Pictures that cost next to nothing, for tests in which it does not matter what the pictures of a demo show."""

import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from piq_bench.demo.film import Frame


def draw_squares(seed: int, frame: Frame) -> NDArray[np.uint8]:
    """Squares whose greys follow from the frame's track, and a little from the frame: (256, 128, 3)."""
    track, own = (np.random.default_rng([seed, zlib.crc32(text.encode())]) for text in (frame.track.name, frame.image))
    greys = track.integers(0, 250, (8, 4, 1)) + own.integers(0, 5, (8, 4, 1))
    return np.broadcast_to(greys.repeat(32, 0).repeat(32, 1), (256, 128, 3)).astype(np.uint8)


def draw_nothing_but_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets demos that this process builds alone hold such pictures."""
    monkeypatch.setattr("piq_bench.demo.build.draw", draw_squares)
    monkeypatch.setattr("piq_bench.demo.sheet.draw", draw_squares)
