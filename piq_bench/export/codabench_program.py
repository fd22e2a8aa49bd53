"""The scoring program of a Codabench bundle: `python3 -m piq_bench.export.codabench_program INPUT OUTPUT`.

Codabench runs it in the folder of the program, with the reference data in INPUT/ref and what a participant handed over
in INPUT/res. It writes scores.json, which alone makes a submission count: never for a refused one, whose problems are
printed instead, all of them. Exit code 3 for a bad submission, as everywhere here.
"""

import json
import sys
from pathlib import Path

import click

from piq_bench.errors import EXIT_INTERNAL, exit_codes
from piq_bench.export.host import HIGH, LOW, SETTINGS, Failed, Scored, read_settings, score_upload
from piq_bench.write.files import write_text

SCORES = "scores.json"
PAGE = "detailed_results.html"  # the name that Codabench looks for
SCORE_FILE = "piq-score.json"  # no name of a file that Codabench reads or writes: metadata, scores.txt


@click.command("codabench-program")
@click.argument("given", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(given: Path, output: Path) -> None:
    """Score INPUT/res against INPUT/ref and write scores.json to OUTPUT."""
    with exit_codes():
        try:
            scored = score_upload(given / "ref", given / "res", read_settings(Path(SETTINGS)))
            _write(scored, output)
        except Failed as failure:
            click.echo(str(failure), err=True)
            sys.exit(EXIT_INTERNAL)
        for note in scored.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"PIQ {scored.row['piq']:.2f} %, digest {scored.digest}")


def row_of(scored: Scored) -> dict[str, float]:
    """All that stands in scores.json: the columns of the leaderboard, and the ends of PIQ's interval."""
    ends = scored.piq_interval
    return {**scored.row, **({} if ends is None else {LOW: ends[0], HIGH: ends[1]})}


def _write(scored: Scored, output: Path) -> None:
    """Everything is made before anything is written, and scores.json comes last."""
    scores = json.dumps(row_of(scored), indent=2, allow_nan=False) + "\n"
    document = json.dumps(scored.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = scored.page()
    write_text(output / PAGE, page)
    write_text(output / SCORE_FILE, document)
    write_text(output / SCORES, scores)


if __name__ == "__main__":
    main(prog_name="codabench-program")
