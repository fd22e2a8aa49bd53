"""Applies a function to the images of a data set in several processes; names all images that cannot be read."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from piq_bench.errors import BadDataset, LimitExceeded, Problem, first_few, printable
from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import LINK_REMEDIES, ImageFolder, Unreadable, required_images_folder
from piq_bench.images.prefetch import in_order
from piq_bench.images.processes import available_cores, interrupts_blocked, process_pool
from piq_bench.limits import MAX_IMAGE_PIXELS
from piq_bench.records import Benchmark, IntArray, Pixels

CHUNK = 64  # images that a process gets at a time
IN_FLIGHT = 2  # chunks per process that wait or run; bounds memory where results are used slowly
Array = NDArray[Any]


def map_images(
    benchmark: Benchmark,
    rows: IntArray,
    function: Callable[[Pixels], Array],
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Iterator[Array]:
    """Yields a function's value for each image, in the order of the rows, as soon as it is known.

    Args:
        benchmark: a data set with image files.
        rows: shape (n_rows,); benchmark rows of the images.
        function: called with 8-bit pixels of shape (height, width) or (height, width, 3); must be picklable, such as a
            function of a module or a `partial` of one.
        workers: number of processes; None for one per available core, 1 to use this process alone.
        advance: called with the number of images read since the last call.

    Raises:
        BadDataset: after all images were tried, naming those that cannot be read.
        LimitExceeded: if a process dies, as when memory runs out.
    """
    root = required_images_folder(benchmark)
    images = [str(benchmark.images[row]) for row in rows]
    failures: list[tuple[str, Unreadable]] = []
    options: dict[str, Any] = {"workers": workers, "follow_links": benchmark.follow_links, "advance": advance}
    for image, value in map_files(root, images, function, **options):
        if isinstance(value, Unreadable):
            failures.append((image, value))
        elif not failures:
            yield value
    if failures:
        raise BadDataset(f"{benchmark.name}, {printable(root.name)}", _problems(failures))


def map_files(
    root: Path,
    images: Sequence[str],
    function: Callable[[Pixels], Array],
    *,
    workers: int | None = None,
    follow_links: bool = False,
    advance: Callable[[int], None] = lambda steps: None,
) -> Iterator[tuple[str, Array | Unreadable]]:
    """Yields each image with the function's value, or with why it cannot be read, as soon as it is known.

    Args:
        root: the folder that image ids are relative to.
        images: ids of the images.
        function: as for `map_images`.
        workers: number of processes; None for one per available core, 1 to use this process alone.
        follow_links: whether links may lead out of the folder.
        advance: called with the number of images tried since the last call.

    Raises:
        LimitExceeded: if a process dies, as when memory runs out.
    """
    chunks = [images[first : first + CHUNK] for first in range(0, len(images), CHUNK)]
    work = partial(_map_chunk, root=root, function=function, follow_links=follow_links)
    for chunk, values in zip(chunks, _map_chunks(chunks, root, work, workers or available_cores()), strict=True):
        yield from zip(chunk, values, strict=True)
        advance(len(chunk))


def _map_chunks(
    chunks: Sequence[Sequence[str]],
    root: Path,
    work: Callable[[Sequence[str]], list[Array | Unreadable]],
    workers: int,
) -> Iterator[list[Array | Unreadable]]:
    if workers == 1 or len(chunks) <= 1:
        yield from map(work, chunks)
        return
    with process_pool(workers) as pool:

        def submit(chunk: Sequence[str]) -> Future[list[Array | Unreadable]]:
            with interrupts_blocked():  # submitting may start a process
                return pool.submit(work, chunk)

        try:
            yield from in_order(submit, chunks, IN_FLIGHT * workers)
        except BrokenProcessPool as error:
            remedy = "free some memory or use --workers 1, and run again"
            problem = Problem("process-died", "images", "a process that decodes died", remedy)
            raise LimitExceeded(str(root), [problem]) from error


def _map_chunk(
    images: Sequence[str], root: Path, function: Callable[[Pixels], Array], follow_links: bool
) -> list[Array | Unreadable]:
    """The function's value for each image, or why it cannot be read."""
    folder = ImageFolder(root, follow_links=follow_links)
    values: list[Array | Unreadable] = []
    with strict_decoding():
        for image in images:
            try:
                values.append(function(decode(folder.read(image).data, limit_pixels=MAX_IMAGE_PIXELS)))
            except Unreadable as failure:
                values.append(failure)
    return values


def _problems(failures: Sequence[tuple[str, Unreadable]]) -> list[Problem]:
    """One problem for each kind of failure."""
    by_code: dict[str, list[str]] = {}
    for image, failure in failures:
        by_code.setdefault(failure.code, []).append(f"{image} {failure.found}")
    problems = []
    for code, found in sorted(by_code.items()):
        n = len(found)
        images = f"{n} image{'s' if n > 1 else ''}: {first_few(found, n)}"
        remedy = LINK_REMEDIES.get(code, f"fix or restore {'them' if n > 1 else 'it'}")
        problems.append(Problem(code, "images", images, remedy, n))
    return problems
