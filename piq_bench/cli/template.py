"""`piq template`: writes a valid example submission to start from."""

from pathlib import Path

import click

from piq_bench.cli import Command, try_next
from piq_bench.cli.options import SEED, dataset_option, submission_file_option
from piq_bench.errors import exit_codes, printable


@click.command(
    "template",
    cls=Command,
    examples=(
        "piq template --out mine.npz",
        "piq template --dataset DATASET --out mine.parquet",
    ),
)
@dataset_option
@submission_file_option
@click.option(
    "--dimension",
    type=click.IntRange(1, 65536),
    default=128,
    show_default=True,
    help="Number of values in each embedding.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the random answers.")
def template_command(dataset: Path | None, out: Path, dimension: int, seed: int) -> None:
    """Write a valid example submission with random answers."""
    with exit_codes():
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.write.template import write_template

        benchmark = read_benchmark(dataset, need_labels=False)
        write_template(out, benchmark, dimension=dimension, seed=seed)
        check = try_next("piq check", out, dataset=dataset)
        click.echo(f"wrote {out}: {benchmark.test_rows.size} images of {printable(benchmark.name)}; try: {check}")
