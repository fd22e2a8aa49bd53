"""Cuts a box out of a frame and encodes it; equal pixels give equal bytes, since every setting is fixed here."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from piq_bench.build.collect.tracks import Box
from piq_bench.records import Pixels

ENCODERS: dict[str, dict[str, Any]] = {
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0, "optimize": False, "progressive": False},
    "png": {"format": "PNG", "compress_level": 6, "optimize": False},
}
FILTER = Image.Resampling.BICUBIC  # averages where it shrinks


@dataclass(frozen=True)
class CropSettings:
    """How portraits are cut.

    Attributes:
        height, width: of the written images, in pixels.
        padding: share of a box's width and height that is added on each side.
        min_height: boxes whose part inside the picture is lower are left out.
        file_type: "jpg" or "png".
    """

    height: int = 256
    width: int = 128
    padding: float = 0.0
    min_height: int = 64
    file_type: str = "jpg"


OUTSIDE, LOW = "outside the picture", "lower than the minimum height"


def region(box: Box, settings: CropSettings, *, height: int, width: int) -> tuple[int, int, int, int] | str:
    """The pixels to cut out, (left, top, right, bottom), inside a picture; or the reason why there are none."""
    inside = _clipped(box, 0.0, height, width)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        return OUTSIDE
    if inside[3] - inside[1] < settings.min_height:
        return LOW
    return _clipped(box, settings.padding, height, width)


def _clipped(box: Box, padding: float, height: int, width: int) -> tuple[int, int, int, int]:
    x, y = padding * box.width, padding * box.height
    left, right = round(box.left - x), round(box.left + box.width + x)
    top, bottom = round(box.top - y), round(box.top + box.height + y)
    return max(left, 0), max(top, 0), min(right, width), min(bottom, height)


def encoded(pixels: Pixels, settings: CropSettings) -> bytes:
    """The file of one portrait: its pixels, shape (height, width, 3), stretched to the size of the settings."""
    image = Image.fromarray(pixels).resize((settings.width, settings.height), FILTER)
    stream = io.BytesIO()
    image.save(stream, **ENCODERS[settings.file_type])
    return stream.getvalue()
