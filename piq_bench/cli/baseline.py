"""`piq baseline`: pictures to a submission, without learning."""

from pathlib import Path

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes


@click.command("baseline")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.npz"),
    show_default=True,
    callback=output_file,
    help="A .npz or .parquet file, or a new folder.",
)
@click.option("--name", default="colour-shape", show_default=True, help="Of the submission.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes. [default: one per free core]")
def baseline_command(dataset: Path, out: Path, name: str, workers: int | None) -> None:
    """Answer DATASET from colour and shape statistics of its pictures; nothing is learned."""
    with exit_codes():
        from piq_bench.baseline.colour_shape import answer
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import first_few
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.write.submission import write_submission

        benchmark = read_benchmark(dataset)
        with progress_bar("images", benchmark.images.size) as advance:
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
        partial = ""
        if answers.excluded:
            names = first_few(answers.excluded, len(answers.excluded))
            click.echo(f"left out, since no training image is annotated for them: {names}", err=True)
            partial = " --partial"
        click.echo(f"wrote {out}; try: piq-score {out} --dataset {dataset}{partial}")
