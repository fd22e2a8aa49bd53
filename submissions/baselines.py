"""Makes the reference model's entries of the leaderboard from nothing: `python submissions/baselines.py OUT`.

The paper starts from ImageNet weights, which cannot be passed on here. Instead, a backbone is first trained on
portraits of other people, drawn with another seed; then each row of the paper's Table 4 is trained on the training
images of the bundled benchmark alone. A step whose result is already in the folder is skipped, so an interrupted run
can be resumed.

Nothing heavier than click is imported before the command runs, so that `--help` answers at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.errors import exit_codes
from reference_model.options import DEVICE, WORKERS, device_of, torch_needed
from reference_model.schedule import Schedule

if TYPE_CHECKING:
    import torch

    from piq_bench.scoring.records import Score
    from reference_model.predict import Progress

PREFIX = "reference-"  # of an entry's name
SIZE = (192, 96)  # height and width of the images
SCHEDULE = Schedule(n_epochs=8, base_rate=1e-3, n_warm_up=1, milestones=(5, 7))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--preset", "presets", multiple=True, help="Make only this row; may be given several times. [default: all nine]"
)
@DEVICE
@WORKERS
def main(out: Path, presets: tuple[str, ...], device: str, workers: int | None) -> None:
    """Make the baseline entries of the bundled benchmark from nothing, in the folder OUT.

    Draws the benchmark and portraits of other people, trains a backbone on the portraits, then trains each row on the
    benchmark's training images, predicts and scores. Run it again to resume after an interrupt.
    """
    with exit_codes(), torch_needed():
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import BadUsage, Problem, first_few
        from reference_model.config import CPU_BATCH
        from reference_model.trainer import memory

        rows = all_rows()
        unknown = [name for name in presets if name not in rows]
        if unknown:
            found = f"{first_few(unknown, len(unknown))} makes no whole submission"
            remedy = f"one of {first_few(rows, len(rows), shown=len(rows))}"
            raise BadUsage("baselines", [Problem("no-preset", "--preset", found, remedy)])
        with memory(CPU_BATCH, "sampling.batch_size"):
            scores = make_baselines(
                out,
                presets or rows,
                device=device_of(device),
                workers=workers,
                progress=progress_bar,
                echo=lambda line: click.echo(line, err=True),
            )
        for name, score in scores.items():
            click.echo(f"{name:20} PIQ {100 * float(score.piq or 0):.2f}  {out / (PREFIX + name)}")


def all_rows() -> tuple[str, ...]:
    """The presets of the nine rows of Table 4, which answer all tasks."""
    from reference_model.config import PRESETS

    return tuple(name for name, preset in PRESETS.items() if preset.models != "retrieval")


def make_baselines(
    out: Path,
    rows: Sequence[str],
    *,
    device: "torch.device",
    progress: "Progress",
    echo: Callable[[str], None],
    workers: int | None = None,
    n_pretraining_images: int | None = None,
    n_images: int | None = None,
) -> "dict[str, Score]":
    """Draw, pre-train, train each row, predict and score.

    Args:
        out: a folder; data sets and runs go to its subfolder `work`, each entry to a subfolder of its own.
        rows: names of presets that answer all tasks.
        device: where to compute.
        progress: shows a progress bar for each step.
        echo: called with each line of the training log.
        workers: processes that draw and decode; None for one per free core.
        n_pretraining_images: number of portraits of other people; None for the number behind the published entries.
        n_images: number of portraits in the benchmark; None for the bundled one.

    Returns:
        The score of each row.

    Raises:
        BadUsage: if training refuses the configuration or the folder.
    """
    from entry import write_entry
    from piq_bench.demo.build import DEFAULT_IMAGES, DEFAULT_SEED
    from pretraining import N_IMAGES, draw_benchmark, pretrained_backbone
    from reference_model.config import PRESETS, small
    from reference_model.train import train

    work = out / "work"
    benchmark = draw_benchmark(work / "benchmark", n_images or DEFAULT_IMAGES, DEFAULT_SEED, workers, progress)
    scores: dict[str, Score] = {}
    for row in rows:
        run = work / row
        configuration = replace(small(PRESETS[row]), size=SIZE, schedule=SCHEDULE)
        backbone = pretrained_backbone(
            work,
            n_pretraining_images or N_IMAGES,
            PRESETS[row],
            device=device,
            workers=workers,
            progress=progress,
            echo=echo,
        )
        echo(f"{row}: training")
        train(
            benchmark,
            configuration,
            run,
            device=device,
            weights=backbone,
            resume=True,
            workers=workers,
            progress=progress,
            tell=echo,
        )
        entry, n_drawn = out / f"{PREFIX}{row}", n_pretraining_images or N_IMAGES
        scores[row] = write_entry(benchmark, run, entry, row, device, workers, progress, n_drawn)
    return scores


if __name__ == "__main__":
    main()
