"""`piq baseline`: answers a benchmark from fixed image features, without any training."""

from pathlib import Path

import click

from piq_bench.cli import Command, tell, try_next
from piq_bench.cli.options import WORKERS_HELP, follow_links_option, submission_file_option
from piq_bench.errors import exit_codes


@click.command(
    "baseline",
    cls=Command,
    examples=("piq baseline DATASET --out baseline.npz",),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@submission_file_option
@click.option("--name", default="colour-shape", show_default=True, help="Name of the submission.")
@click.option("--workers", type=click.IntRange(1, 64), help=WORKERS_HELP)
@follow_links_option
def baseline_command(dataset: Path, out: Path, name: str, workers: int | None, follow_links: bool) -> None:
    """Write a baseline submission for DATASET, made from colour and shape statistics of its images without training."""
    with exit_codes():
        from dataclasses import replace

        from piq_bench.baseline.colour_shape import answer
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import first_few
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.write.submission import write_submission

        benchmark = replace(read_benchmark(dataset), follow_links=follow_links)
        with progress_bar("describing images", benchmark.images.size) as advance:
            answers = answer(benchmark, workers=workers, advance=advance)
        write_submission(
            out,
            images=benchmark.images[benchmark.test_rows],
            embedding=answers.embedding,
            predictions=answers.predictions,
            meta={
                "name": name,
                "benchmark": benchmark.name,
                "distance": "cosine",
                "method": "colour histograms in stripes and edge directions on a grid; nearest mean of training images",
            },
        )
        options = []
        if answers.excluded:
            names = first_few(answers.excluded, len(answers.excluded))
            tell(names, name="left out, since no training image is annotated for them: ")
            options = ["--partial"]
        click.echo(f"wrote {out}; try: {try_next('piq-score', out, *options, dataset=dataset)}")
