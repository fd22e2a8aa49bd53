"""`piq-stats`: describes a data set in numbers and lists what is wrong with it."""

from fractions import Fraction
from pathlib import Path

import click

from piq_bench.cli import STDOUT, Command, json_output, output_file, tell_note, wants_colour
from piq_bench.cli.options import follow_links_option, format_option
from piq_bench.errors import exit_codes

NARROWEST = 76
WIDEST = 80
LONGEST_SHARE = 20


def shares(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Fraction, ...]:
    """Callback of --k: turn decimals such as "0.2" into exact fractions in (0, 1], without repetitions."""
    found = []
    for text in values:
        is_decimal = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= LONGEST_SHARE
        share = Fraction(text) if is_decimal else Fraction(0)
        if not 0 < share <= 1:
            raise click.BadParameter(f"{text!r} is not a decimal number above 0 and at most 1", ctx, parameter)
        found.append(share)
    return tuple(dict.fromkeys(found))


@click.command(
    "piq-stats",
    cls=Command,
    examples=(
        "piq-stats DATASET",
        "piq-stats labels.csv --no-files",
        "piq-stats DATASET --html stats.html",
    ),
)
@click.argument("dataset", required=False, envvar="PIQ_DATASET", type=click.Path(path_type=Path))
@click.option(
    "--k",
    "ks",
    callback=shares,
    multiple=True,
    default=("0.2",),
    show_default=True,
    help="Share k of the long-tail score LTS_k; repeat the option for several.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    callback=json_output,
    help="Also write the statistics as JSON here; with - print it in place of the result.",
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), callback=output_file, help="Also write an HTML report here."
)
@format_option
@click.option(
    "--files/--no-files", default=True, show_default=True, help="Check for missing, empty and identical image files."
)
@follow_links_option
@click.option("--dataset", "named", type=click.Path(path_type=Path), help="Same as DATASET, as in other commands.")
def stats_command(
    dataset: Path | None,
    ks: tuple[Fraction, ...],
    json_file: Path | None,
    html_file: Path | None,
    layout: str,
    files: bool,
    follow_links: bool,
    named: Path | None,
) -> None:
    """Describe DATASET and check it.

    DATASET is a folder with benchmark.toml and annotations, a public data set, or a table of labels. The
    default is $PIQ_DATASET, or the bundled portrait-mini. The exit code is 4 if the data set is not fit for scoring.
    """
    if named is not None:
        given = click.get_current_context().get_parameter_source("dataset")
        if given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("name one data set: as DATASET or by --dataset")
        dataset = named
    with exit_codes():
        import shutil
        from dataclasses import replace

        from piq_bench.cli.progress import doing, progress_bar
        from piq_bench.describe.stats import describe
        from piq_bench.errors import BadDataset
        from piq_bench.read.dataset import BUNDLED, inspect_dataset
        from piq_bench.report.html import require
        from piq_bench.report.stats_html import stats_html
        from piq_bench.report.stats_json import stats_json
        from piq_bench.report.stats_table import stats_table
        from piq_bench.report.stats_text import stats_latex, stats_markdown
        from piq_bench.write.files import write_text

        if html_file is not None:
            require()
        with doing("reading the data set"):
            found = inspect_dataset(dataset)
        for note in found.notes:
            if note.code == "index-column":
                tell_note(f"{note.where}: {note.found}: {note.remedy}")
        benchmark = replace(found.benchmark, follow_links=follow_links)
        with progress_bar("checking image files", benchmark.images.size if files else 0) as advance:
            stats = describe(
                benchmark,
                ks=ks,
                integrity=found.integrity,
                notes=found.notes,
                files=files,
                advance=advance,
            )
        if json_file == STDOUT:
            layout = "json"
        elif json_file is not None:
            write_text(json_file, stats_json(stats))
        if layout == "table":
            width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size().columns))
            text = stats_table(stats, width=width, colour=wants_colour())
        else:
            text = {"json": stats_json, "markdown": stats_markdown, "latex": stats_latex}[layout](stats)
        click.echo(text, nl=False)
        if html_file is not None:
            write_text(html_file, stats_html(stats, benchmark))
        if found.integrity:
            raise BadDataset(str(dataset or BUNDLED), found.integrity)
