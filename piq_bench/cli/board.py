"""`piq board`: writes the leaderboard of graded entries."""

import json
import os
from pathlib import Path

import click

from piq_bench.cli import Command
from piq_bench.cli.options import dataset_option
from piq_bench.errors import exit_codes

MARKDOWN = "leaderboard.md"
JSON_SCHEMA = "metadata.schema.json"
FEW_PAIRS = 10_000_000  # of query and gallery, up to which threads of the BLAS wait longer than they compute


@click.command(
    "board",
    cls=Command,
    examples=(
        "piq board submissions --dataset DATASET",
        "piq board submissions --check",
    ),
)
@click.argument("submissions", type=click.Path(path_type=Path, file_okay=False))
@dataset_option
@click.option("--check", is_flag=True, help="Write nothing; exit with 5 if a leaderboard file is out of date.")
def board_command(submissions: Path, dataset: Path | None, check: bool) -> None:
    """Write the leaderboard of the entries in the folder SUBMISSIONS.

    The files are SUBMISSIONS/leaderboard.md; in SUBMISSIONS/board, an HTML overview, an HTML page for each entry, the
    leaderboard as CSV, JSON and LaTeX and, of a challenge on hidden labels, a page of its attempts;
    and SUBMISSIONS/metadata.schema.json, with which editors check the metadata of an entry.
    """
    with exit_codes():
        from threadpoolctl import threadpool_limits

        from piq_bench.board.entries import GENERATED, entries_in
        from piq_bench.board.files import board_csv, board_json, board_latex
        from piq_bench.board.html import board_pages
        from piq_bench.board.ladder import ladders
        from piq_bench.board.markdown import board_markdown
        from piq_bench.board.metadata import json_schema
        from piq_bench.board.published import published_table, read_published
        from piq_bench.board.rank import build_boards, removed_entries
        from piq_bench.cli.progress import progress_bar
        from piq_bench.errors import BadUsage, GateNotMet, Problem
        from piq_bench.read.dataset import read_benchmark
        from piq_bench.records import GALLERY, QUERY
        from piq_bench.write.files import refusal_of, write_texts

        if not check and submissions.is_dir() and not os.access(submissions, os.W_OK):
            found = "is a folder that cannot be written to"
            raise BadUsage(str(submissions), [Problem("cannot-write", "SUBMISSIONS", found, "use --check, or a copy")])
        benchmark = read_benchmark(dataset)
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        one_thread = threadpool_limits(1 if n_queries * n_gallery <= FEW_PAIRS else None)
        with one_thread, progress_bar("reading entries", len(entries_in(submissions))) as advance:
            boards = build_boards(submissions, benchmark, advance=advance)
        removed = removed_entries(submissions)
        papers = read_published(benchmark)
        published = None if papers is None else published_table(papers, benchmark)
        hidden = ladders(submissions, boards, benchmark)
        files = {MARKDOWN: board_markdown(boards, removed, published=published, ladders=hidden)}
        files[JSON_SCHEMA] = json.dumps(json_schema(), indent=2) + "\n"
        pages = board_pages(boards, benchmark, removed, published=published, ladders=hidden)
        tables = {"board.csv": board_csv(boards), "board.json": board_json(boards), "board.tex": board_latex(boards)}
        files |= {f"{GENERATED}/{name}": text for name, text in (pages | tables).items()}
        if check:
            stale = [
                name
                for name, text in files.items()
                if not (submissions / name).is_file() or (submissions / name).read_text(encoding="utf-8") != text
            ]
            if stale:
                found = "is not what `piq board` writes"
                raise GateNotMet(str(submissions), [Problem("stale", name, found, "run it again") for name in stale])
            click.echo("the leaderboard is up to date")
            return
        folder = submissions / GENERATED
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise refusal_of(folder, error, "make this folder, or remove what is there") from None
        write_texts({submissions / name: text for name, text in files.items()})
        click.echo(f"wrote {submissions / MARKDOWN} and {len(files) - 1} files beside it")
