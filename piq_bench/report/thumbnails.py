"""Makes thumbnails of image files for embedding in a page; files are decoded and encoded again, never copied."""

import io
from base64 import b64encode
from collections.abc import Iterable

from PIL import Image

from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable, images_folder
from piq_bench.records import Benchmark, Pixels

SIZE = (72, 128)  # largest width and height of a thumbnail in pixels
QUALITY = 72  # JPEG quality


def thumbnails(benchmark: Benchmark, rows: Iterable[int]) -> dict[int, str]:
    """Data URLs of JPEG thumbnails, by row of the benchmark; unreadable images are skipped.

    Args:
        benchmark: benchmark, with or without image files.
        rows: rows to make thumbnails of; repeats are allowed.
    """
    root = images_folder(benchmark)
    addresses: dict[int, str] = {}
    if root is None:
        return addresses
    folder = ImageFolder(root, follow_links=benchmark.follow_links)
    with strict_decoding():
        for row in dict.fromkeys(rows):
            try:
                addresses[row] = thumbnail(decode(folder.read(str(benchmark.images[row])).data))
            except Unreadable:
                continue
    return addresses


def thumbnail(pixels: Pixels) -> str:
    """The data URL of a picture's JPEG thumbnail."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(SIZE, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + b64encode(stream.getvalue()).decode("ascii")
