"""`piq compare`: compares submissions pairwise on a benchmark and tests the differences for significance."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from piq_bench.cli import STDOUT, Command, json_output, output_file, tell, tell_note, wants_colour
from piq_bench.cli.ahead import tables_ahead
from piq_bench.cli.options import (
    PARTIAL_HELP,
    SEED,
    ap_option,
    dataset_option,
    engine_option,
    exclude_option,
    format_option,
    scheduler_option,
)
from piq_bench.documents import parse_json
from piq_bench.errors import exit_codes, printable

if TYPE_CHECKING:
    from piq_bench.records import Benchmark
    from piq_bench.scoring.compare import Comparison
    from piq_bench.scoring.records import Protocol

MAX_SCORE_FILE = 16 << 20


@click.command(
    "compare",
    cls=Command,
    sections={
        "What is compared": "--dataset --partial",
        "What is printed and written": "--format --json --html",
        "Rules of re-identification": "--ap --exclude",
        "Intervals and tests": "--bootstrap --swaps --seed",
        "Running": "--engine --scheduler --fail-if-worse",
    },
    examples=(
        "piq compare baseline.npz mine.npz --dataset DATASET",
        "piq compare a.npz b.npz c.npz --html compare.html",
    ),
)
@click.argument("submissions", nargs=-1, required=True, type=click.Path(path_type=Path))
@dataset_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    callback=json_output,
    help="Also write the result as JSON here; with - print it in place of the result.",
)
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), callback=output_file, help="Also write an HTML report here."
)
@format_option
@engine_option
@scheduler_option
@click.option("--partial", is_flag=True, help=f"{PARTIAL_HELP} Each pair is compared on the tasks that both have.")
@ap_option
@exclude_option
@click.option(
    "--bootstrap",
    "n_resamples",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    help="Number of bootstrap resamples.",
)
@click.option(
    "--swaps",
    "n_swaps",
    type=click.IntRange(1, 1_000_000),
    default=10_000,
    show_default=True,
    help="Number of resamples of the randomisation test.",
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of the bootstrap resampling and the randomisation test.",
)
@click.option(
    "--fail-if-worse", is_flag=True, help="Exit with 5 if a submission is significantly worse than the first."
)
def compare_command(
    submissions: tuple[Path, ...],
    dataset: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    layout: str,
    engine: str,
    scheduler: str | None,
    partial: bool,
    ap: str,
    rules: tuple[str, ...],
    n_resamples: int,
    n_swaps: int,
    seed: int,
    fail_if_worse: bool,
) -> None:
    """Compare two or more SUBMISSIONS pairwise and test the differences for significance.

    A difference is the later submission minus the earlier one. It comes with a paired bootstrap interval and the
    p-value of a paired randomisation test over people, corrected by Holm's method.
    """
    with exit_codes(), tables_ahead(dataset):
        from piq_bench.cli.progress import doing, progress_bar, waiting_for
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.read.rules import parse_rules, with_rules
        from piq_bench.read.submission import read_submission
        from piq_bench.records import QUERY
        from piq_bench.report.compare_html import compare_html
        from piq_bench.report.compare_json import compare_json
        from piq_bench.report.compare_latex import compare_latex
        from piq_bench.report.compare_markdown import compare_markdown
        from piq_bench.report.compare_table import compare_table
        from piq_bench.retrieve.engines import BY_WORK, choose, work_of
        from piq_bench.scoring.compare import compare, tallied
        from piq_bench.write.files import write_text

        with doing("reading the data set"):
            benchmark = with_rules(read_benchmark(dataset), parse_rules(rules))
        refuse_incomparable(submissions, benchmark, ap)
        # Before anything else is read, since the engine that was asked for may be missing here.
        count, engine_name = choose(engine, work_of(benchmark), scheduler=scheduler, tell=tell)
        n_queries = int((benchmark.split == QUERY).sum())
        systems = []
        for path in submissions:
            name = printable(path.name)
            with doing(f"reading {name}"):
                entry = read_submission(path, benchmark, partial=partial, tell=tell_note)
            if engine in BY_WORK:
                count, engine_name = choose(engine, work_of(benchmark, entry))
            with progress_bar(f"counting queries of {name}", n_queries, before=waiting_for(engine_name)) as advance:
                systems.append(tallied(benchmark, entry, ap=ap, engine=count, advance=advance))
        n_draws = len(systems) * (len(systems) - 1) // 2 * (n_resamples + n_swaps)
        with progress_bar("comparing pairs, draws", n_draws) as advance:
            result = compare(benchmark, systems, n_resamples=n_resamples, n_swaps=n_swaps, seed=seed, advance=advance)
        if json_file == STDOUT:
            layout = "json"
        elif json_file is not None:
            write_text(json_file, compare_json(result))
        if layout == "table":
            text = compare_table(result, colour=wants_colour())
        else:
            text = {"json": compare_json, "markdown": compare_markdown, "latex": compare_latex}[layout](result)
        click.echo(text, nl=False)
        if html_file is not None:  # last: whatever fails here, the comparison is not lost
            write_text(html_file, compare_html(result, benchmark))
        if fail_if_worse:
            refuse_worse(result)


def refuse_incomparable(submissions: tuple[Path, ...], benchmark: "Benchmark", ap: str) -> None:
    """Refuse inputs that cannot be compared before any work is done.

    Raises:
        BadUsage: listing every problem: too few submissions, score files, results of another benchmark or protocol.
    """
    from piq_bench.errors import BadUsage, Problem, printable
    from piq_bench.metrics.fingerprint import fingerprint
    from piq_bench.scoring.compare import other_protocol
    from piq_bench.scoring.score import protocol_of

    problems = []
    if len(submissions) < 2:
        problems.append(Problem("too-few", "SUBMISSIONS", f"got {len(submissions)}", "name at least two"))
    own, protocol = fingerprint(benchmark), protocol_of(benchmark, ap=ap)
    for path in submissions:
        if path.suffix != ".json":
            continue
        try:
            other, rules = read_origin(path)
        except (OSError, ValueError, RecursionError) as error:
            remedy = "a submission: .npz, .parquet or a folder"
            problems.append(Problem("unreadable", path.name, printable(error), remedy))
            continue
        if other != own:
            found = f"is a result of benchmark {printable(other[:12])}, not of {own[:12]}"
            remedy = "results of different benchmarks cannot be compared"
            problems.append(Problem("other-benchmark", path.name, found, remedy))
        if rules != protocol:
            problems.append(other_protocol(path.name, rules, protocol))
        if other == own and rules == protocol:
            remedy = "give the submission itself: the comparison pairs results person by person"
            problems.append(Problem("score-file", path.name, "is a score file", remedy))
    if problems:
        raise BadUsage("compare", problems)


def read_origin(path: Path) -> tuple[str, "Protocol"]:
    """Read the fingerprint of the benchmark and the protocol from a score file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not a score file.
    """
    from piq_bench.records import Grouping
    from piq_bench.scoring.records import Protocol

    if not path.is_file() or path.stat().st_size > MAX_SCORE_FILE:
        raise ValueError(f"not a file of at most {MAX_SCORE_FILE} bytes")
    try:
        document: Any = parse_json(path.read_bytes())  # in UTF-8, or in UTF-16 as PowerShell writes it
        protocol = {field.name: document["protocol"][field.name] for field in fields(Protocol)}
        if protocol["grouping"] is not None:
            protocol["grouping"] = Grouping(**protocol["grouping"])
        protocol["exclude"] = tuple(protocol["exclude"])
        return str(document["benchmark"]["fingerprint"]), Protocol(**protocol)
    except (KeyError, TypeError):
        raise ValueError("not a score file") from None


def refuse_worse(comparison: "Comparison") -> None:
    """Exit with 5 if a submission is significantly worse than the first: in PIQ, or in any metric if PIQ is missing.

    Raises:
        GateNotMet: naming every such submission and metric.
    """
    from piq_bench.errors import GateNotMet, Problem
    from piq_bench.report.compare_rows import pair_title, signed

    problems = []
    for pair in comparison.pairs:
        has_piq = any(difference.metric == "piq" for difference in pair.differences)
        for difference in pair.differences:
            is_decisive = difference.metric == "piq" or not has_piq
            if pair.first == 0 and is_decisive and difference.significant and difference.difference < 0:
                first, second = pair_title(comparison, pair)
                found = f"{signed(difference.difference)} per cent against {first} (p {difference.p_adjusted:.4f})"
                problems.append(Problem("worse", f"{second}: {difference.metric}", found, "--fail-if-worse"))
    if problems:
        raise GateNotMet("compare", problems)
