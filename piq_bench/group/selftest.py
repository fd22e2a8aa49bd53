"""Tests that this installation computes hashes as defined, on synthetic images with known hashes.

The images come from integer formulas, so only the hash is tested. Their sizes cover shrinking and stretching of each
axis; the last two have other hashes if the passes are swapped, as in Pillow 13's own resize.
"""

import numpy as np
from PIL import Image

from piq_bench.group.phash import phash
from piq_bench.images.decode import eight_bit_pixels
from piq_bench.images.lanczos import shrink
from piq_bench.records import Pixels

EXPECTED = {  # (width, height, number): hash
    (64, 192, 0): 0x838333BB49ADAD52,
    (480, 640, 1): 0x8323B359E9A54DA9,
    (17, 300, 2): 0xA6831BEB28E30D79,
    (300, 17, 3): 0xA3430B39E105FDEC,
    (20, 12, 4): 0x91230ABD39C137EE,
    (32, 32, 5): 0x9313AB2F9831C13F,
    (128, 256, 7): 0x8B1303A72D5DB1E3,
    (128, 256, 10): 0x8B0B0313A7AD6D79,
}


def made_image(width: int, height: int, number: int) -> Pixels:
    """Shape (height, width, 3): crossing waves and edges, the same on every machine."""
    x = np.arange(width, dtype=np.int64)[None, :] * 256 // width
    y = np.arange(height, dtype=np.int64)[:, None] * 256 // height
    red = (x * x + (3 + number) * x * y + 2 * y * y) // 331 % 256
    green = (5 * x * (256 - y) + number * y * y) // 409 % 256
    blue = 255 * (((x + number) // 23 + y // 37) % 2)
    return np.stack(np.broadcast_arrays(red, green, blue), axis=2).astype(np.uint8)


def wrong_hashes() -> dict[tuple[int, int, int], int]:
    """The images with another hash than expected, or whose grey is another one by Pillow than by our own arithmetic."""
    wrong: dict[tuple[int, int, int], int] = {}
    for key, expected in EXPECTED.items():
        pixels = made_image(*key)
        ours, by_pillow = shrink([pixels, eight_bit_pixels(Image.fromarray(pixels), grey=True)])
        found = int(phash(ours[None])[0])
        if found != expected or not np.array_equal(ours, by_pillow):
            wrong[key] = found
    return wrong
