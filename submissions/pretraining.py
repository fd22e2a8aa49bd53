"""Trains the backbone that the baselines start from, on portraits of other people; it replaces ImageNet weights.

The portraits are drawn with another seed than the benchmark's. Each stage starts from the weights of the previous one.
A stage whose checkpoint is already in the folder is not repeated, and an interrupted one is resumed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from piq_bench.demo.build import JPEG, REMARK, build_demo
from piq_bench.demo.film import shoot
from piq_bench.demo.portrait import head_of
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import sizes_for
from piq_bench.demo.tables import annotations_csv, benchmark_toml
from piq_bench.images.folder import required_images_folder
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark
from piq_bench.write.files import new_folder, write_text
from reference_model.checkpoint import FILE, load
from reference_model.config import PRESETS, Configuration, small
from reference_model.predict import Progress
from reference_model.schedule import Schedule
from reference_model.train import train

NAME = "others"  # of the folders; other names would not be found when a run is resumed
N_IMAGES, SEED, BATCH_SIZE = 30_000, 1, 64
HEAD_PIXELS = 86  # side of the square around a head, 1.8 times its usual height
OFF_CENTRE = 10.0  # pixels at most
NOT_IN_A_HEAD = ("physique", "height", "body", "arm")  # tasks whose labels are blank where only heads are shown


@dataclass(frozen=True)
class Stage:
    """One stage of the pre-training.

    Attributes:
        size: height and width of the images.
        schedule: epochs and learning rate.
        heads: whether to train on heads cut out of the portraits.
        split: whether each task reads its own part of the feature, as in the FSS rows, or else all of it.
        erase: share of images in which a box is erased.
        multi_label, combination: as in the configuration.
    """

    size: tuple[int, int]
    schedule: Schedule
    heads: bool = False
    split: bool = False
    erase: float = 0.5
    multi_label: Literal["mean", "sum", "balanced"] = "balanced"
    combination: Literal["average", "uncertainty"] = "average"


STAGES: Sequence[Stage] = (
    # Bodies are learned from small images, faces need larger ones.
    Stage((128, 64), Schedule(14, 3e-3, n_warm_up=1, milestones=(9, 13)), multi_label="mean"),
    Stage((192, 96), Schedule(6, 2e-3, n_warm_up=1, milestones=(5,)), multi_label="mean", combination="uncertainty"),
    Stage((192, 96), Schedule(6, 2e-3, n_warm_up=1, milestones=(4, 5))),
    # A mouth covers a two-hundredth of a portrait, too little to learn expression from. So the next stage shows heads
    # alone, as large as they are in the stage before, and the last one whole portraits again. The losses of the labels
    # are added up, so that expression outweighs the other tasks.
    Stage((64, 64), Schedule(10, 2e-3, n_warm_up=1, milestones=(7, 9)), heads=True, erase=0.0, multi_label="sum"),
    Stage((192, 96), Schedule(6, 2e-3, n_warm_up=1, milestones=(4, 5)), split=True, erase=0.0, multi_label="sum"),
)


def pretrained_backbone(
    work: Path,
    n_images: int,
    preset: Configuration,
    *,
    device: torch.device,
    workers: int | None,
    progress: Progress,
    echo: Callable[[str], None],
) -> Path | None:
    """Train the small backbone of a preset through all stages, as far as that is not done yet.

    Args:
        work: folder for data sets and runs.
        n_images: number of portraits of other people.
        preset: a row of Table 4.
        device: where to compute.
        workers: processes that draw and decode; None for one per free core.
        progress: shows a progress bar for each step.
        echo: called with each line of the training log.

    Returns:
        The checkpoint of the last stage; None if there are no stages.

    Raises:
        BadUsage: if training refuses the configuration or a folder.
    """
    base = small(PRESETS["sim-mtl-r50" if preset.backbone == "r50" else "sim-mtl"])
    checkpoint: Path | None = None
    for number, stage in enumerate(STAGES, start=1):
        configuration = replace(
            base,
            size=stage.size,
            schedule=stage.schedule,
            sampling=replace(base.sampling, batch_size=BATCH_SIZE),
            augmentation=replace(base.augmentation, erase=stage.erase),
            features=small(PRESETS["fss"]).features if stage.split else base.features,
            multi_label=stage.multi_label,
            combination=stage.combination,
        )
        run = work / f"{NAME}-{base.backbone}-{number}"
        if not (run / FILE).exists() or load(run).n_epochs < stage.schedule.n_epochs:
            people = draw_benchmark(work / NAME, n_images, SEED, workers, progress)
            shown = _cut_out_heads(work / f"{NAME}-heads", people, n_images, progress) if stage.heads else people
            echo(f"{base.backbone}: training on other people, stage {number} of {len(STAGES)}")
            train(
                shown,
                configuration,
                run,
                device=device,
                weights=checkpoint,
                resume=True,
                workers=workers,
                progress=progress,
                tell=echo,
            )
        checkpoint = run / FILE
    return checkpoint


def stages_in_words() -> list[str]:
    """What each stage trains, one line each; everything else is as in the rows at `--small` without a split."""
    lines = []
    for stage in STAGES:
        schedule = stage.schedule
        parts = [f"{schedule.n_epochs} epochs on {'heads' if stage.heads else 'portraits'} at {_by(stage.size)}"]
        parts.append(f"rate {schedule.base_rate:g}, a tenth after epoch {_and_after(schedule.milestones)}")
        parts.append("boxes erased in half of the images" if stage.erase else "nothing erased")
        parts.append(f"multi-label loss {stage.multi_label}")
        parts.append("learned weights of tasks" if stage.combination == "uncertainty" else "equal weights of tasks")
        parts.append("feature split" if stage.split else "whole feature for every task")
        lines.append("; ".join(parts))
    return lines


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _and_after(epochs: Sequence[int]) -> str:
    return " and after ".join(map(str, epochs))


def draw_benchmark(folder: Path, n_images: int, seed: int, workers: int | None, progress: Progress) -> Benchmark:
    """Draw a synthetic benchmark with its pictures, unless its folder exists already, and read it.

    Args:
        folder: folder of the benchmark.
        n_images: number of images in all splits together.
        seed: seed of everything that is drawn.
        workers: processes that draw; None for one per free core.
        progress: shows a progress bar.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with progress(f"drawing {n_images} portraits", n_images + n_images * 7 // 15) as advance:
            build_demo(folder, n_images=n_images, seed=seed, workers=workers, advance=advance)
    return read_benchmark(folder)


def _cut_out_heads(folder: Path, people: Benchmark, n_images: int, progress: Progress) -> Benchmark:
    """Make a data set of square pictures, each with a head a little off its centre, unless the folder exists."""
    if not folder.exists():
        frames = shoot(SEED, sizes_for(n_images))
        images = required_images_folder(people)
        with progress("cutting out heads", len(frames)) as advance, new_folder(folder) as new:
            for frame in frames:
                target = new / "images" / frame.image
                target.parent.mkdir(parents=True, exist_ok=True)
                draws = Draws("head", SEED, frame.image)
                offsets = [draws.between(-OFF_CENTRE, OFF_CENTRE) - HEAD_PIXELS / 2 for _ in range(2)]
                centre = head_of(SEED, frame).origin
                left, top = (round(middle + offset) for middle, offset in zip(centre, offsets, strict=True))
                with Image.open(images / frame.image) as image:
                    image.crop((left, top, left + HEAD_PIXELS, top + HEAD_PIXELS)).save(target, **JPEG)
                advance(1)
            labelled = [replace(frame, unannotated=(*frame.unannotated, *NOT_IN_A_HEAD)) for frame in frames]
            write_text(new / "annotations.csv", annotations_csv(labelled))
            write_text(new / "benchmark.toml", benchmark_toml(folder.name, REMARK))
    return read_benchmark(folder)
