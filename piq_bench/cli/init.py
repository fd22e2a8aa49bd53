"""`piq init`: writes benchmark.toml for a table of annotations, for a person to edit."""

from pathlib import Path

import click

from piq_bench.cli import Command, tell, try_next
from piq_bench.errors import exit_codes


@click.command(
    "init",
    cls=Command,
    examples=(
        "piq init DATASET && piq-stats DATASET",
        "piq init DATASET --force",
    ),
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite a benchmark.toml that is there already.")
def init_command(dataset: Path, force: bool) -> None:
    """Write benchmark.toml into the folder DATASET, from the columns and values of its annotations.csv or .parquet.

    DATASET may also be the table itself. The kind of each task, its labels and who is a candidate are guessed; comments
    in the file say what was found and what to check. Nothing is written if the table itself needs correcting.
    """
    with exit_codes():
        from piq_bench.describe.init import write_init

        written = write_init(dataset, force=force)
        for doubt in written.doubts:
            tell(doubt, name="check: ")
        click.echo(f"wrote {written.path}: {written.summary}; edit it, then try: {try_next('piq-stats', dataset)}")
