"""Makes thumbnails of image files for embedding in a page; files are decoded and encoded again, never copied."""

import io
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping

from PIL import Image

from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable, images_folder
from piq_bench.records import Benchmark, Pixels

SIZE = (112, 200)  # largest width and height of a thumbnail in pixels
QUALITY = 72  # JPEG quality
BUDGET = 1_400_000  # characters of all pictures of a page


def thumbnails(benchmark: Benchmark, rows: Iterable[int]) -> dict[int, str]:
    """Data URLs of JPEG thumbnails, by row of the benchmark; unreadable images are skipped.

    Images beyond the size that a page may have get none.

    Args:
        benchmark: benchmark, with or without image files.
        rows: rows to make thumbnails of; repeats are allowed.
    """
    root = images_folder(benchmark)
    addresses: dict[int, str] = {}
    if root is None:
        return addresses
    n_characters = 0
    folder = ImageFolder(root, follow_links=benchmark.follow_links)
    with strict_decoding():
        for row in dict.fromkeys(rows):
            try:
                address = thumbnail(decode(folder.read(str(benchmark.images[row])).data))
            except Unreadable:
                continue
            n_characters += len(address)
            if n_characters > BUDGET:
                break
            addresses[row] = address
    return addresses


def thumbnail(pixels: Pixels, size: tuple[int, int] = SIZE) -> str:
    """The data URL of a picture's JPEG thumbnail, of at most some width and height."""
    picture = Image.fromarray(pixels)
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + b64encode(stream.getvalue()).decode("ascii")


def why_missing(benchmark: Benchmark, rows: Collection[int], pictures: Mapping[int, str]) -> str:
    """A sentence about images that are shown without a picture; empty if there are none.

    Args:
        benchmark: benchmark, with or without image files.
        rows: rows that were to be shown.
        pictures: result of `thumbnails` for them.
    """
    n_missing = sum(row not in pictures for row in set(rows))
    if not n_missing:
        return ""
    if images_folder(benchmark) is None:
        return "There are no pictures: the data set was read without its image files."
    if not pictures:
        return "There are no pictures: none of the image files could be read."
    return f"{n_missing} of {len(set(rows))} images have no picture: unreadable, or beyond the size of a page."
