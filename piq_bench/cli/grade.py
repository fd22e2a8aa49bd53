"""`piq grade`: a leaderboard entry to its result, for people and for CI."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import output_file
from piq_bench.errors import BadUsage, GateNotMet, Problem, exit_codes, printable

if TYPE_CHECKING:
    from piq_bench.board.grade import Grade
    from piq_bench.board.ledger import LadderEntry, Line, Scoring

DISCLOSURES = ("full", "public", "score")


@click.command("grade", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("entry", required=False, type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark to grade against: a folder. [default: the bundled portrait-mini]",
)
@click.option("--base", help="With --head, instead of ENTRY: the commit that a pull request wants to change.")
@click.option("--head", help="Its own commit; whatever it does beside adding one entry is refused.")
@click.option("--write", is_flag=True, help="Write the entry's result.json; the grader's task, never the author's.")
@click.option(
    "--out", "result_file", type=click.Path(path_type=Path), callback=output_file, help="Write the result here instead."
)
@click.option("--fetch", is_flag=True, help="Fetch the predictions where submission.ref.toml says that they lie.")
@click.option("--disclosure", type=click.Choice(DISCLOSURES), default="full", show_default=True)
@click.option("--bootstrap", "n_resamples", type=click.IntRange(0, 100_000), default=1000, show_default=True)
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="Record the scoring here. [default: with --write, ledger.jsonl beside the entries]",
)
@click.option("--budget", type=click.IntRange(1), help="Scorings of one benchmark at most; the ledger counts them.")
@click.option("--ladder", is_flag=True, help="Hidden labels: tell the best PIQ so far, and nothing else.")
def grade_command(
    entry: Path | None,
    dataset: Path | None,
    base: str | None,
    head: str | None,
    write: bool,
    result_file: Path | None,
    fetch: bool,
    disclosure: str,
    n_resamples: int,
    ledger: Path | None,
    budget: int | None,
    ladder: bool,
) -> None:
    """Score ENTRY anew, compare what it claims, and look for copies among the entries beside it.

    With --base and --head, ENTRY is taken out of the objects of the git repository here: the one that the commit adds.

    With --ladder, the best PIQ of the ledger moves only if the entry is better by more than half the width of its own
    interval; claims are not compared. --out is then for the organiser's eyes.

    Exit code 5 where a claim does not hold to the last bit, or the entry is a copy; no result is written then. Exit
    code 6 where the budget is spent; nothing is scored then.
    """
    from piq_bench.report.disclosure import disclosed_document, redacted_problems

    with exit_codes(), redacted_problems(disclosure), tempfile.TemporaryDirectory() as place:
        from piq_bench.board import ledger as book
        from piq_bench.board.entries import entries_in, read_entry
        from piq_bench.board.grade import grade, result_json
        from piq_bench.board.pull_request import FOLDER, arrived_entry
        from piq_bench.board.reference import fetch as fetch_predictions
        from piq_bench.board.result import published_digest
        from piq_bench.cli.progress import progress_bar
        from piq_bench.metrics.fingerprint import fingerprint
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.records import GALLERY, QUERY
        from piq_bench.retrieve.engines import choose
        from piq_bench.write.files import write_text

        refuse_misfits(
            entry, base, head, write=write, fetch=fetch, recorded=ledger is not None, budget=budget, ladder=ladder
        )
        if ladder and n_resamples == 0:
            raise click.UsageError("--ladder takes its step from the interval: it needs --bootstrap")
        if entry is None:
            found = read_entry(arrived_entry(Path(), str(base), str(head), Path(place)))
            others = entries_in(Path(FOLDER)) if Path(FOLDER).is_dir() else []
        else:
            found = read_entry(entry)
            others = entries_in(found.folder.resolve().parent)
        if ledger is None and write:
            ledger = found.folder.resolve().parent / book.FILE
        benchmark = read_benchmark(dataset)
        if ledger is not None:
            book.check_budget(ledger, fingerprint(benchmark), budget)
        predictions = fetch_predictions(found.reference, Path(place)) if fetch and found.reference else None
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        count, engine = choose("auto", n_queries * n_gallery)
        with progress_bar("queries", n_queries) as advance:
            result = grade(
                benchmark,
                found,
                others,
                predictions=predictions,
                partial=not ladder,
                n_resamples=n_resamples,
                engine=count,
                engine_name=engine,
                advance=advance,
            )
        problems = failures(result, claims=not ladder)
        if ledger is not None:  # before anything is told
            attempt = ladder_entry_of(result) if ladder else None
            told = published_digest(disclosed_document(result.document, disclosure)) if write and not problems else None
            line, digest = book.record(ledger, scoring_of(result, problems, told), ladder=attempt, budget=budget)
            tell_recorded(line, digest)
        if not ladder:
            tell(result)
        if problems:
            raise GateNotMet(result.entry, problems)
        target = found.result if write else result_file
        if target is not None:
            write_text(target, result_json(result, disclosure))
            click.echo(f"wrote {target}")


def refuse_misfits(
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
    """Raises BadUsage unless the options name one entry and fit together."""
    problems = []
    if (entry is None) != (base is not None and head is not None) or (entry is not None and (base or head)):
        problems.append(Problem("which-entry", "ENTRY", "neither one entry nor --base and --head", "one of the two"))
    if write and entry is None:
        problems.append(Problem("no-folder", "--write", "the entry has no folder here", "--out FILE"))
    if fetch and entry is None:
        found = "nothing is fetched for a pull request"
        problems.append(Problem("no-fetching", "--fetch", found, "merge it, then grade its folder"))
    if ladder and write:
        problems.append(Problem("tells-all", "--write", "would publish what --ladder keeps back", "--out FILE"))
    if (ladder or budget is not None) and not (recorded or write):
        name = "--ladder" if ladder else "--budget"
        problems.append(Problem("no-ledger", name, "needs a ledger", "--ledger FILE"))
    if problems:
        raise BadUsage("grade", problems)


def ladder_entry_of(result: "Grade") -> "LadderEntry":
    """PIQ and the step that belongs to it."""
    from piq_bench.board.ledger import LadderEntry

    low, high = result.document["intervals"]["piq"]
    return LadderEntry(result.document["piq"], (high - low) / 2)


def scoring_of(result: "Grade", problems: Sequence[Problem], told: str | None) -> "Scoring":
    """What is recorded of a grading; `told` as in the ledger."""
    from piq_bench.board.ledger import Scoring

    return Scoring(
        entry=result.entry,
        fingerprint=result.document["benchmark"]["fingerprint"],
        content=result.document["submission"]["content"],
        digest=result.document["protocol"]["digest"],
        refusal="; ".join(f"{problem.where}: {problem.found}" for problem in problems),
        published=told,
    )


def tell_recorded(line: "Line", digest: str) -> None:
    """The ledger's new line, on stdout; with the Ladder that is all that is told."""
    if line.best is not None:
        state = {"best": "is the new best", "not better": "stays the best"}.get(line.decision, "stays the best")
        click.echo(f"ladder  PIQ {line.best} {state}")
    click.echo(f"ledger  line {line.number}, {line.decision}, {digest}")


def tell(result: "Grade") -> None:
    """What the grader says, on stdout."""
    from piq_bench.report.rows import percent

    click.echo(f"entry   {result.entry}: {result.status}, PIQ {percent(result.document['piq'])}")
    for claim in result.claims:
        state = "holds" if claim.holds else f"does not hold: computed {claim.computed!r}"
        click.echo(f"claim   {printable(claim.name)} {claim.claimed!r} {state}")
    for warning in result.warnings:
        click.echo(f"note    {printable(warning, 200)}")
    click.echo(f"digest  {result.document['protocol']['digest']}")


def failures(result: "Grade", *, claims: bool) -> list[Problem]:
    """Every claim that does not hold, and every entry of which it is a copy."""
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
