"""`piq grade`: a leaderboard entry to its result, for people and for CI."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import exit_codes, output_file

if TYPE_CHECKING:
    from piq_bench.board.grade import Grade

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
@click.option("--disclosure", type=click.Choice(DISCLOSURES), default="full", show_default=True)
@click.option("--bootstrap", "n_resamples", type=click.IntRange(0, 100_000), default=1000, show_default=True)
def grade_command(
    entry: Path | None,
    dataset: Path | None,
    base: str | None,
    head: str | None,
    write: bool,
    result_file: Path | None,
    disclosure: str,
    n_resamples: int,
) -> None:
    """Score ENTRY anew, compare what it claims, and look for copies among the entries beside it.

    With --base and --head, ENTRY is taken out of the objects of the git repository here: the one that the commit adds.

    Exit code 5 where a claim does not hold to the last bit, or the entry is a copy; nothing is written then.
    """
    with exit_codes(), tempfile.TemporaryDirectory() as place:
        from piq_bench.board.entries import entries_in, read_entry
        from piq_bench.board.grade import grade, result_json
        from piq_bench.board.pull_request import FOLDER, arrived_entry
        from piq_bench.cli.progress import progress_bar
        from piq_bench.files import write_text
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.records import GALLERY, QUERY
        from piq_bench.retrieve.engines import choose

        refuse_misfits(entry, base, head, write=write)
        if entry is None:
            found = read_entry(arrived_entry(Path(), str(base), str(head), Path(place)))
            others = entries_in(Path(FOLDER)) if Path(FOLDER).is_dir() else []
        else:
            found = read_entry(entry)
            others = entries_in(found.folder.resolve().parent)
        benchmark = read_benchmark(dataset)
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        count, engine = choose("auto", n_queries * n_gallery)
        with progress_bar("queries", n_queries) as advance:
            result = grade(
                benchmark,
                found,
                others,
                n_resamples=n_resamples,
                engine=count,
                engine_name=engine,
                advance=advance,
            )
        tell(result)
        refuse_failed(result)
        target = found.result if write else result_file
        if target is not None:
            write_text(target, result_json(result, disclosure))
            click.echo(f"wrote {target}")


def refuse_misfits(entry: Path | None, base: str | None, head: str | None, *, write: bool) -> None:
    """Raises BadUsage unless the options name one entry."""
    from piq_bench.errors import BadUsage, Problem

    problems = []
    if (entry is None) != (base is not None and head is not None) or (entry is not None and (base or head)):
        problems.append(Problem("which-entry", "ENTRY", "neither one entry nor --base and --head", "one of the two"))
    if write and entry is None:
        problems.append(Problem("no-folder", "--write", "the entry has no folder here", "--out FILE"))
    if problems:
        raise BadUsage("grade", problems)


def tell(result: "Grade") -> None:
    """What the grader says, on stdout."""
    from piq_bench.errors import printable
    from piq_bench.report.rows import percent

    click.echo(f"entry   {result.entry}: {result.status}, PIQ {percent(result.document['piq'])}")
    for claim in result.claims:
        state = "holds" if claim.holds else f"does not hold: computed {claim.computed!r}"
        click.echo(f"claim   {claim.name} {claim.claimed!r} {state}")
    for warning in result.warnings:
        click.echo(f"note    {printable(warning, 200)}")
    click.echo(f"digest  {result.document['protocol']['digest']}")


def refuse_failed(result: "Grade") -> None:
    """Raises GateNotMet naming every claim that does not hold, and every entry of which it is a copy."""
    from piq_bench.errors import GateNotMet, Problem

    problems = [
        Problem("false-claim", claim.name, f"claimed {claim.claimed!r}, computed {claim.computed!r}", "correct it")
        for claim in result.claims
        if not claim.holds
    ]
    problems += [
        Problem("copy", "submission", f"has the predictions of {name}", "hand in your own") for name in result.copies
    ]
    if problems:
        raise GateNotMet(result.entry, problems)
