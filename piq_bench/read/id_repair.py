"""Finds the image that an unknown id probably means, and the line of Python that makes such ids the benchmark's."""

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence

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


def nearest_ids(unknown: Sequence[str], ids: Iterable[str]) -> list[str | None]:
    """For each of a few unknown ids, the one id of the same file name with the longest path in common at its end.

    Folders before it, the extension, case and slashes may differ. None where there is no such id, or several.

    >>> nearest_ids(["/data/M2/7.PNG", "7.jpg", "8.jpg"], ["m1/7.jpg", "m2/7.jpg"])
    ['m2/7.jpg', None, None]
    """
    wanted = [_segments(image) for image in unknown]
    names = {segments[-1] for segments in wanted}
    same_name: dict[str, list[tuple[list[str], str]]] = {name: [] for name in names}
    for image in ids:
        segments = _segments(image)
        if segments[-1] in names:
            same_name[segments[-1]].append((segments, image))
    return [_nearest(segments, same_name[segments[-1]]) for segments in wanted]


def _nearest(wanted: list[str], known: list[tuple[list[str], str]]) -> str | None:
    """The id with most segments in common at its end, then with fewest others; None if several are alike."""
    ranked = [(_n_common(wanted, segments), -len(segments), image) for segments, image in known]
    if not ranked:
        return None
    best = max(rank[:2] for rank in ranked)
    images = [image for *rank, image in ranked if tuple(rank) == best]
    return images[0] if len(images) == 1 else None


def _n_common(first: list[str], second: list[str]) -> int:
    common = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        common += 1
    return common


def _segments(image: str) -> list[str]:
    """The folders and the name of an image, without extension, and with case, slashes and outer spaces made uniform."""
    path = unicodedata.normalize("NFC", image).strip().replace("\\", "/")
    stem, dot, extension = path.rpartition(".")
    return (stem if dot and "/" not in extension else path).casefold().split("/")
