"""`piq template`: a valid example submission to start from."""

from pathlib import Path

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes


@click.command("template")
@click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark that it answers. [default: the bundled portrait-mini]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("submission.npz"),
    show_default=True,
    callback=output_file,
    help="A .npz or .parquet file, or a new folder.",
)
@click.option("--dimension", type=click.IntRange(1, 65536), default=128, show_default=True, help="Of the embedding.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
def template_command(dataset: Path | None, out: Path, dimension: int, seed: int) -> None:
    """Write a valid example submission with random answers."""
    with exit_codes():
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.write.template import write_template

        benchmark = read_benchmark(dataset, need_labels=False)
        write_template(out, benchmark, dimension=dimension, seed=seed)
        click.echo(f"wrote {out}: {benchmark.test_rows.size} images of {benchmark.name}; try: piq check {out}")
