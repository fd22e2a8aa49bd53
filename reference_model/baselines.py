"""The baseline submissions from nothing: in comes an empty folder, out come entries for the bundled benchmark.

The paper starts from ImageNet weights, which nobody may pass on here. What stands for them is a backbone that was
trained on portraits of other people, drawn from another seed; then every row is trained on the training images of the
bundled benchmark alone. Each step is skipped where its result lies in the folder already, so that a run which was
interrupted goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from piq_bench.demo.build import DEFAULT_IMAGES, build_demo
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark, Score
from reference_model.checkpoint import FILE, load
from reference_model.config import PRESETS, Configuration, small
from reference_model.entry import write_entry
from reference_model.predict import Progress, quiet
from reference_model.schedule import Schedule
from reference_model.train import train

PREFIX = "reference-"  # of an entry's name
ROWS = tuple(name for name, preset in PRESETS.items() if preset.models != "retrieval")
"""Table 4's nine rows, which answer all tasks."""

OTHERS = "others"  # the data set to start from
N_OTHERS, SEED_OF_OTHERS, BATCH_OF_OTHERS = 30_000, 1, 64
STAGES: Sequence[Mapping[str, Any]] = (  # bodies are learned from small images, faces need larger ones
    {
        "size": (128, 64),
        "schedule": Schedule(n_epochs=14, base_rate=3e-3, n_warm_up=1, milestones=(9, 13)),
        "multi_label": "mean",
    },
    {
        "size": (192, 96),
        "schedule": Schedule(n_epochs=6, base_rate=2e-3, n_warm_up=1, milestones=(5,)),
        "multi_label": "mean",
        "combination": "uncertainty",
    },
    {
        "size": (192, 96),
        "schedule": Schedule(n_epochs=6, base_rate=2e-3, n_warm_up=1, milestones=(4, 5)),
    },
)
SIZE = (192, 96)
SCHEDULE = Schedule(n_epochs=8, base_rate=1e-3, n_warm_up=1, milestones=(5, 7))


def make_baselines(
    out: Path,
    rows: Sequence[str] = ROWS,
    *,
    device: torch.device,
    n_others: int = N_OTHERS,
    n_images: int = DEFAULT_IMAGES,
    workers: int | None = None,
    progress: Progress = quiet,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Score]:
    """Draw, pre-train, train each row, predict, score.

    Args:
        out: a folder; data sets and runs go to `work` in it, and each row's entry into a folder of its own.
        rows: names of presets that answer all tasks.
        device: to compute on.
        n_others: pictures of other people to start from.
        n_images: pictures of the benchmark; others than the default are for tests.
        workers: processes that draw and decode; None for one per free core.
        progress: told what is done.
        tell: given a line per epoch.

    Returns:
        By row, the score.

    Raises:
        BadUsage: as the steps do.
    """
    work = out / "work"
    benchmark = _drawn(work / "benchmark", n_images, 0, workers, progress)
    scores: dict[str, Score] = {}
    for row in rows:
        run = work / row
        start = _start(work, n_others, PRESETS[row], device, workers, progress, tell)
        configuration = replace(small(PRESETS[row]), size=SIZE, schedule=SCHEDULE)
        tell(f"{row}: training")
        options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress, "tell": tell}
        train(benchmark, configuration, run, weights=start, resume=True, **options)
        scores[row] = write_entry(benchmark, run, out / f"{PREFIX}{row}", row, device, workers, progress)
    return scores


def _drawn(folder: Path, n_images: int, seed: int, workers: int | None, progress: Progress) -> Benchmark:
    """A synthetic benchmark with its pictures."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with progress(f"drawing {n_images} portraits", n_images + n_images * 7 // 15) as advance:
            build_demo(folder, n_images=n_images, seed=seed, workers=workers, advance=advance)
    return read_benchmark(folder)


def _start(
    work: Path,
    n_others: int,
    preset: Configuration,
    device: torch.device,
    workers: int | None,
    progress: Progress,
    tell: Callable[[str], None],
) -> Path | None:
    """A checkpoint of the preset's backbone, trained on other people."""
    row = "sim-mtl-r50" if preset.backbone == "r50" else "sim-mtl"
    found = small(PRESETS[row])
    sampling = replace(found.sampling, batch_size=BATCH_OF_OTHERS)
    start: Path | None = None
    for number, stage in enumerate(STAGES, start=1):
        configuration = replace(found, sampling=sampling, **stage)
        run = work / f"{OTHERS}-{found.backbone}-{number}"
        if not (run / FILE).exists() or load(run).n_epochs < configuration.schedule.n_epochs:
            others = _drawn(work / OTHERS, n_others, SEED_OF_OTHERS, workers, progress)
            tell(f"{found.backbone}: training on other people, stage {number} of {len(STAGES)}")
            options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress, "tell": tell}
            train(others, configuration, run, weights=start, resume=True, **options)
        start = run / FILE
    return start
