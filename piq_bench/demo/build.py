"""A synthetic benchmark as a data set on disk: benchmark.toml, annotations.csv, images/ and groups.csv.

The benchmark bundled with the package is made by, and equal to, the defaults:

    piq demo portrait-mini && rm -r portrait-mini/images && cp portrait-mini/* piq_bench/data/portrait-mini/

Pictures are drawn in several processes into a temporary folder beside the target, which is renamed at the end: an
interruption leaves nothing behind, and nothing that was there is ever deleted.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from piq_bench.demo.film import Frame, shoot
from piq_bench.demo.portrait import draw
from piq_bench.demo.sizes import MAX_IMAGES, MIN_IMAGES, sizes_for
from piq_bench.demo.tables import annotations_csv, benchmark_toml
from piq_bench.errors import BadUsage, Problem, quoted
from piq_bench.group.build import GroupReport, build_groups, write_groups
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.files import write_text

DEFAULT_IMAGES = 3000
DEFAULT_SEED = 0
BUNDLED_NAME = "portrait-mini"
REMARK = "Drawn by `piq demo`: no person in it exists."

# Fixed, whatever the encoder's defaults become: the files' pixels are part of the benchmark.
JPEG: dict[str, Any] = {"format": "JPEG", "quality": 90, "subsampling": 2, "optimize": False, "progressive": False}
FRAMES_PER_JOB = 24

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Built:
    """What was built: the frames in file order, the groups and the fingerprint."""

    name: str
    frames: list[Frame]
    report: GroupReport
    fingerprint: str


def build_demo(
    out: Path,
    *,
    n_images: int = DEFAULT_IMAGES,
    seed: int = DEFAULT_SEED,
    workers: int | None = None,
    advance: Advance = lambda steps: None,
) -> Built:
    """Draw a benchmark of `n_images` pictures into the folder `out`.

    Args:
        out: a folder that does not exist yet, or is empty.
        n_images: from MIN_IMAGES to MAX_IMAGES.
        seed: equal seeds give equal benchmarks, pictures included.
        workers: processes that draw; None for one per core.
        advance: called with the number of pictures drawn, and again with those hashed, since the last call.

    Raises:
        BadUsage: if the number of images is out of range, or `out` cannot be written or holds anything.
    """
    problems = []
    if not MIN_IMAGES <= n_images <= MAX_IMAGES:
        remedy = f"from {MIN_IMAGES} (every split needs people) to {MAX_IMAGES}"
        problems.append(Problem("bad-size", "--images", f"got {n_images}", remedy))
    if workers is not None and workers < 1:
        problems.append(Problem("bad-workers", "--workers", f"got {workers}", "at least 1"))
    if problems:
        raise BadUsage(str(out), problems)
    name = BUNDLED_NAME if (n_images, seed) == (DEFAULT_IMAGES, DEFAULT_SEED) else f"portrait-demo-{n_images}-{seed}"
    with new_folder(out) as folder:
        frames = shoot(seed, sizes_for(n_images))
        write_text(folder / "benchmark.toml", benchmark_toml(name, REMARK))
        write_text(folder / "annotations.csv", annotations_csv(frames))
        draw_all(seed, frames, folder / "images", workers or n_cores(), advance)
        report = build_groups(read_benchmark(folder), folder / "images", workers=workers, advance=advance)
        write_groups(folder / "groups.csv", report)
        mark = fingerprint(read_benchmark(folder))
    return Built(name, frames, report, mark)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out`, renamed to `out` at the end, removed on any error.

    Raises:
        BadUsage: if `out` is there and not an empty folder, or its parent cannot be written.
    """
    out = out.absolute()
    refuse_occupied(out)
    try:
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        found = f"{quoted(out.parent)}: {error.strerror or error}"
        remedy = "name a new folder inside one that exists and can be written"
        raise BadUsage(str(out), [Problem("cannot-write", "OUT", found, remedy)]) from error
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        folder.chmod(0o777 & ~umask)  # mkdtemp is private; this folder is as any other
        refuse_occupied(out)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_occupied(out: Path) -> None:
    """Refuse to build over anything."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadUsage(str(out), [Problem("not-a-folder", "OUT", "there is a file or a link", "name a new folder")])
    if out.is_dir() and any(out.iterdir()):
        found = f"the folder holds {quoted(sorted(out.iterdir())[0].name)}"
        remedy = "name a new or empty folder; nothing is ever overwritten"
        raise BadUsage(str(out), [Problem("not-empty", "OUT", found, remedy)])


def draw_all(seed: int, frames: list[Frame], folder: Path, workers: int, advance: Advance) -> None:
    """Draw all frames below `folder`, in several processes."""
    folder.mkdir()
    for source in sorted({frame.source for frame in frames}):
        (folder / source).mkdir()
    jobs = [frames[start : start + FRAMES_PER_JOB] for start in range(0, len(frames), FRAMES_PER_JOB)]
    if workers == 1:
        for job in jobs:
            advance(draw_files(seed, job, folder))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=leave_interrupts) as pool:
        try:
            for done in as_completed([pool.submit(draw_files, seed, job, folder) for job in jobs]):
                advance(done.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def leave_interrupts() -> None:
    """In a worker: Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def draw_files(seed: int, frames: list[Frame], folder: Path) -> int:
    """Draw some frames, each to its file, and say how many."""
    for frame in frames:
        Image.fromarray(draw(seed, frame)).save(folder / frame.image, **JPEG)
    return len(frames)
