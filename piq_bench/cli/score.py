"""`piq-score`: a submission and a benchmark to a score, printed and written."""

import os
import sys
from pathlib import Path

import click

from piq_bench.cli import output_file
from piq_bench.errors import exit_codes

FORMATS = ("table", "json", "markdown", "latex")
AP_CONVENTIONS = ("non-interpolated", "market1501")
ENGINES = ("auto", "cpu", "gpu")
DISCLOSURES = ("full", "public", "score")
DISCLOSURE_HELP = "What is told: all; nothing of single images and people; or scores without any label."
ENGINE_HELP = "What counts; all give the same score. auto: a GPU if the job is large and one works."


@click.command("piq-score", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("submission", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark to score against: a folder. [default: the bundled portrait-mini]",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), callback=output_file, help="Also write the score file here."
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), callback=output_file, help="Also write a report to look at."
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="Score file whose numbers the report shows beside. [default: our best entry, for portrait-mini]",
)
@click.option("--format", "layout", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--engine", type=click.Choice(ENGINES), default="auto", show_default=True, help=ENGINE_HELP)
@click.option("--partial", is_flag=True, help="Score what is there; PIQ is not reported.")
@click.option("--ap", type=click.Choice(AP_CONVENTIONS), default=AP_CONVENTIONS[0], show_default=True)
@click.option("--exclude", type=click.Choice(["sequence"]), help="Also leave out the query's own sequence.")
@click.option(
    "--bootstrap",
    "n_resamples",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Resamples for the intervals; 0 for none.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of the bootstrap.")
@click.option("--disclosure", type=click.Choice(DISCLOSURES), default="full", show_default=True, help=DISCLOSURE_HELP)
@click.option("--summary", is_flag=True, help="In a GitHub workflow: also add the result to the job's summary.")
@click.option("--min-piq", type=click.FloatRange(0, 1), help="Exit with 5 if PIQ is lower.")
def score_command(
    submission: Path,
    dataset: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    reference: Path | None,
    layout: str,
    engine: str,
    partial: bool,
    ap: str,
    exclude: str | None,
    n_resamples: int,
    seed: int,
    disclosure: str,
    summary: bool,
    min_piq: float | None,
) -> None:
    """Score SUBMISSION (.npz, .parquet or a folder) and print the result."""
    from piq_bench.report.disclosure import disclosed, disclosed_json, redacted_problems

    with exit_codes(), redacted_problems(disclosure):
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import BadUsage, GateNotMet, Problem
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.read.submission import read_submission
        from piq_bench.records import GALLERY, QUERY
        from piq_bench.report.html import require
        from piq_bench.report.json import digest_of
        from piq_bench.report.latex import score_latex
        from piq_bench.report.markdown import score_markdown
        from piq_bench.report.reference import reference_of
        from piq_bench.report.score_html import score_html
        from piq_bench.report.table import score_table
        from piq_bench.retrieve.engines import choose
        from piq_bench.scoring.drilldown import drill_down
        from piq_bench.scoring.score import score
        from piq_bench.write.files import write_text

        if html_file is not None:
            require()
        elif reference is not None:
            remedy = "add --html FILE, or leave it out"
            raise BadUsage("--reference", [Problem("no-report", "--html", "nothing would show the reference", remedy)])
        benchmark = read_benchmark(dataset)
        if exclude == "sequence" and benchmark.sequence is None:
            remedy = "leave the option out, or add a column 'sequence' to the annotations"
            raise BadUsage("--exclude", [Problem("no-sequence", "sequence", "the data set names no sequences", remedy)])
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        count, engine_name = choose(engine, n_queries * n_gallery, tell=lambda message: click.echo(message, err=True))
        entry = read_submission(submission, benchmark, partial=partial)
        with progress_bar("queries", n_queries) as advance:
            result = score(
                benchmark,
                entry,
                ap=ap,
                exclude_sequence=exclude == "sequence",
                n_resamples=n_resamples,
                seed=seed,
                engine=count,
                engine_name=engine_name,
                advance=advance,
            )
        shown = disclosed(result, disclosure)
        if html_file is not None:
            page = score_html(
                shown,
                benchmark,
                digest=digest_of(result),
                drilldown=drill_down(benchmark, entry, result, disclosure=disclosure),
                reference=reference_of(result, reference),
            )
        if json_file is not None:
            write_text(json_file, disclosed_json(result, disclosure))
        if html_file is not None:
            write_text(html_file, page)
        if layout == "json":
            text = disclosed_json(result, disclosure)
        elif layout == "table":
            text = score_table(shown, benchmark, colour=sys.stdout.isatty(), digest=digest_of(result))
        else:
            text = {"markdown": score_markdown, "latex": score_latex}[layout](shown, benchmark)
        click.echo(text, nl=False)
        if summary and (place := os.environ.get("GITHUB_STEP_SUMMARY")):
            with Path(place).open("a", encoding="utf-8") as stream:  # other steps write there too
                stream.write(score_markdown(shown, benchmark))
        if min_piq is not None and (result.piq is None or result.piq < min_piq):
            found = "PIQ is not reported" if result.piq is None else f"PIQ is {result.piq!r}"
            remedy = f"--min-piq asks for at least {min_piq!r}"
            raise GateNotMet(str(submission), [Problem("min-piq", "piq", found, remedy)])
