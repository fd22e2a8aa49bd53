"""One image file to its bytes' hash and its 8-bit pixels, or to the reason why it cannot be read.

What is hashed is the picture that a model reads: EXIF orientation is ignored. Transparent parts are laid on white
(dropped alpha would make every drawing on a transparent ground black), 16 bits are scaled to 8 by 1/257 (Pillow's
own conversion saturates them to white), an animation counts by its first frame.
"""

import hashlib
import io
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from piq_bench.group.lanczos import Pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

# Decoders that run inside this process; Pillow would hand EPS to Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF", "GIF")
MAX_FILE_BYTES = 1 << 28
MAX_SIDE = 65_535  # as JPEG; the table of resize weights grows with the side
DEFAULT_LIMIT_PIXELS = 50_000_000
WHITE = 255
SIXTEEN_BIT = 65_535

PLAIN_MODES = frozenset({"L", "RGB"})
ALPHA_MODES = frozenset({"LA", "PA", "RGBA", "La", "RGBa"})
DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
COLOUR_MODES = frozenset({"1", "P", "CMYK", "YCbCr", "RGBX", "HSV", "LAB"})


class Unreadable(Exception):
    """Why an image cannot be hashed: a stable code and a sentence."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(code, found)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class ImageBytes:
    """A regular file inside the data set: its content and what tells whether it has changed since."""

    data: bytes
    modified_ns: int


class ImageFolder:
    """Opens image ids below one folder and nothing outside it."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.inside: dict[str, bool] = {}  # by parent folder: whether it really lies below the root

    def stat(self, image: str) -> os.stat_result:
        """Size and time of a regular file.

        Raises:
            Unreadable: if the id is no plain relative path, or the file is missing, special, or outside the folder.
        """
        path = PurePosixPath(image)
        if not path.parts or path.is_absolute() or str(path) != image or {"..", "."} & {*path.parts} or "\0" in image:
            raise Unreadable("bad-path", "is no plain relative path")
        full = os.path.join(self.root, image)  # noqa: PTH118  (pathlib costs as much as the decoding of a header)
        try:
            link = os.lstat(full)
            parent = os.path.dirname(full)  # noqa: PTH120
            if parent not in self.inside:
                self.inside[parent] = self.holds(parent)
            if not self.inside[parent] or (stat.S_ISLNK(link.st_mode) and not self.holds(full)):
                raise Unreadable("outside", "is a link that leaves the image folder")
            found = Path(full).stat() if stat.S_ISLNK(link.st_mode) else link
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            raise Unreadable("missing-file" if missing else "unreadable-file", reason(error)) from error
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise Unreadable("not-a-file", "is no regular file")
        return found

    def holds(self, path: str) -> bool:
        """Whether a path, all links followed, lies below the root."""
        real = os.path.realpath(path)
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    def read(self, image: str) -> ImageBytes:
        """The bytes of one image file.

        Raises:
            Unreadable: as `stat`, and if the file is empty or too large.
        """
        found = self.stat(image)
        if found.st_size > MAX_FILE_BYTES:
            raise Unreadable("too-large", f"has {found.st_size} bytes, more than {MAX_FILE_BYTES}")
        try:
            data = Path(self.root, image).read_bytes()
        except OSError as error:
            raise Unreadable("unreadable-file", reason(error)) from error
        if not data:
            raise Unreadable("empty-file", "is empty")
        return ImageBytes(data, found.st_mtime_ns)


def bytes_hash(data: bytes) -> int:
    """The first 64 bits of the SHA-256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def decode(data: bytes, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Pixels:
    """Pixels of shape (height, width) or (height, width, 3).

    Raises:
        Unreadable: whatever is wrong with the file.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > limit_pixels or max(width, height) > MAX_SIDE:
                raise Unreadable("too-large", f"has {width} x {height} pixels, more than the limit")
            image.load()
            return eight_bit_pixels(image)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not-an-image", f"is no image of a known format ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too-large", "has more pixels than Pillow allows") from error
    except Exception as error:  # decoders raise nearly anything on damaged files: SyntaxError, struct.error, ...
        raise Unreadable("damaged-image", f"cannot be decoded: {reason(error)}") from error


def eight_bit_pixels(image: Image.Image) -> Pixels:
    """Grey or colour in 8 bits, by rules that do not depend on Pillow's own conversions of alpha and depth."""
    mode = image.mode
    if mode in DEEP_MODES:
        return scaled_to_eight_bits(np.asarray(image).astype(np.int64))
    if mode in ALPHA_MODES or "transparency" in image.info:
        return on_white(np.asarray(image.convert("RGBA")))
    if mode in PLAIN_MODES:
        return np.asarray(image)
    if mode in COLOUR_MODES:
        return np.asarray(image.convert("RGB"))
    raise Unreadable("unknown-mode", f"has pixels of mode {mode}, which has no fixed meaning in 8 bits")


def on_white(pixels: Pixels) -> Pixels:
    """(height, width, 4) with transparency to (height, width, 3) on white; an opaque picture is unchanged."""
    colour, alpha = pixels[..., :3].astype(np.int32), pixels[..., 3:].astype(np.int32)
    return ((colour * alpha + WHITE * (255 - alpha) + 127) // 255).astype(np.uint8)


def scaled_to_eight_bits(values: NDArray[np.int64]) -> Pixels:
    """0 to 65535 as 0 to 255, rounded."""
    if values.min() < 0 or values.max() > SIXTEEN_BIT:
        raise Unreadable("unknown-mode", f"has values from {values.min()} to {values.max()}, outside 16 bits")
    return ((values + 128) // 257).astype(np.uint8)


@contextmanager
def strict_decoding() -> "Iterator[None]":
    """Half a file is no picture, whatever another library has set in this process."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def reason(error: Exception) -> str:
    """An error's own words, without the path in it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
