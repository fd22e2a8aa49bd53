"""Finds the line of Python that makes an unknown image id one of the benchmark's: for absolute paths and bare names."""

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import printable, quoted


def id_repair(image: str, ids: NDArray[np.object_]) -> str:
    """The end of a remedy for an unknown image id: ": ..."; empty if the id is not a path of a known image.

    Args:
        image: the unknown id.
        ids: shape (n,); the benchmark's ids, ascending.

    >>> ids = np.array(["m/0.jpg", "m/1.jpg"], dtype=object)
    >>> id_repair("/data/m/1.jpg", ids)
    ": [name.removeprefix('/data/') for name in image]"
    >>> id_repair("1.jpg", ids)
    ": ['m/' + name for name in image]"
    """
    path = image.replace("\\", "/")
    slashes = r".replace('\\', '/')" if path != image else ""
    segments = path.split("/")
    for place in range(len(segments)):
        if _contains(ids, known := "/".join(segments[place:])):
            prefix = path.removesuffix(known)
            cut = f".removeprefix({printable(repr(prefix))})" if prefix else ""
            return f": [name{slashes}{cut} for name in image]" if slashes or cut else ""
    longer = [str(known) for known in ids if known.endswith(f"/{path}")]
    if len(longer) != 1:
        return ""
    prefix = longer[0].removesuffix(path)
    if all(known.startswith(prefix) for known in ids):
        return f": [{printable(repr(prefix))} + name{slashes} for name in image]"
    return f"; the folder is part of the id: {quoted(longer[0])}"


def _contains(ids: NDArray[np.object_], image: str) -> bool:
    place = bisect_left(ids, image)
    return place < ids.size and ids[place] == image
