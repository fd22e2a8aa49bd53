"""`piq grade`: scores a leaderboard entry again and checks its claims, on the command line or in CI."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import Command, output_file, tell
from piq_bench.cli.options import (
    bootstrap_option,
    dataset_option,
    disclosure_option,
    engine_option,
    scheduler_option,
)
from piq_bench.errors import BadUsage, GateNotMet, Problem, exit_codes, printable, quoted

if TYPE_CHECKING:
    from piq_bench.board.grade import Grade
    from piq_bench.board.ledger import LadderEntry, Line, Scoring


@click.command(
    "grade",
    cls=Command,
    sections={
        "Which entry": "--dataset --base --head --fetch",
        "What is written": "--write --out --disclosure --bootstrap",
        "Limits for hidden labels": "--ledger --budget --ladder",
        "Running": "--engine --scheduler",
    },
    examples=(
        "piq grade submissions/mine",
        "piq grade submissions/mine --dataset DATASET --out result.json",
        "piq grade --base main --head pull-request",
    ),
)
@click.argument("entry", required=False, type=click.Path(path_type=Path))
@dataset_option
@click.option("--base", help="Commit or branch that a pull request merges into; with --head, instead of ENTRY.")
@click.option("--head", help="Commit or branch of the pull request; it may only add one entry.")
@click.option(
    "--write",
    is_flag=True,
    help="Write the entry's result.json and a line of the ledger; for the grader, not for authors.",
)
@click.option(
    "--out",
    "result_file",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="Write the result here instead of to the entry's result.json.",
)
@click.option("--fetch", is_flag=True, help="Download the predictions from the address in submission.ref.toml.")
@engine_option
@scheduler_option
@disclosure_option
@bootstrap_option
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="File in which to record the scoring, one line each. [default with --write: ledger.jsonl beside the entries]",
)
@click.option(
    "--budget", type=click.IntRange(1), help="Maximum number of scorings of one benchmark, counted in the ledger."
)
@click.option("--ladder", is_flag=True, help="For hidden labels: reveal the best PIQ so far and nothing else.")
def grade_command(
    entry: Path | None,
    dataset: Path | None,
    base: str | None,
    head: str | None,
    write: bool,
    result_file: Path | None,
    fetch: bool,
    engine: str,
    scheduler: str | None,
    disclosure: str,
    n_resamples: int,
    ledger: Path | None,
    budget: int | None,
    ladder: bool,
) -> None:
    """Score the folder ENTRY again, check what it claims, and compare it with the other entries to find copies.

    With --base and --head, the entry is the one that a pull request adds; it is read from the git repository in the
    current folder without checking it out.

    With --ladder, the best PIQ in the ledger changes only if the entry exceeds it by more than half the width of the
    entry's own interval. Claims are not checked. With --write too, the ledger beside the entries gets its line and the
    entry gets no result: only the organiser may see the file that --out writes, outside the folder of entries.

    The exit code is 5 if a claim is not exactly true or the entry is a copy; no result is written then. It is 6 if the
    budget is spent; nothing is scored then.
    """
    from piq_bench.report.disclosure import disclosed_document, redacted_problems

    with exit_codes(), redacted_problems(disclosure), tempfile.TemporaryDirectory() as scratch:
        from piq_bench.board import ledger as book
        from piq_bench.board.entries import entries_in, read_entry
        from piq_bench.board.grade import grade, refuse_folder_of_entries, result_json
        from piq_bench.board.pull_request import FOLDER, arrived_entry
        from piq_bench.board.reference import fetch as fetch_predictions
        from piq_bench.board.result import published_digest, valid_published_digest
        from piq_bench.cli.progress import INTERVALS, doing, progress_bar, waiting_for
        from piq_bench.metrics.fingerprint import fingerprint
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.records import QUERY
        from piq_bench.retrieve.engines import choose, work_of
        from piq_bench.write.files import written_whole

        refuse_conflicting_options(
            entry, base, head, write=write, fetch=fetch, recorded=ledger is not None, budget=budget, ladder=ladder
        )
        if ladder and n_resamples == 0:
            raise click.UsageError("--ladder takes its step from the interval of PIQ: it needs --bootstrap above 0")
        if entry is None:
            graded = read_entry(arrived_entry(Path(), str(base), str(head), Path(scratch)))
            others = entries_in(Path(FOLDER)) if Path(FOLDER).is_dir() else []
        else:
            refuse_folder_of_entries(entry)
            graded = read_entry(entry)
            others = entries_in(graded.folder.resolve().parent)
        if ledger is None and write:
            ledger = graded.folder.resolve().parent / book.FILE
        if ladder and result_file is not None and entry is not None:
            refuse_published(result_file, graded.folder.resolve().parent)
        if write and not ladder:
            refuse_unwritable(graded.result)
        if ledger is not None:
            refuse_unwritable(ledger)
        with doing("reading the data set"):
            benchmark = read_benchmark(dataset)
        before = valid_published_digest(graded.result) if write else None
        if ledger is not None:
            book.check_budget(ledger, fingerprint(benchmark), budget, entry=graded.id, published=before)
        predictions = fetch_predictions(graded.reference, Path(scratch)) if fetch and graded.reference else None
        n_queries = int((benchmark.split == QUERY).sum())
        count, engine_name = choose(engine, work_of(benchmark), scheduler=scheduler, tell=tell)
        with progress_bar("counting queries", n_queries, before=waiting_for(engine_name), after=INTERVALS) as advance:
            result = grade(
                benchmark,
                graded,
                others,
                predictions=predictions,
                partial=not ladder,
                n_resamples=n_resamples,
                engine=count,
                engine_name=engine_name,
                advance=advance,
            )
        problems = failures(result, claims=not ladder)
        writes_result = write and not ladder
        target = None if problems else graded.result if writes_result else result_file
        recorded = None
        with ExitStack() as whole:  # the result is complete before the ledger changes, and appears only afterwards
            if target is not None:
                temporary = whole.enter_context(written_whole(target))
                temporary.write_text(result_json(result, disclosure), encoding="utf-8", newline="\n")
            if ledger is not None:
                attempt = ladder_entry_of(result) if ladder else None
                published = disclosed_document(result.document, disclosure) if writes_result and not problems else None
                scoring = scoring_of(result, problems, None if published is None else published_digest(published))
                recorded = book.record(ledger, scoring, ladder=attempt, budget=budget, published=before)
        if recorded is not None:
            print_ledger_line(*recorded)
        if not ladder:
            print_grade(result)
        if problems:
            raise GateNotMet(result.entry, problems)
        if target is not None:
            click.echo(f"wrote {target}")


def refuse_unwritable(path: Path) -> None:
    """Refuse, before any scoring, a link or a file in a folder that cannot be written to."""
    found = "is a link" if path.is_symlink() else "is in a folder that cannot be written to"
    if path.is_symlink() or not os.access(path.absolute().parent, os.W_OK):
        raise BadUsage(str(path), [Problem("cannot-write", path.name, found, "a file in a folder that can be written")])


def refuse_published(result_file: Path, entries: Path) -> None:
    """Refuse, before any scoring under the Ladder, to write the whole result into the folder that is published."""
    if result_file.resolve().is_relative_to(entries):
        found = "would publish what --ladder keeps back"
        raise BadUsage(str(result_file), [Problem("tells-all", "--out", found, f"a file outside {quoted(entries)}")])


def refuse_conflicting_options(
    entry: Path | None,
    base: str | None,
    head: str | None,
    *,
    write: bool,
    fetch: bool,
    recorded: bool,
    budget: int | None,
    ladder: bool,
) -> None:
    """Raise BadUsage unless the options name exactly one entry and fit together."""
    problems = []
    if (entry is None) != (base is not None and head is not None) or (entry is not None and (base or head)):
        found = "got both or neither of ENTRY and --base with --head"
        problems.append(Problem("which-entry", "ENTRY", found, "either ENTRY, or --base and --head"))
    if write and entry is None:
        problems.append(Problem("no-folder", "--write", "the entry has no folder here", "--out FILE"))
    if fetch and entry is None:
        found = "nothing is fetched for a pull request"
        problems.append(Problem("no-fetching", "--fetch", found, "merge it, then grade its folder"))
    if (ladder or budget is not None) and not (recorded or write):
        name = "--ladder" if ladder else "--budget"
        problems.append(Problem("no-ledger", name, "needs a ledger", "--ledger FILE"))
    if problems:
        raise BadUsage("grade", problems)


def ladder_entry_of(result: "Grade") -> "LadderEntry":
    """PIQ, and the step by which it must exceed the best one: half the width of its interval."""
    from piq_bench.board.ledger import LadderEntry

    low, high = result.document["intervals"]["piq"]
    return LadderEntry(result.document["piq"], (high - low) / 2)


def scoring_of(result: "Grade", problems: Sequence[Problem], result_digest: str | None) -> "Scoring":
    """What the ledger records about a grading.

    Args:
        result: the grading.
        problems: why the entry is refused; empty if it is not.
        result_digest: SHA-256 of the published result; None if no result is published.
    """
    from piq_bench.board.ledger import Scoring

    return Scoring(
        entry=result.entry,
        fingerprint=result.document["benchmark"]["fingerprint"],
        content=result.document["submission"]["content"],
        digest=result.document["protocol"]["digest"],
        refusal="; ".join(f"{problem.where}: {problem.found}" for problem in problems),
        published=result_digest,
    )


def print_ledger_line(line: "Line", digest: str) -> None:
    """Print the new line of the ledger; with --ladder nothing else is printed."""
    if line.best is not None:
        state = {"best": "is the new best", "not better": "stays the best"}.get(line.decision, "stays the best")
        click.echo(f"ladder  PIQ {line.best} {state}")
    click.echo(f"ledger  line {line.number}, {line.decision}, {digest}")


def print_grade(result: "Grade") -> None:
    """Print PIQ, the claims, the warnings, the digest, and a claim to copy unless the entry's own claims hold."""
    from piq_bench.board.grade import claim_block
    from piq_bench.report.rows import percent

    click.echo(f"entry   {result.entry}: {result.status}, PIQ {percent(result.document['piq'])}")
    for claim in result.claims:
        state = "holds" if claim.holds else f"does not hold: computed {claim.computed!r}"
        click.echo(f"claim   {printable(claim.name)} {claim.claimed!r} {state}")
    for warning in result.warnings:
        click.echo(f"note    {printable(warning, 200)}")
    click.echo(f"digest  {result.document['protocol']['digest']}")
    if block := claim_block(result):
        change = "replace [claimed] in" if result.claims else "add to the end of"
        click.echo(f"\nTo claim these scores, {change} metadata.toml:\n\n{block}")


def failures(result: "Grade", *, claims: bool) -> list[Problem]:
    """Every claim that does not hold, and every entry whose predictions were copied."""
    intervals = result.document["intervals"]
    resampled = f"--bootstrap {intervals['resamples']} --seed {intervals['seed']}" if intervals else "--bootstrap 0"
    remedies = {"digest": f"it covers the intervals too: claim what `piq-score {resampled}` tells"}
    problems = [
        Problem(
            "false-claim",
            claim.name,
            f"claimed {claim.claimed!r}, computed {claim.computed!r}",
            remedies.get(claim.name, "correct it"),
        )
        for claim in result.claims
        if claims and not claim.holds
    ]
    return problems + [
        Problem("copy", "submission", f"has the predictions of {name}", "hand in your own") for name in result.copies
    ]
