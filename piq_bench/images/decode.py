"""Decodes the bytes of one image file into 8-bit pixels, or says why they cannot be decoded.

The pixels are those that a model reads: EXIF orientation is ignored. Transparent parts are laid on white (without their
alpha channel, drawings on a transparent ground would turn black), 16 bits are scaled to 8 by 1/257 (Pillow's own
conversion saturates them to white), and of an animation only the first frame is used.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from piq_bench.images.folder import Unreadable, error_text
from piq_bench.limits import MAX_IMAGE_PIXELS, MAX_JPEG_SCANS, most_pixels
from piq_bench.records import Pixels

# Decoders that run inside this process; Pillow would hand EPS to Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF", "GIF")
MAX_SIDE = 65_535  # that of JPEG; the table of resize weights grows with the side
WHITE = 255
SIXTEEN_BIT = 65_535
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of a TIFF
STRIP_PIXELS = 1 << 18  # pixels converted at once
START_OF_SCAN, SCAN_CODE = b"\xff\xda", b"\xda"

PLAIN_MODES = frozenset({"L", "RGB"})
ALPHA_MODES = frozenset({"LA", "PA", "RGBA", "La", "RGBa"})
DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
COLOUR_MODES = frozenset({"1", "P", "CMYK", "YCbCr", "RGBX", "HSV", "LAB"})


def decode(data: bytes, *, limit_pixels: int = MAX_IMAGE_PIXELS, grey: bool = False) -> Pixels:
    """Decodes an image file into pixels of shape (height, width) or (height, width, 3); call it in `strict_decoding`.

    Args:
        data: content of the file.
        limit_pixels: larger images are refused before they are decoded.
        grey: whether grey, as `lanczos.luma` defines it, will do: Pillow has it sooner than all colours.

    Raises:
        Unreadable: if the file is too large, damaged or no image of a known format.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > limit_pixels or max(width, height) > MAX_SIDE:
                raise Unreadable("too-large", f"has {width} x {height} pixels, more than the limit")
            _refuse_bombs(image, data)
            image.load()
            return eight_bit_pixels(image, grey=grey)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not-an-image", f"is no image of a known format ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too-large", "has more pixels than Pillow allows") from error
    except Exception as error:  # decoders raise nearly anything on damaged files: SyntaxError, struct.error, ...
        raise Unreadable("damaged-image", f"cannot be decoded: {error_text(error)}") from error


def _refuse_bombs(image: Image.Image, data: bytes) -> None:
    """Refuses what would take memory or time out of proportion to the file, judged by its header."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # a tile may be larger than the picture
        width, height = (
            max(side, image.tag_v2.get(tag, 0)) for side, tag in ((width, TILE_WIDTH), (height, TILE_LENGTH))
        )
    if width * height > most_pixels(len(data)):
        found = f"has {width} x {height} pixels in {len(data)} bytes, as in a decompression bomb"
        raise Unreadable("too-large", found)
    # one byte is counted ten times as fast as two, and usually says enough
    if image.format == "JPEG" and data.count(SCAN_CODE) > MAX_JPEG_SCANS < data.count(START_OF_SCAN):
        raise Unreadable("too-large", f"has more than {MAX_JPEG_SCANS} scans, each of which takes time")


def eight_bit_pixels(image: Image.Image, *, grey: bool = False) -> Pixels:
    """Converts to grey or colour in 8 bits, strip by strip, since a conversion needs up to 40 bytes for a pixel."""
    width, height = image.size
    step = max(1, STRIP_PIXELS // width)
    if height <= step:
        return converted(image, grey=grey)
    first = converted(image.crop((0, 0, width, step)), grey=grey)
    pixels = np.empty((height, *first.shape[1:]), np.uint8)
    pixels[:step] = first
    for top in range(step, height, step):
        strip = image.crop((0, top, width, min(height, top + step)))
        pixels[top : top + step] = converted(strip, grey=grey)
    return pixels


def converted(image: Image.Image, *, grey: bool = False) -> Pixels:
    """Converts to grey or colour in 8 bits, without Pillow's own conversions of alpha and depth; see `decode`."""
    mode = image.mode
    if mode in DEEP_MODES:
        return scaled_to_eight_bits(np.asarray(image).astype(np.int64))
    if mode in ALPHA_MODES or "transparency" in image.info:
        return on_white(np.asarray(image.convert("RGBA")))
    if mode in PLAIN_MODES or mode in COLOUR_MODES:
        plain = image if mode in PLAIN_MODES else image.convert("RGB")
        return np.asarray(plain.convert("L") if grey else plain)
    raise Unreadable("unknown-mode", f"has pixels of mode {mode}, which has no fixed meaning in 8 bits")


def on_white(pixels: Pixels) -> Pixels:
    """Lays pixels with transparency, (height, width, 4), on white, (height, width, 3); opaque pixels do not change."""
    colour, alpha = pixels[..., :3].astype(np.int32), pixels[..., 3:].astype(np.int32)
    return ((colour * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def scaled_to_eight_bits(values: NDArray[np.int64]) -> Pixels:
    """Scales 0..65535 to 0..255, rounded."""
    if values.min() < 0 or values.max() > SIXTEEN_BIT:
        raise Unreadable("unknown-mode", f"has values from {values.min()} to {values.max()}, outside 16 bits")
    return ((values + 128) // 257).astype(np.uint8)


@contextmanager
def strict_decoding() -> Iterator[None]:
    """Makes truncated files errors, whatever another library has set in this process."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
