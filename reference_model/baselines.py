"""The baseline submissions from nothing: in comes an empty folder, out come entries for the bundled benchmark.

The paper starts from ImageNet weights, which nobody may pass on here. What stands for them is a backbone that was
trained on portraits of other people, drawn from another seed; then every row is trained on the training images of the
bundled benchmark alone. Each step is skipped where its result lies in the folder already, so that a run which was
interrupted goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from piq_bench.demo.build import DEFAULT_IMAGES, DEFAULT_SEED
from piq_bench.records import Score
from reference_model.config import PRESETS, small
from reference_model.entry import write_entry
from reference_model.predict import Progress, quiet
from reference_model.pretraining import N_IMAGES, drawn, pretrained_backbone
from reference_model.schedule import Schedule
from reference_model.train import train

PREFIX = "reference-"  # of an entry's name
ROWS = tuple(name for name, preset in PRESETS.items() if preset.models != "retrieval")
"""Table 4's nine rows, which answer all tasks."""

SIZE = (192, 96)
SCHEDULE = Schedule(n_epochs=8, base_rate=1e-3, n_warm_up=1, milestones=(5, 7))


def make_baselines(
    out: Path,
    rows: Sequence[str] = ROWS,
    *,
    device: torch.device,
    n_others: int = N_IMAGES,
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
    benchmark = drawn(work / "benchmark", n_images, DEFAULT_SEED, workers, progress)
    scores: dict[str, Score] = {}
    for row in rows:
        run = work / row
        configuration = replace(small(PRESETS[row]), size=SIZE, schedule=SCHEDULE)
        options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress, "tell": tell}
        start = pretrained_backbone(work, n_others, PRESETS[row], **options)
        tell(f"{row}: training")
        train(benchmark, configuration, run, weights=start, resume=True, **options)
        scores[row] = write_entry(benchmark, run, out / f"{PREFIX}{row}", row, device, workers, progress)
    return scores
