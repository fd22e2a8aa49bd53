"""`piq-score`: scores a submission against a benchmark, prints the result and writes it to files."""

import os
from contextlib import ExitStack
from pathlib import Path

import click

from piq_bench.cli import STDOUT, Command, json_output, output_file, tell, tell_note, wants_colour
from piq_bench.cli.ahead import tables_ahead
from piq_bench.cli.options import (
    PARTIAL_HELP,
    SEED,
    ap_option,
    bootstrap_option,
    dataset_option,
    disclosure_option,
    engine_option,
    exclude_option,
    follow_links_option,
    format_option,
    scheduler_option,
)
from piq_bench.errors import exit_codes, printable

MAX_DATA_NOTES = 5


@click.command(
    "piq-score",
    cls=Command,
    sections={
        "What is scored": "--dataset --partial --follow-links",
        "What is printed and written": "--full --format --columns --json --html --reference --disclosure --summary",
        "Rules of re-identification": "--ap --exclude",
        "Intervals": "--bootstrap --seed",
        "Running": "--engine --scheduler --min-piq",
    },
    examples=(
        "piq-score mine.npz --dataset DATASET",
        "piq-score mine.npz --full --html score.html",
        "piq-score mine.npz --partial --json score.json --bootstrap 0",
    ),
)
@click.argument("submission", type=click.Path(path_type=Path))
@dataset_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    callback=json_output,
    help="Also write the score file (JSON) here; with - print it in place of the result.",
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), callback=output_file, help="Also write an HTML report here."
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Score file to show for comparison in the HTML report. [default: the best reference entry, for portrait-mini]",
)
@follow_links_option
@format_option
@click.option(
    "--full", is_flag=True, help="Print every metric, attribute and label; the default is one screen of main scores."
)
@click.option(
    "--columns",
    type=click.Choice(("plain", "macro", "both")),
    help="Means of re-id in LaTeX and Markdown: plain over queries, as papers report, or macro over people.",
)
@engine_option
@scheduler_option
@click.option("--partial", is_flag=True, help=f"{PARTIAL_HELP} PIQ is then not reported.")
@ap_option
@exclude_option
@bootstrap_option
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the bootstrap resampling.")
@disclosure_option
@click.option("--summary", is_flag=True, help="In a GitHub workflow: also add the result to the job summary.")
@click.option("--min-piq", type=click.FloatRange(0, 1), help="Exit with 5 if PIQ, as a fraction, is lower than this.")
def score_command(
    submission: Path,
    dataset: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    reference: Path | None,
    follow_links: bool,
    layout: str,
    full: bool,
    columns: str | None,
    engine: str,
    scheduler: str | None,
    partial: bool,
    ap: str,
    rules: tuple[str, ...],
    n_resamples: int,
    seed: int,
    disclosure: str,
    summary: bool,
    min_piq: float | None,
) -> None:
    """Score SUBMISSION (.npz, .parquet or a folder) and print the result.

    The F1 of a task is the mean over the labels that occur in the ground truth. With scikit-learn it is
    f1_score(true, predicted, labels=sorted(set(true)), average="macro", zero_division=0).
    """
    with exit_codes(), tables_ahead(dataset), ExitStack() as inner:
        from dataclasses import replace

        from piq_bench.cli.progress import INTERVALS, doing, progress_bar, waiting_for
        from piq_bench.errors import BadUsage, GateNotMet, Problem
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.read.rules import parse_rules, with_rules
        from piq_bench.read.submission import read_submission
        from piq_bench.records import OWN_LAYOUTS, QUERY
        from piq_bench.report.disclosure import disclosed, disclosed_json, redacted_problems
        from piq_bench.report.html import require
        from piq_bench.report.json import digest_of
        from piq_bench.report.latex import score_latex
        from piq_bench.report.markdown import score_markdown
        from piq_bench.report.reference import reference_of
        from piq_bench.report.table import score_table
        from piq_bench.retrieve.engines import BY_WORK, choose, prepare, work_of
        from piq_bench.scoring.score import require_numbers, score
        from piq_bench.write.files import write_text

        inner.enter_context(redacted_problems(disclosure))
        if html_file is not None:
            require()
        elif reference is not None:
            remedy = "add --html FILE, or drop --reference"
            raise BadUsage("--reference", [Problem("no-report", "--html", "nothing would show the reference", remedy)])
        if columns is not None and (layout not in ("latex", "markdown") or json_file == STDOUT):
            remedy = "add --format latex or --format markdown, or drop --columns"
            raise BadUsage("--columns", [Problem("no-columns", "--format", f"{layout} shows all columns", remedy)])
        prepare(submission, engine)
        data_notes: list[str] = []
        with doing("reading the data set"):
            benchmark = with_rules(read_benchmark(dataset, tell=data_notes.append), parse_rules(rules))
        benchmark = replace(benchmark, follow_links=follow_links)
        if benchmark.layout not in OWN_LAYOUTS:
            from piq_bench.read.layouts.labelled import ALL_TITLES  # only here: others need not wait for all layouts

            tell(f"recognised as {ALL_TITLES[benchmark.layout]} ({benchmark.layout})", name="data set: ")
        if disclosure == "full":
            tell_first(data_notes)
        # Before anything else is read, since the engine that was asked for may be missing here.
        count, engine_name = choose(engine, work_of(benchmark), scheduler=scheduler, tell=tell)
        with doing(f"reading {printable(submission.name)}"):
            entry = read_submission(submission, benchmark, partial=partial, tell=tell_note)
        if engine in BY_WORK:
            count, engine_name = choose(engine, work_of(benchmark, entry))
        n_queries = int((benchmark.split == QUERY).sum())
        before, after = waiting_for(engine_name), INTERVALS if n_resamples else ""
        with progress_bar("counting queries", n_queries, before=before, after=after) as advance:
            result = score(
                benchmark,
                entry,
                ap=ap,
                n_resamples=n_resamples,
                seed=seed,
                engine=count,
                engine_name=engine_name,
                advance=advance,
            )
        require_numbers(result)
        shown = disclosed(result, disclosure)
        beside = None if html_file is None else reference_of(result, reference)  # a wrong file is refused before all
        if json_file == STDOUT:
            layout = "json"
        elif json_file is not None:
            write_text(json_file, disclosed_json(result, disclosure))
        if layout == "json":
            text = disclosed_json(result, disclosure)
        elif layout == "table":
            text = score_table(shown, benchmark, full=full, colour=wants_colour(), digest=digest_of(result))
        else:
            text = {"markdown": score_markdown, "latex": score_latex}[layout](shown, benchmark, columns)
        click.echo(text, nl=False)
        if summary and (summary_file := os.environ.get("GITHUB_STEP_SUMMARY")):
            with Path(summary_file).open("a", encoding="utf-8") as stream:  # other steps write there too
                stream.write(score_markdown(shown, benchmark))
        if html_file is not None:  # last: whatever fails here, the score is not lost
            from piq_bench.report.score_html import score_html  # only here: a score alone needs no charts and pictures
            from piq_bench.scoring.drilldown import drill_down

            page = score_html(
                shown,
                benchmark,
                digest=digest_of(result),
                drilldown=drill_down(benchmark, entry, result, disclosure=disclosure),
                reference=beside,
            )
            write_text(html_file, page)
        if min_piq is not None and (result.piq is None or result.piq < min_piq):
            found = "PIQ is not reported" if result.piq is None else f"PIQ is {result.piq!r}"
            remedy = f"--min-piq asks for at least {min_piq!r}"
            raise GateNotMet(str(submission), [Problem("min-piq", "piq", found, remedy)])


def tell_first(notes: list[str]) -> None:
    """Print the first few notes on the data set to stderr, and how many more there are."""
    for note in notes[:MAX_DATA_NOTES]:
        tell_note(note)
    if len(notes) > MAX_DATA_NOTES:
        tell_note(f"{len(notes) - MAX_DATA_NOTES} more notes on the data set: piq-stats prints all of them")
