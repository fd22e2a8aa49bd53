"""Tells how alike two portraits are: by the features of a file if one is given, else by the colours of the images.

Colours are computed once, before the first page, and kept beside the answers until an image changes.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from piq_bench.baseline.features import N_COLOURS
from piq_bench.baseline.features import colour_features as colours
from piq_bench.build.annotate.project import Project
from piq_bench.convert.features import Features
from piq_bench.convert.match import NO_ROW, match_names
from piq_bench.convert.source import read_features
from piq_bench.errors import BadSubmission, Problem
from piq_bench.images.folder import Unreadable
from piq_bench.images.parallel import map_images
from piq_bench.read.mapped import rows_of
from piq_bench.records import QUERY, Benchmark, Float32Array, FloatArray, IntArray
from piq_bench.write.files import written_whole

FILE = "colours.npy"
DIGEST_BYTES = 32


class Likeness:
    """Compares the images of one film.

    Args:
        values: shape (n_images, dimension); rows of length 1.
        film: shape (n_images,); equal numbers in one film.
    """

    def __init__(self, values: Float32Array, film: IntArray) -> None:
        self.film = film
        order = np.argsort(film, kind="stable")
        cuts = np.flatnonzero(np.diff(film[order])) + 1
        self.films = {int(film[rows[0]]): (rows, values[rows]) for rows in np.split(order, cuts) if rows.size}

    def to(self, row: int) -> tuple[IntArray, Float32Array]:
        """The images of the film of an image, ascending, and how alike each is to that image."""
        rows, values = self.films[int(self.film[row])]
        own = values[int(np.searchsorted(rows, row))]
        return rows, np.asarray(np.einsum("ij,j->i", values, own))  # a product this small gains nothing from threads


def colour_features(project: Project, *, workers: int | None, advance: Callable[[int], None]) -> Float32Array:
    """Colour features of all images, shape (n_images, N_COLOURS), of length 1.

    Raises:
        BadDataset: listing every image that cannot be read.
    """
    digest, path = _digest(project), project.folder / FILE
    n = project.benchmark.images.size
    try:
        raw = path.read_bytes()
    except OSError:
        raw = b""
    if raw[:DIGEST_BYTES] == digest and len(raw) == DIGEST_BYTES + n * N_COLOURS:
        advance(n)
        return unit(np.frombuffer(raw, np.uint8, offset=DIGEST_BYTES).reshape(n, N_COLOURS).astype(np.float64))
    values = map_images(project.benchmark, np.arange(n), colours, workers=workers, advance=advance)
    table = np.array(list(values), dtype=np.uint8).reshape(n, N_COLOURS)
    with written_whole(path) as temporary:
        temporary.write_bytes(digest + table.tobytes())
    return unit(table.astype(np.float64))


def file_features(path: Path, benchmark: Benchmark) -> Float32Array:
    """Features that another program computed, shape (n_images, dimension), of length 1.

    Raises:
        BadSubmission: if the file is no feature file, or an image has no row in it.
    """
    found = read_features(path)
    if not isinstance(found, Features):
        remedy = "give a file that names the image of each row"
        raise BadSubmission(str(path), [Problem("no-names", path.name, "does not name the images of its rows", remedy)])
    everything = replace(benchmark, split=np.full_like(benchmark.split, QUERY), junk=np.zeros_like(benchmark.junk))
    rows, _ = match_names(path, found.names, everything, stems=found.stems)
    assert NO_ROW not in rows  # noqa: S101  (match_names refuses)
    values = np.asarray(rows_of(found.values, rows), dtype=np.float64)
    if not np.isfinite(values).all():
        fault = "some values are not finite"
        raise BadSubmission(str(path), [Problem("not-finite", path.name, fault, "every value must be finite")])
    return unit(values)


def unit(values: FloatArray) -> Float32Array:
    """Rows of length 1; a row of zeros stays."""
    length = np.sqrt((values * values).sum(axis=1, keepdims=True))
    return np.asarray(values / np.where(length == 0, 1, length), dtype=np.float32)


def _digest(project: Project) -> bytes:
    """Changes when an image does, by its size and time."""
    found = sha256()
    for image in project.benchmark.images:
        try:
            status = project.files.stat(str(image))
        except Unreadable:
            found.update(b"missing\0")
            continue
        found.update(f"{image}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogatepass"))
    return found.digest()
