"""What stands for ImageNet weights in the baselines: a backbone trained on portraits of other people.

They are drawn from another seed than the benchmark's. Each stage starts from the one before; a stage whose checkpoint
lies in the folder already is not repeated, and one that was interrupted goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from piq_bench.demo.build import JPEG, REMARK, build_demo, new_folder
from piq_bench.demo.film import shoot
from piq_bench.demo.portrait import head_of
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import sizes_for
from piq_bench.demo.tables import annotations_csv, benchmark_toml
from piq_bench.images.folder import required_images_folder
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark
from piq_bench.write.files import write_text
from reference_model.checkpoint import FILE, load
from reference_model.config import PRESETS, Configuration, small
from reference_model.predict import Progress
from reference_model.schedule import Schedule
from reference_model.train import train

NAME = "others"
N_IMAGES, SEED, BATCH_SIZE = 30_000, 1, 64
HEAD_PIXELS = 86  # side of the square around a head, 1.8 times its usual height
OFF_CENTRE = 10.0  # pixels at most
NOT_IN_A_HEAD = ("physique", "height", "body", "arm")  # tasks whose labels are left away there


@dataclass(frozen=True)
class Stage:
    """A part of the training.

    Attributes:
        size: height and width of the images.
        schedule: epochs and learning rate.
        heads: whether only heads are shown.
        split: whether each task reads its own part of the feature, as in the FSS rows; the others read all of it.
        erase: share of images of which a part is erased.
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
    # A mouth is a two-hundredth of a portrait, and no expression was ever found there. So heads are learned alone, as
    # large as they are above, and then as a part of the whole; labels are added up, to outweigh the other tasks.
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
    tell: Callable[[str], None],
) -> Path | None:
    """A checkpoint of the preset's backbone.

    Args:
        work: a folder for data sets and runs.
        n_images: pictures of other people.
        preset: a row of Table 4.
        device: to compute on.
        workers: processes that draw and decode; None for one per free core.
        progress: told what is done.
        tell: given a line per epoch.

    Raises:
        BadUsage: as `train` does.
    """
    row = "sim-mtl-r50" if preset.backbone == "r50" else "sim-mtl"
    found = small(PRESETS[row])
    sampling = replace(found.sampling, batch_size=BATCH_SIZE)
    start: Path | None = None
    for number, stage in enumerate(STAGES, start=1):
        configuration = replace(
            found,
            size=stage.size,
            schedule=stage.schedule,
            sampling=sampling,
            augmentation=replace(found.augmentation, erase=stage.erase),
            features=small(PRESETS["fss"]).features if stage.split else found.features,
            multi_label=stage.multi_label,
            combination=stage.combination,
        )
        run = work / f"{NAME}-{found.backbone}-{number}"
        if not (run / FILE).exists() or load(run).n_epochs < stage.schedule.n_epochs:
            people = drawn(work / NAME, n_images, SEED, workers, progress)
            shown = _heads(work / f"{NAME}-heads", people, n_images, progress) if stage.heads else people
            tell(f"{found.backbone}: training on other people, stage {number} of {len(STAGES)}")
            options: dict[str, Any] = {"device": device, "workers": workers, "progress": progress, "tell": tell}
            train(shown, configuration, run, weights=start, resume=True, **options)
        start = run / FILE
    return start


def drawn(folder: Path, n_images: int, seed: int, workers: int | None, progress: Progress) -> Benchmark:
    """A synthetic benchmark with its pictures.

    Args:
        folder: to draw it into, where it is not there yet.
        n_images: of all splits.
        seed: of everything in them.
        workers: processes that draw; None for one per free core.
        progress: told what is done.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with progress(f"drawing {n_images} portraits", n_images + n_images * 7 // 15) as advance:
            build_demo(folder, n_images=n_images, seed=seed, workers=workers, advance=advance)
    return read_benchmark(folder)


def _heads(folder: Path, people: Benchmark, n_images: int, progress: Progress) -> Benchmark:
    """The heads in the images, a little off the centre: a data set of squares, with pictures."""
    if not folder.exists():
        frames = shoot(SEED, sizes_for(n_images))
        images = required_images_folder(people)
        with progress("cutting out heads", len(frames)) as advance, new_folder(folder) as new:
            for frame in frames:
                target = new / "images" / frame.image
                target.parent.mkdir(parents=True, exist_ok=True)
                draws = Draws("head", SEED, frame.image)
                corner = [draws.between(-OFF_CENTRE, OFF_CENTRE) - HEAD_PIXELS / 2 for _ in range(2)]
                left, top = (
                    round(middle + off) for middle, off in zip(head_of(SEED, frame).origin, corner, strict=True)
                )
                with Image.open(images / frame.image) as image:
                    image.crop((left, top, left + HEAD_PIXELS, top + HEAD_PIXELS)).save(target, **JPEG)
                advance(1)
            shown = [replace(frame, unannotated=(*frame.unannotated, *NOT_IN_A_HEAD)) for frame in frames]
            write_text(new / "annotations.csv", annotations_csv(shown))
            write_text(new / "benchmark.toml", benchmark_toml(folder.name, REMARK))
    return read_benchmark(folder)
