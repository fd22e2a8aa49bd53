"""Writes a synthetic benchmark to disk: benchmark.toml, annotations.csv, images/ and groups.csv.

The benchmark bundled with the package is the one that the defaults give:

    piq demo portrait-mini && rm -r portrait-mini/images && cp portrait-mini/* piq_bench/data/portrait-mini/

Images are drawn by several processes into a temporary folder beside the target, which is renamed at the end: an
interruption leaves nothing behind, and existing files are never deleted. What a killed run leaves, the next run clears.
"""

from collections.abc import Callable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from piq_bench.demo.film import Frame, shoot
from piq_bench.demo.portrait import draw
from piq_bench.demo.sizes import MAX_IMAGES, MIN_IMAGES, sizes_for
from piq_bench.demo.tables import annotations_csv, benchmark_toml
from piq_bench.errors import BadUsage, LimitExceeded, Problem
from piq_bench.group.build import GroupReport, build_groups, write_groups
from piq_bench.images.processes import available_cores, interrupts_blocked, process_pool
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.files import new_folder, write_text

DEFAULT_IMAGES = 3000
DEFAULT_SEED = 0
BUNDLED_NAME = "portrait-mini"
REMARK = "Drawn by `piq demo`: no person in it exists."

# Fixed against changes of the encoder's defaults: the pixels of the files are part of the benchmark.
JPEG: dict[str, Any] = {"format": "JPEG", "quality": 90, "subsampling": 2, "optimize": False, "progressive": False}
FRAMES_PER_JOB = 24

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class BuiltBenchmark:
    """The benchmark that was written: its name, frames in file order, groups and fingerprint."""

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
) -> BuiltBenchmark:
    """Draws a benchmark and writes it to the folder `out`.

    Args:
        out: folder that does not exist yet, or is empty.
        n_images: number of images, from MIN_IMAGES to MAX_IMAGES.
        seed: seed of all random draws; equal seeds give equal benchmarks, images included.
        workers: number of drawing processes; None for one per available core.
        advance: called with the number of images drawn, and later hashed, since the last call.

    Raises:
        BadUsage: if the number of images is out of range, or `out` cannot be written or is not empty.
    """
    problems = []
    if not MIN_IMAGES <= n_images <= MAX_IMAGES:
        remedy = f"give a number from {MIN_IMAGES} (every split needs people) to {MAX_IMAGES}"
        problems.append(Problem("bad-size", "--images", f"got {n_images}", remedy))
    if workers is not None and workers < 1:
        problems.append(Problem("bad-workers", "--workers", f"got {workers}", "give at least 1"))
    if problems:
        raise BadUsage(str(out), problems)
    name = BUNDLED_NAME if (n_images, seed) == (DEFAULT_IMAGES, DEFAULT_SEED) else f"portrait-demo-{n_images}-{seed}"
    with new_folder(out) as folder:
        frames = shoot(seed, sizes_for(n_images))
        write_text(folder / "benchmark.toml", benchmark_toml(name, REMARK))
        write_text(folder / "annotations.csv", annotations_csv(frames))
        draw_frames(seed, frames, folder / "images", workers or available_cores(), advance)
        report = build_groups(read_benchmark(folder), folder / "images", workers=workers, advance=advance)
        write_groups(folder / "groups.csv", report)
        return BuiltBenchmark(name, frames, report, fingerprint(read_benchmark(folder)))


def draw_frames(seed: int, frames: list[Frame], folder: Path, workers: int, advance: Advance) -> None:
    """Draws all frames into files below `folder`, in several processes."""
    folder.mkdir()
    for source in sorted({frame.source for frame in frames}):
        (folder / source).mkdir()
    jobs = [frames[start : start + FRAMES_PER_JOB] for start in range(0, len(frames), FRAMES_PER_JOB)]
    if workers == 1:
        for job in jobs:
            advance(draw_to_files(seed, job, folder))
        return
    with process_pool(workers) as pool:
        try:
            with interrupts_blocked():
                running = [pool.submit(draw_to_files, seed, job, folder) for job in jobs]
            for future in as_completed(running):
                advance(future.result())
        except BrokenProcessPool as error:
            remedy = "free some memory or use --workers 1, and run again"
            problem = Problem("process-died", "images", "a process that draws died", remedy)
            raise LimitExceeded(str(folder), [problem]) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def draw_to_files(seed: int, frames: list[Frame], folder: Path) -> int:
    """Draws some frames, each into its file, and returns their number."""
    for frame in frames:
        Image.fromarray(draw(seed, frame)).save(folder / frame.image, **JPEG)
    return len(frames)
