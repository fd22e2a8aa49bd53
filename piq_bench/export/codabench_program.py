"""The scoring program of a Codabench bundle: `python3 -m piq_bench.export.codabench_program INPUT OUTPUT`.

Codabench runs it in the folder of the program, with the reference data in INPUT/ref and the upload of a participant in
INPUT/res. It writes the scores to scores.json, without which Codabench counts no submission. For a refused submission
it writes nothing, prints all problems and exits with 3.
"""

import json
import sys
from pathlib import Path

import click

from piq_bench.errors import EXIT_INTERNAL, exit_codes
from piq_bench.export.host import HIGH, LOW, SETTINGS, Failed, Scored, read_settings, score_upload
from piq_bench.write.files import write_text
from piq_bench.write.streams import accept_every_character

SCORES = "scores.json"
PAGE = "detailed_results.html"  # the name that Codabench looks for
SCORE_FILE = "piq-score.json"  # must not be a name that Codabench uses itself, such as metadata or scores.txt


@click.command("codabench-program")
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(source: Path, output: Path) -> None:
    """Score INPUT/res against INPUT/ref and write scores.json to OUTPUT."""
    accept_every_character()
    with exit_codes():
        try:
            scored = score_upload(source / "ref", source / "res", read_settings(Path(SETTINGS)))
            _write(scored, output)
        except Failed as failure:
            click.echo(str(failure), err=True)
            sys.exit(EXIT_INTERNAL)
        for note in scored.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(f"PIQ {scored.row['piq']:.2f} %, digest {scored.digest}")


def scores_of(scored: Scored) -> dict[str, float]:
    """The content of scores.json: the columns of the leaderboard, and the ends of PIQ's interval."""
    ends = scored.piq_interval
    return {**scored.row, **({} if ends is None else {LOW: ends[0], HIGH: ends[1]})}


def _write(scored: Scored, output: Path) -> None:
    """Make all three files before writing any, and write scores.json last."""
    scores = json.dumps(scores_of(scored), indent=2, allow_nan=False) + "\n"
    document = json.dumps(scored.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    page = scored.page()
    write_text(output / PAGE, page)
    write_text(output / SCORE_FILE, document)
    write_text(output / SCORES, scores)


if __name__ == "__main__":
    main(prog_name="codabench-program")
