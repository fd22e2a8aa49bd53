"""The entries in `submissions` grade to their stored results, and the leaderboard is up to date."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from piq_bench.board.entries import GENERATED, entries_in, read_entry
from piq_bench.board.grade import grade
from piq_bench.board.result import read_result
from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark

FOLDER = Path(__file__).parents[2] / "submissions"
MAX_BYTES = 8 << 20
MAX_PAGE_BYTES = 2 << 20  # which git packs to a sixth


@pytest.mark.parametrize("folder", entries_in(FOLDER), ids=lambda path: path.name)
def test_an_entry_gets_the_result_that_it_has(folder: Path) -> None:
    entry = read_entry(folder)
    found = grade(read_benchmark(None), entry)
    assert found.passed
    result = read_result(entry.result)
    assert result is not None
    assert result["score"]["protocol"]["digest"] == found.document["protocol"]["digest"]


def test_the_leaderboard_is_up_to_date() -> None:
    pytest.importorskip("jinja2")
    done = CliRunner().invoke(load_command("board"), [str(FOLDER), "--check"])
    assert done.exit_code == 0, done.output


def test_entries_stay_small_enough_for_git() -> None:
    sizes = {path: path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()}
    pages = sum(size for path, size in sizes.items() if path.parent == FOLDER / GENERATED)
    assert sum(sizes.values()) - pages < MAX_BYTES
    assert pages < MAX_PAGE_BYTES
