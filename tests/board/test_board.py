"""The leaderboard: its ranks, the files it writes, and that strangers' texts stay inert."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import board_builders
import pytest
from click.testing import CliRunner, Result

from piq_bench.board.files import board_csv
from piq_bench.board.rank import Board, build_boards
from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark

pytest.importorskip("jinja2")


def call(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])


@pytest.fixture
def board(place: Path) -> Board:
    (found,) = build_boards(place / "submissions", board_benchmark(place))
    return found


@pytest.fixture
def entries(place: Path, tmp_path: Path) -> Path:
    """A copy of the entries that may be changed."""
    shutil.copytree(place / "submissions", tmp_path / "submissions")
    return tmp_path / "submissions"


def board_benchmark(place: Path) -> Benchmark:
    return read_benchmark(place / "tiny")


def test_entries_are_sorted_and_only_significant_differences_separate_ranks(board: Board) -> None:
    assert [one.entry.id for one in board.standings][2:] == ["bad", "half"]
    assert [one.ranks for one in board.standings] == [(1, 2), (1, 2), (3, 3), None]
    assert [one.piq for one in board.standings[:3]] == sorted((one.piq for one in board.standings[:3]), reverse=True)  # type: ignore[type-var]


def test_what_tools_leave_behind_is_neither_an_entry_nor_part_of_one(place: Path, entries: Path) -> None:
    assert call("board", entries, "--dataset", place / "tiny").exit_code == 0
    for folder in (entries, entries / "good"):
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "metadata-checkpoint.toml").touch()
        for name in (".DS_Store", "Thumbs.db"):
            (folder / name).write_bytes(b"x")
    result = call("board", entries, "--dataset", place / "tiny", "--check")
    assert result.exit_code == 0, result.output
    assert call("grade", entries / "good", "--dataset", place / "tiny", "--bootstrap", 0).exit_code == 0


def test_files_are_written_once_and_checked_afterwards(place: Path) -> None:
    entries = place / "submissions"
    names = {path.name for path in (entries / "board").iterdir()}
    pages = {"index.html", "good.html", "good-too.html", "bad.html", "half.html"}
    assert names == {*pages, "board.csv", "board.json", "board.tex"}
    assert call("board", entries, "--dataset", place / "tiny", "--check").exit_code == 0
    (entries / "leaderboard.md").write_text("mine first", encoding="utf-8")
    stale = call("board", entries, "--dataset", place / "tiny", "--check")
    assert stale.exit_code == 5
    assert "leaderboard.md" in stale.stderr
    assert call("board", entries, "--dataset", place / "tiny").exit_code == 0


def test_tables_hold_every_number_at_full_precision(place: Path, board: Board) -> None:
    folder = place / "submissions" / "board"
    document = json.loads((folder / "board.json").read_text(encoding="utf-8"))
    assert [one["piq"] for one in document["boards"][0]["entries"]] == [one.piq for one in board.standings]
    rows = list(csv.DictReader(io.StringIO((folder / "board.csv").read_text(encoding="utf-8"))))
    assert [float(row["PIQ"]) for row in rows if row["PIQ"]] == [one.piq for one in board.standings[:3]]
    assert rows[2]["name"] == "'=cmd()"  # no formula
    assert r"\begin{tabular}" in (folder / "board.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"]
)
def test_a_formula_in_a_table_for_people_is_a_text(text: str, board: Board) -> None:
    standing = board.standings[0]
    metadata = standing.entry.metadata.model_copy(update={"name": text, "team": text})
    score = {**standing.score, "aspects": {text: 0.5}}
    changed = replace(standing, entry=replace(standing.entry, metadata=metadata), score=score)
    head, row = csv.reader(io.StringIO(board_csv([replace(board, standings=(changed,))]), newline=""))
    assert row[2:4] == [f"'{text}", f"'{text}"]
    assert head[7] == f"'{text}"
    assert float(row[6]) == standing.score["piq"]


def test_an_entry_without_piq_is_listed_last_and_has_no_rank(place: Path) -> None:
    ours = (place / "submissions" / "leaderboard.md").read_text(encoding="utf-8")
    last = [line for line in ours.splitlines() if line.startswith("| ")][-1]
    assert last.startswith("| - | [half](half/) | Team | - |")


def test_the_papers_rows_stand_apart_without_a_rank_and_only_beside_their_own_benchmark(place: Path) -> None:
    assert "Published" not in (place / "submissions" / "leaderboard.md").read_text(encoding="utf-8")
    assert "Portrait250K" not in (place / "submissions" / "board" / "index.html").read_text(encoding="utf-8")
    text = (Path(__file__).parents[2] / "submissions" / "leaderboard.md").read_text(encoding="utf-8")
    ours, published = text.split("## Published results on another data set")
    assert "reference fss" in ours
    assert "| fss" not in ours
    # PIQ and, of the paper's columns 0.351 0.536 | 0.823 0.685 0.444 0.650 | 0.561 0.530 | 0.340, the aspects
    numbers = "49.5 | 44.35 | 65.05 | 54.55 | 34.00 | 35.1 | 53.6 | 82.3 | 68.5 | 44.4 | 65.0 | 56.1 | 53.0 | 34.0"
    assert f"| fss\\-br\\-uncertainty | {numbers} | FSS, HRNet\\-W32 | BR | uncertainty | random |" in published
    assert published.count("\n| ") == 10  # nine rows and their head


class Parts(HTMLParser):
    """What a page would load and run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.away: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        address = found.get("href") or ""
        if tag == "a" and re.match("https?://", address):
            self.away.append((address, found.get("rel") or ""))
            return
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_pages_load_nothing_and_a_hostile_name_stays_text(place: Path) -> None:
    for path in (place / "submissions" / "board").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        parts = Parts()
        parts.feed(text)
        assert parts.tags.count("script") == (path.name == "index.html")
        own = r"[a-z0-9-]+\.(html|csv|json|tex)|\.\./[a-z0-9-]+/README\.md|#[a-z0-9-]+"
        assert all(re.fullmatch(own, link) for link in parts.links)
        away = [("https://example.org/code?a=1&b=%22", "noopener noreferrer nofollow")] if path.stem == "good" else []
        assert parts.away == away
        assert "url(" not in text
        assert "default-src 'none'" in text
    assert "&lt;script&gt;document.title" in (place / "submissions" / "board" / "good-too.html").read_text("utf-8")
    markdown = (place / "submissions" / "leaderboard.md").read_text(encoding="utf-8")
    assert "\\<script\\>" in markdown
    assert not re.search(r"(?<!\\)<", markdown)


def test_the_page_of_an_entry_is_its_score_page_with_neighbours_and_history(place: Path, board: Board) -> None:
    folder = place / "submissions" / "board"
    pages = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}
    ids = [one.entry.id for one in board.standings]
    for number, name in enumerate(ids):
        for text in ("Where PIQ loses points", "Confusion matrices") if name != "half" else ("Scores", "Entry"):
            assert text in pages[name]
        assert "Worst queries" in pages[name] and "CMC curve" in pages[name]
        for text in ("PIQ if one part were perfect", "Wrong answers"):
            assert (text in pages[name]) == (name != "half"), text
        assert "<img" not in pages[name]  # test images are not the board's to publish
        above = f'Above: <a href="{ids[number - 1]}.html">' in pages[name]
        below = f'Below: <a href="{ids[(number + 1) % 4]}.html">' in pages[name]
        assert (above, below) == (number in (1, 2), number in (0, 1))  # an entry without PIQ has no neighbours
        assert str(board.standings[number].score["protocol"]["digest"]) in pages[name]
        assert "every compared claim holds and no copy was found" in pages[name]
    assert '<a href="../good/README.md">README.md</a>' in pages["good"]
    assert "README" not in pages["bad"]


def test_both_neighbours_see_the_same_difference_with_the_sign_of_their_side(place: Path, board: Board) -> None:
    first, second = (one.entry.id for one in board.standings[:2])
    found = {}
    for name, side in ((first, "Below"), (second, "Above")):
        text = (place / "submissions" / "board" / f"{name}.html").read_text(encoding="utf-8")
        table = text.split(f"{side}: <a")[1].split("</table>")[0]
        found[name] = [re.findall(r"<td>([^<]*)</td>", row) for row in table.split("<tr>")[2:]]
    assert len(found[first]) == len(found[second]) > 3
    for upper, lower in zip(found[first], found[second], strict=True):
        assert upper[:2] == lower[:2][::-1]
        one, other = (float(row[2].rstrip("*")) for row in (upper, lower))
        assert one == -other
        assert abs(float(upper[0]) - float(upper[1]) - one) < 0.011  # both are rounded
        ends = [float(end) for end in upper[3].split()]
        assert ends == [-float(end) for end in reversed(lower[3].split())]
        assert ends[0] <= one <= ends[1]


def test_pages_show_no_more_than_the_result_discloses(place: Path, tmp_path: Path) -> None:
    entries = tmp_path / "submissions"
    for name in ("good", "bad"):
        shutil.copytree(place / "submissions" / name, entries / name, ignore=shutil.ignore_patterns("result.json"))
        options = ("--dataset", place / "tiny", "--bootstrap", 20, "--write", "--disclosure", "score")
        assert call("grade", entries / name, *options).exit_code == 0
    assert call("board", entries, "--dataset", place / "tiny").exit_code == 0
    page = (entries / "board" / "good.html").read_text(encoding="utf-8")
    assert "Neighbours on the leaderboard" in page
    for hidden in ("Worst queries", "CMC curve", "Wrong answers", *read_benchmark(place / "tiny").images):
        assert hidden not in page
    for hidden in ("p00", "female", "Confusion matrices", "Where PIQ loses points", "Average precision by person"):
        assert hidden in (place / "submissions" / "board" / "good.html").read_text(encoding="utf-8")
        assert hidden not in page


def test_a_page_of_predictions_that_are_elsewhere_shows_its_result_alone(place: Path, entries: Path) -> None:
    file = json.loads((entries / "bad" / "result.json").read_text(encoding="utf-8"))["score"]["file"]
    (entries / "bad" / "submission.npz").unlink()
    board_builders.refer(entries / "bad", sha256=file["sha256"], n_bytes=file["bytes"])
    assert call("board", entries, "--dataset", place / "tiny").exit_code == 0
    page = (entries / "board" / "bad.html").read_text(encoding="utf-8")
    assert "The predictions of this entry are stored elsewhere" in page
    assert "Confusion matrices" not in page
    assert '<section id="history">' in page  # the markup of the parts is not escaped


def test_entries_that_do_not_match_their_result_are_named(place: Path, entries: Path) -> None:
    (entries / "good" / "result.json").unlink()
    shutil.copyfile(entries / "bad" / "submission.npz", entries / "good-too" / "submission.npz")
    (entries / "bad" / "result.json").write_text("[]", encoding="utf-8")
    refused = call("board", entries, "--dataset", place / "tiny")
    assert refused.exit_code == 3
    for message in (
        "has no result.json",
        "its result is of other predictions",
        "has an invalid result: it is not a piq-bench",
    ):
        assert message in refused.stderr


def test_results_of_other_data_get_a_board_of_their_own(place: Path, entries: Path) -> None:
    (entries / "ledger.jsonl").unlink()  # it would know of an edited result
    board_builders.edit_result(
        entries / "bad", lambda result: result["score"]["benchmark"].update(fingerprint=64 * "f")
    )
    boards = build_boards(entries, board_benchmark(place))
    assert [[one.entry.id for one in board.standings] for board in boards][1] == ["bad"]
    assert boards[1].standings[0].ranks == (1, 1)


def test_without_predictions_only_disjoint_intervals_separate_ranks(place: Path, entries: Path) -> None:
    (entries / "ledger.jsonl").unlink()  # it would know of an edited result
    file = json.loads((entries / "bad" / "result.json").read_text(encoding="utf-8"))["score"]["file"]
    (entries / "bad" / "submission.npz").unlink()
    board_builders.refer(entries / "bad", sha256=file["sha256"], n_bytes=file["bytes"])
    for interval, ranks in (([0.0, 0.001], [(1, 2), (1, 2), (3, 3)]), ([0.0, 1.0], [(1, 3), (1, 3), (1, 3)])):
        board_builders.edit_result(
            entries / "bad",
            lambda result, interval=interval: result["score"]["intervals"].update(piq=interval),  # type: ignore[misc]
        )
        (board,) = build_boards(entries, board_benchmark(place))
        assert [one.ranks for one in board.standings if one.ranks] == ranks
    board_builders.refer(entries / "bad", sha256="0" * 64, n_bytes=file["bytes"])
    refused = call("board", entries, "--dataset", place / "tiny")
    assert refused.exit_code == 3
    assert "its result is of another file than the one its reference names" in refused.stderr


def test_results_must_match_the_ledger(place: Path, entries: Path) -> None:
    board_builders.edit_result(entries / "bad", lambda result: result["score"]["intervals"].update(piq=[0.9, 1.0]))
    refused = call("board", entries, "--dataset", place / "tiny")
    assert refused.exit_code == 3
    assert "its result is not the one that line 1 of the ledger records" in refused.stderr


def test_an_entry_that_was_refused_last_leaves_the_board(place: Path, entries: Path) -> None:
    metadata = entries / "bad" / "metadata.toml"
    metadata.write_text(metadata.read_text(encoding="utf-8") + "[claimed]\npiq = 0.999\n", encoding="utf-8")
    again = call("grade", entries / "bad", "--dataset", place / "tiny", "--bootstrap", 20, "--write")
    assert again.exit_code == 5
    refused = call("board", entries, "--dataset", place / "tiny")
    assert refused.exit_code == 3
    assert "line 5 of the ledger refuses this entry: piq: claimed 0.999" in refused.stderr


def test_a_removed_entry_stays_visible(place: Path, entries: Path) -> None:
    shutil.rmtree(entries / "good")
    assert call("board", entries, "--dataset", place / "tiny").exit_code == 0
    for name in ("leaderboard.md", "board/index.html"):
        text = (entries / name).read_text(encoding="utf-8")
        assert "Graded entries that were removed from this folder" in text
        assert re.search(r"(\* |<li>)good, graded 20\d\d.{1,40}, line 2\b", text)
        assert "were removed" not in (place / "submissions" / name).read_text(encoding="utf-8")


def test_the_schema_of_metadata_is_published(place: Path) -> None:
    schema = json.loads((place / "submissions" / "metadata.schema.json").read_text(encoding="utf-8"))
    assert schema["additionalProperties"] is False
    assert {"schema", "name", "team", "authors", "date", "method", "training"} == set(schema["required"])
