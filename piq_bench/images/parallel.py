"""The pictures of a data set through a function, in several processes; or a refusal that names every unreadable one."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from piq_bench.errors import BadDataset, LimitExceeded, Problem, first_few, printable
from piq_bench.images.decode import DEFAULT_LIMIT_PIXELS, decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable, required_images_folder
from piq_bench.images.prefetch import in_order
from piq_bench.images.processes import available_cores, quiet_start
from piq_bench.records import Benchmark, IntArray, Pixels

CHUNK = 64  # pictures that a process gets at a time
IN_FLIGHT = 2  # chunks per process that wait or run: a slow reader of what comes out holds the processes up
Array = NDArray[Any]


def map_pictures(
    benchmark: Benchmark,
    rows: IntArray,
    function: Callable[[Pixels], Array],
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Iterator[Array]:
    """What a function makes of each picture, in the order of the rows, as soon as it is there.

    Args:
        benchmark: with image files.
        rows: shape (n_rows,); benchmark rows.
        function: of pixels, (height, width) or (height, width, 3), 8 bits; a plain function or a partial one, so that
            it can be sent to another process.
        workers: processes; None for one per free core.
        advance: told the number of pictures read.

    Raises:
        BadDataset: after all pictures were tried, listing every one that cannot be read.
        LimitExceeded: if a process dies, which is what happens when memory runs out.
    """
    root = required_images_folder(benchmark)
    images = [str(benchmark.images[row]) for row in rows]
    chunks = [images[first : first + CHUNK] for first in range(0, len(images), CHUNK)]
    failures: list[tuple[str, Unreadable]] = []
    for chunk, found in zip(chunks, _chunks(chunks, root, function, workers or available_cores()), strict=True):
        for image, value in zip(chunk, found, strict=True):
            if isinstance(value, Unreadable):
                failures.append((image, value))
            elif not failures:
                yield value
        advance(len(chunk))
    if failures:
        raise BadDataset(f"{benchmark.name}, {printable(root.name)}", _problems(failures))


def _chunks(
    chunks: Sequence[Sequence[str]], root: Path, function: Callable[[Pixels], Array], workers: int
) -> Iterator[list[Array | Unreadable]]:
    if workers == 1 or len(chunks) <= 1:
        yield from (_read(chunk, root, function) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def submit(chunk: Sequence[str]) -> Future[list[Array | Unreadable]]:
            with quiet_start():  # which may start a process
                return pool.submit(_read, chunk, root, function)

        try:
            yield from in_order(submit, chunks, IN_FLIGHT * workers)
        except BrokenProcessPool as error:
            remedy = "free some memory or use --workers 1, and run again"
            problem = Problem("process-died", "images", "a process that decodes died", remedy)
            raise LimitExceeded(str(root), [problem]) from error


def _read(images: Sequence[str], root: Path, function: Callable[[Pixels], Array]) -> list[Array | Unreadable]:
    """The function's value for each image file, or why there is none."""
    folder = ImageFolder(root)
    found: list[Array | Unreadable] = []
    with strict_decoding():
        for image in images:
            try:
                found.append(function(decode(folder.read(image).data, limit_pixels=DEFAULT_LIMIT_PIXELS)))
            except Unreadable as failure:
                found.append(failure)
    return found


def _problems(failures: Sequence[tuple[str, Unreadable]]) -> list[Problem]:
    """One for each kind of failure."""
    by_code: dict[str, list[str]] = {}
    for image, failure in failures:
        by_code.setdefault(failure.code, []).append(f"{image} {failure.found}")
    problems = []
    for code, found in sorted(by_code.items()):
        n = len(found)
        images = f"{n} image{'s' if n > 1 else ''}: {first_few(found, n)}"
        problems.append(Problem(code, "images", images, f"mend or restore {'them' if n > 1 else 'it'}", n))
    return problems
