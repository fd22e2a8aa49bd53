"""`piq grade`: a leaderboard entry to its result, for people and for CI."""

from pathlib import Path

import click

from piq_bench.cli import exit_codes

DISCLOSURES = ("full", "public", "score")


@click.command("grade", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("entry", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    envvar="PIQ_DATASET",
    type=click.Path(path_type=Path),
    help="Benchmark to grade against: a folder. [default: the bundled portrait-mini]",
)
@click.option("--write", is_flag=True, help="Write the entry's result.json; the grader's task, never the author's.")
@click.option("--disclosure", type=click.Choice(DISCLOSURES), default="full", show_default=True)
@click.option("--bootstrap", "n_resamples", type=click.IntRange(0, 100_000), default=1000, show_default=True)
def grade_command(entry: Path, dataset: Path | None, write: bool, disclosure: str, n_resamples: int) -> None:
    """Score ENTRY anew, compare what it claims, and look for copies among the entries beside it.

    Exit code 5 where a claim does not hold to the last bit, or the entry is a copy; nothing is written then.
    """
    with exit_codes():
        from piq_bench.board.entries import entries_in, read_entry
        from piq_bench.board.grade import grade, result_json
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import GateNotMet, Problem, printable
        from piq_bench.files import write_text
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.records import GALLERY, QUERY
        from piq_bench.report.rows import percent
        from piq_bench.retrieve.engines import choose

        benchmark = read_benchmark(dataset)
        found = read_entry(entry)
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        count, engine = choose("auto", n_queries * n_gallery)
        with progress_bar("queries", n_queries) as advance:
            result = grade(
                benchmark,
                found,
                entries_in(found.folder.resolve().parent),
                n_resamples=n_resamples,
                engine=count,
                engine_name=engine,
                advance=advance,
            )
        click.echo(f"entry   {result.entry}: {result.status}, PIQ {percent(result.document['piq'])}")
        for claim in result.claims:
            state = "holds" if claim.holds else f"does not hold: computed {claim.computed!r}"
            click.echo(f"claim   {claim.name} {claim.claimed!r} {state}")
        for warning in result.warnings:
            click.echo(f"note    {printable(warning, 200)}")
        click.echo(f"digest  {result.document['protocol']['digest']}")
        problems = [
            Problem("false-claim", claim.name, f"claimed {claim.claimed!r}, computed {claim.computed!r}", "correct it")
            for claim in result.claims
            if not claim.holds
        ]
        problems += [
            Problem("copy", "submission", f"has the predictions of {name}", "hand in your own")
            for name in result.copies
        ]
        if problems:
            raise GateNotMet(str(entry), problems)
        if write:
            write_text(found.result, result_json(result, disclosure))
            click.echo(f"wrote {found.result}")
