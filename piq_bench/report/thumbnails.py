"""Image files to small pictures that a page carries inside itself: decoded here and encoded anew, never passed on."""

import io
from base64 import b64encode
from collections.abc import Iterable

from PIL import Image

from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable, images_folder
from piq_bench.records import Benchmark

SIZE = (72, 128)  # pixels that a picture must fit in
QUALITY = 72


def thumbnails(benchmark: Benchmark, rows: Iterable[int]) -> dict[int, str]:
    """Data addresses of JPEG pictures, by row of the benchmark; without those that cannot be read.

    Args:
        benchmark: perhaps with image files.
        rows: wanted, repeats allowed.
    """
    root = images_folder(benchmark)
    found: dict[int, str] = {}
    if root is None:
        return found
    folder = ImageFolder(root)
    with strict_decoding():
        for row in dict.fromkeys(rows):
            try:
                picture = Image.fromarray(decode(folder.read(str(benchmark.images[row])).data))
            except Unreadable:
                continue
            picture.thumbnail(SIZE, Image.Resampling.LANCZOS)
            stream = io.BytesIO()
            picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
            found[row] = "data:image/jpeg;base64," + b64encode(stream.getvalue()).decode("ascii")
    return found
