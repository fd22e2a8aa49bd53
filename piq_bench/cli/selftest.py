"""`piq selftest`: checks that this installation gives the official scores, to the last digit."""

import sys
from pathlib import Path

import click

from piq_bench.cli import Command, output_file, tell
from piq_bench.cli.options import ENGINES
from piq_bench.errors import EXIT_INTERNAL, exit_codes


@click.command(
    "selftest",
    cls=Command,
    examples=("piq selftest",),
)
@click.option(
    "--update",
    type=click.Path(path_type=Path),
    callback=output_file,
    help="For maintainers: write the digests of this run to a file instead of comparing them.",
)
@click.option(
    "--engine",
    type=click.Choice([name for name in ENGINES if name != "dask"]),  # which is an installation of its own
    default="auto",
    show_default=True,
    help="Retrieval engine to test.",
)
def selftest_command(update: Path | None, engine: str) -> None:
    """Check that this installation gives the official scores, to the last digit.

    It scores built-in submissions (perfect, random, constant, tied and others) and compares the digests of their score
    files with the official ones. Then each engine that --engine may choose counts a large job.
    """
    with exit_codes():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        from piq_bench.cli.progress import progress_bar
        from piq_bench.report.engine_proof import prove_engines
        from piq_bench.report.rows import percent
        from piq_bench.report.selftest import SUBMISSIONS, official_text, run_selftest
        from piq_bench.retrieve.engines import choose
        from piq_bench.write.files import write_text

        count, name = choose(engine, 0, tell=tell)
        with progress_bar("scoring submissions", len(SUBMISSIONS)) as advance:
            checks = run_selftest(advance, engine=count, engine_name=name)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("submission", "PIQ, %", "macro mAP, %", "digest", "official"):
            table.add_column(title, justify="right" if "%" in title else "left")
        for check in checks:
            macro_map = check.score.reid.values["macro_map"] if check.score.reid else None
            verdict = "equal" if check.passed else "DIFFERS" if check.official else "none stored"
            table.add_row(check.name, percent(check.score.piq), percent(macro_map), check.digest[:16], verdict)
        Console(width=80).print(table)
        if update is not None:
            write_text(update, official_text(checks))
            return
        proofs = prove_engines(engine)
        for proof in proofs:
            verdict = "equal" if proof.passed else "DIFFER"
            click.echo(f"{proof.engine}: counts of {proof.n_pairs:,} pairs, {proof.digest[:16]}, {verdict}")
        if not (all(check.passed for check in checks) and all(proof.passed for proof in proofs)):
            tell("this installation does not give the official scores: please report it")
            sys.exit(EXIT_INTERNAL)
        engines = ", ".join(dict.fromkeys([name, *(proof.engine for proof in proofs)]))
        click.echo(f"this installation gives the official scores; engines: {engines}")
