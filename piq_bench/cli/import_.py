"""`piq import`: writes a public data set down as a folder of this project."""

from pathlib import Path

import click

from piq_bench.cli import Command, tell, tell_note
from piq_bench.errors import exit_codes

AUTO = "auto"


class ListsLayouts(Command):
    """Lists the names of all layouts at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the layouts and their titles."""
        from piq_bench.read.layouts.labelled import ALL_TITLES

        with formatter.section("Layouts"):
            formatter.write_dl([(AUTO, "what PATH turns out to be"), *ALL_TITLES.items()])
        super().format_epilog(ctx, formatter)


@click.command(
    "import",
    cls=ListsLayouts,
    examples=(
        "piq import auto Market-1501-v15.09.15 --out market",
        "piq import pa100k PA-100K --out pa100k --taxonomy portrait",
    ),
)
@click.argument("layout")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New folder to write.")
@click.option(
    "--taxonomy",
    type=click.Choice(["portrait"]),
    help="Rename attributes of a public data set to those of Portrait250K, but only where they mean exactly the same.",
)
def import_command(layout: str, path: Path, out: Path, taxonomy: str | None) -> None:
    """Write the public data set in PATH down as a folder with benchmark.toml and annotations.csv.

    LAYOUT says which data set it is. Images stay where they are. The folder scores with the same numbers as PATH; its
    rules, identities and labels can be read and changed.
    """
    with exit_codes():
        from piq_bench.read.layouts.import_ import import_dataset
        from piq_bench.read.layouts.labelled import ALL_TITLES

        found = import_dataset(path, out, None if layout == AUTO else layout, taxonomy)
        benchmark = found.benchmark
        for problem in found.integrity:
            tell(f"{problem.found} -> {problem.remedy}", name="not fit for scoring: ")
        for note in found.notes:
            tell_note(f"{note.where}: {note.found}")
        title = ALL_TITLES.get(benchmark.layout, benchmark.layout)
        click.echo(f"wrote {out}: {benchmark.images.size} images, read as {title} ({benchmark.layout})")
