"""Results of entries whose numbers were changed and whose digest was then made right again, on their way to a board."""

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from fuzz.values import changed_json

from piq_bench.board.entries import Entry, read_entry
from piq_bench.board.files import board_csv, board_json, board_latex
from piq_bench.board.html import board_pages
from piq_bench.board.markdown import board_markdown
from piq_bench.board.rank import Standing, _boards, _ranked
from piq_bench.board.result import published_digest, read_result
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark

ENTRY = Path(__file__).parents[2] / "submissions" / "colour-shape"


@cache
def entry() -> Entry:
    """An entry of the repository."""
    return read_entry(ENTRY)


@cache
def benchmark() -> Benchmark:
    """The benchmark of that entry."""
    return read_benchmark(None)


def make_sealed_result(draw: Random) -> dict[str, bytes]:
    """A result of which one part was changed, and its digest with it."""
    document = json.loads(entry().result.read_text(encoding="utf-8"))
    part = draw.choice(["score", "score", "submission", "benchmark", "protocol", "aspects", "reid", "f1", "intervals"])
    if part == "score":
        document["score"] = changed_json(draw, document["score"])
    else:
        document["score"][part] = changed_json(draw, document["score"][part])
    seal(document["score"])
    try:
        return {"result.json": json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")}
    except (ValueError, RecursionError):
        return {"result.json": b"{}"}


def seal(score: Any) -> None:  # noqa: ANN401  (a JSON value)
    """Put the right digest into a score, if it has a place for one."""
    try:
        score["protocol"]["digest"] = published_digest(score)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return


def read_to_board(folder: Path) -> None:
    """Read a result as `piq board` does and write every file of the board, beside the unchanged result."""
    try:
        found = read_result(folder / "result.json")
    except ValueError:  # which the board names as a bad result
        return
    whole = read_result(entry().result)
    assert found is not None
    assert whole is not None
    standings = [Standing(entry(), result["score"], None) for result in (whole, found)]
    boards = [_ranked(benchmark(), board, {}) for board in _boards(standings)]
    texts = [board_csv(boards), board_json(boards), board_latex(boards), board_markdown(boards)]
    for text in (*texts, *board_pages(boards, benchmark()).values()):
        text.encode()
