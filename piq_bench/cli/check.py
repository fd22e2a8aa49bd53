"""`piq check`: checks the format of a submission, without labels."""

import sys
from pathlib import Path

import click

from piq_bench.cli import Command, tell_note
from piq_bench.cli.options import FORMAT_HELP, PARTIAL_HELP, dataset_option
from piq_bench.errors import exit_codes, width_of


@click.command(
    "check",
    cls=Command,
    examples=(
        "piq check mine.npz --dataset DATASET",
        "piq check reid-only.npz --partial --format json",
    ),
)
@click.argument("submission", type=click.Path(path_type=Path))
@dataset_option
@click.option("--partial", is_flag=True, help=PARTIAL_HELP)
@click.option(
    "--format", "layout", type=click.Choice(["table", "json"]), default="table", show_default=True, help=FORMAT_HELP
)
def check_command(submission: Path, dataset: Path | None, partial: bool, layout: str) -> None:
    """Check the format of SUBMISSION (.npz, .parquet or a folder) and list its content.

    No labels are needed: the columns image and split of the annotations are enough.
    """
    with exit_codes():
        from piq_bench.cli.progress import doing
        from piq_bench.errors import BadSubmission, printable
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.read.submission import read_submission
        from piq_bench.report.check import check_json, check_table, refusal_json

        benchmark = read_benchmark(dataset, need_labels=False)
        try:
            with doing(f"reading {printable(submission.name)}"):
                entry = read_submission(submission, benchmark, partial=partial, tell=tell_note)
        except BadSubmission as refusal:
            if layout == "json":
                click.echo(refusal_json(refusal), nl=False)
            raise
        table = check_table(entry, benchmark, width=width_of(sys.stdout))
        click.echo(table if layout == "table" else check_json(entry, benchmark), nl=False)
