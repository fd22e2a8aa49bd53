"""The ledger: edits are detected, the budget limits scorings, and the Ladder publishes only the best PIQ."""

import hashlib
import json
import re
from pathlib import Path

import board_builders
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.board.ledger import (
    START,
    LadderEntry,
    Scoring,
    best_of,
    check_budget,
    count_scorings,
    new_best,
    read_ledger,
    record,
)
from piq_bench.cli import load_command
from piq_bench.errors import BadUsage, LimitExceeded

ONE, OTHER = "1" * 64, "2" * 64


def scoring(entry: str = "entry", *, fingerprint: str = ONE, refusal: str = "") -> Scoring:
    return Scoring(entry, fingerprint, content="a" * 64, digest="b" * 64, refusal=refusal)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Three lines."""
    path = tmp_path / "ledger.jsonl"
    record(path, scoring("first"))
    record(path, scoring("second", refusal="piq: claimed 1.0, computed 0.5"))
    record(path, scoring("third", fingerprint=OTHER))
    return path


def test_each_line_carries_the_hash_of_the_line_before_it(ledger: Path) -> None:
    previous = START
    for number, raw in enumerate(ledger.read_bytes().splitlines(), 1):
        line = json.loads(raw)
        assert (line["number"], line["previous"]) == (number, previous)
        previous = hashlib.sha256(raw).hexdigest()
    assert [line.decision for line in read_ledger(ledger)] == ["accepted", "refused", "accepted"]
    _, digest = record(ledger, scoring())
    assert digest == hashlib.sha256(ledger.read_bytes().splitlines()[-1]).hexdigest()


def test_earlier_lines_stay_as_they_are(ledger: Path) -> None:
    before = ledger.read_bytes()
    record(ledger, scoring())
    assert ledger.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [lines[0].replace("first", "third"), *lines[1:]], "line 2 does not carry the hash"),
        (lambda lines: [lines[0], lines[2]], "line 2 does not carry the hash"),
        (lambda lines: [lines[1], lines[0], lines[2]], "line 1 does not carry the hash"),
        (lambda lines: [lines[0], "{}", *lines[1:]], "line 2 is not a valid line: number is missing"),
        (lambda lines: [lines[0].replace('"number": 1', '"number": 4')], "line 1 is misnumbered"),
        (lambda lines: [lines[0].replace("}", ', "rank": 1}')], "line 1 is not a valid line: rank is not a known key"),
        (
            lambda lines: [lines[0].replace('"best": null', '"best": NaN')],
            "line 1 is not a valid line: best: expected",
        ),
    ],
    ids=["edited", "taken-out", "moved", "put-in", "misnumbered", "more-keys", "NaN"],
)
def test_an_edit_is_detected(ledger: Path, edit: object, message: str) -> None:
    lines = ledger.read_text(encoding="ascii").splitlines()
    ledger.write_text("\n".join(edit(lines)) + "\n", encoding="ascii")  # type: ignore[operator]
    for read in (lambda: read_ledger(ledger), lambda: record(ledger, scoring())):
        with pytest.raises(BadUsage) as refused:
            read()
        assert message in " ".join(str(refused.value).split())


def test_other_files_are_refused(tmp_path: Path, ledger: Path) -> None:
    (tmp_path / "link").symlink_to(ledger)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, message in (("link", "is not a regular file"), ("bytes", "cannot be read")):
        with pytest.raises(BadUsage, match=message):
            read_ledger(tmp_path / name)
    ledger.write_text(ledger.read_text(encoding="ascii")[:-1], encoding="ascii")
    with pytest.raises(BadUsage, match="has no line break at its end"):
        read_ledger(ledger)
    assert read_ledger(tmp_path / "none") == ()


def test_a_budget_counts_every_scoring_of_its_benchmark(ledger: Path) -> None:
    assert (count_scorings(read_ledger(ledger), ONE), count_scorings(read_ledger(ledger), OTHER)) == (2, 1)
    check_budget(ledger, ONE, 3)
    check_budget(ledger, ONE, None)
    for call in (lambda: check_budget(ledger, ONE, 2), lambda: record(ledger, scoring(), budget=2)):
        with pytest.raises(LimitExceeded, match="2 of 2 scorings of this benchmark are used up"):
            call()
    assert len(read_ledger(ledger)) == 3


def test_the_ladder_moves_only_by_more_than_a_step(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    found = []
    for piq in (0.4003, 0.42, 0.4205, 0.1, 0.45):
        line, _ = record(path, scoring(), ladder=LadderEntry(piq, step=0.02))
        found.append((line.decision, line.best))
        assert line.digest is None  # nor is a score in the line
    assert found == [("best", 0.4), ("not better", 0.4), ("best", 0.42), ("not better", 0.42), ("best", 0.45)]
    line, _ = record(path, scoring(refusal="a copy"), ladder=LadderEntry(0.9, step=0.02))
    assert (line.decision, line.best) == ("refused", 0.45)
    assert best_of(read_ledger(path), OTHER) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 0.2)), min_size=1, max_size=30))
def test_the_published_best_only_rises_and_is_near_a_score(attempts: list[tuple[float, float]]) -> None:
    best = None
    for piq, step in attempts:
        higher = new_best(best, LadderEntry(piq, step))
        if higher is None:
            assert best is not None
            assert piq <= best + step
            continue
        assert abs(higher - piq) <= 0.0005 + 1e-12
        assert best is None or higher > best
        best = higher


def call(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("grade"), [str(argument) for argument in arguments])


def test_with_the_ladder_nothing_but_the_best_is_published(tmp_path: Path) -> None:
    benchmark = board_builders.dataset(tmp_path / "tiny")
    options = ("--dataset", tmp_path / "tiny", "--bootstrap", 50, "--ladder", "--ledger", tmp_path / "ledger.jsonl")
    claimed = "[claimed]\npiq = 1.0\n"  # a message about this claim would reveal a score
    for name, noise in {"bad": 2.5, "good": 0.3}.items():
        board_builders.entry(tmp_path / "all" / name, benchmark, noise=noise, claimed=claimed)
    outputs = []
    for name in ("bad", "good", "good"):
        done = call(tmp_path / "all" / name, *options, "--budget", 3, "--out", tmp_path / f"{name}.json")
        assert done.exit_code == 0, done.output
        outputs.append(done.stdout.splitlines())
        piq = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))["score"]["piq"]
        assert str(piq) not in done.output
    first, second, third = (line.best for line in read_ledger(tmp_path / "ledger.jsonl"))
    assert [lines[0] for lines in outputs] == [
        f"ladder  PIQ {first} is the new best",
        f"ladder  PIQ {second} is the new best",
        f"ladder  PIQ {third} stays the best",
    ]
    assert all(len(lines) == 3 for lines in outputs)  # the ladder, the ledger, the file
    done = call(tmp_path / "all" / "good", *options, "--budget", 3)
    assert done.exit_code == 6
    assert "3 of 3 scorings of this benchmark are used up" in done.stderr
    assert done.stdout == ""


def test_a_written_result_is_recorded_beside_the_entries(tmp_path: Path) -> None:
    benchmark = board_builders.dataset(tmp_path / "tiny")
    options = ("--dataset", tmp_path / "tiny", "--bootstrap", 10, "--write")
    assert call(board_builders.entry(tmp_path / "all" / "first", benchmark), *options).exit_code == 0
    assert call(board_builders.entry(tmp_path / "all" / "copy", benchmark), *options).exit_code == 5
    accepted, refused = read_ledger(tmp_path / "all" / "ledger.jsonl")
    result = json.loads((tmp_path / "all" / "first" / "result.json").read_text(encoding="utf-8"))
    assert (accepted.decision, accepted.digest) == ("accepted", result["score"]["protocol"]["digest"])
    assert (refused.decision, refused.reason) == ("refused", "submission: has the predictions of first")


def test_probing_by_partial_and_refused_entries_uses_up_the_budget(tmp_path: Path) -> None:
    """An entry that answers one task, and one whose claim does not hold, tell something: each counts as a scoring."""
    benchmark = board_builders.dataset(tmp_path / "tiny")
    partial = board_builders.entry(tmp_path / "all" / "part", benchmark, partial=True)
    boasting = board_builders.entry(tmp_path / "all" / "boast", benchmark, claimed="[claimed]\npiq = 1.0\n", seed=1)
    third = board_builders.entry(tmp_path / "all" / "third", benchmark, seed=2)
    options = ("--dataset", tmp_path / "tiny", "--bootstrap", 10, "--budget", 2, "--ledger", tmp_path / "ledger.jsonl")
    assert [call(entry, *options).exit_code for entry in (partial, boasting)] == [0, 5]
    spent = call(third, *options)
    assert (spent.exit_code, spent.stdout) == (6, "")


def test_nothing_is_printed_or_written_if_the_ledger_was_edited(tmp_path: Path) -> None:
    benchmark = board_builders.dataset(tmp_path / "tiny")
    entry = board_builders.entry(tmp_path / "all" / "first", benchmark)
    (tmp_path / "all" / "ledger.jsonl").write_text("{}\n", encoding="ascii")
    done = call(entry, "--dataset", tmp_path / "tiny", "--bootstrap", 10, "--write")
    assert done.exit_code == 2
    assert "line 1" in done.stderr
    assert done.stdout == ""
    assert not (entry / "result.json").exists()


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for options, message in (
        (["x", "--ladder"], "--ladder needs a ledger"),
        (["x", "--budget", 3], "--budget needs a ledger"),
        (["--base", "a", "--head", "b", "--fetch"], "nothing is fetched for a pull request"),
        (["x", "--ladder", "--bootstrap", 0, "--ledger", tmp_path / "l"], "it needs --bootstrap"),
    ):
        done = call(*options)
        assert done.exit_code == 2
        assert message in " ".join(done.stderr.split())


def test_a_written_ladder_publishes_the_ledger_alone_and_its_page_reveals_the_rest_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    benchmark = board_builders.dataset(tmp_path / "tiny")
    entries, kept = tmp_path / "all", tmp_path / "private"
    kept.mkdir()
    hidden = ("--dataset", tmp_path / "tiny", "--bootstrap", 50)
    for name, noise in {"bad": 2.5, "good": 0.3, "worse": 3.0}.items():
        board_builders.entry(entries / name, benchmark, noise=noise, claimed="[claimed]\npiq = 1.0\n")
    before = {path: path.read_bytes() for path in entries.rglob("*") if path.is_file()}
    for name in ("bad", "good", "worse"):
        done = call(entries / name, *hidden, "--ladder", "--write", "--budget", 9, "--out", kept / f"{name}.json")
        assert done.exit_code == 0, done.output
    published = {path: path.read_bytes() for path in entries.rglob("*") if path.is_file() and path not in before}
    assert [path.name for path in published] == ["ledger.jsonl"]
    scores = {path.stem: json.loads(path.read_text(encoding="utf-8"))["score"] for path in kept.iterdir()}
    board = CliRunner().invoke(load_command("board"), [str(entries), *map(str, hidden[:2])])
    assert board.exit_code == 0, board.output
    texts = [path for path in entries.rglob("*") if path.is_file() and path.suffix != ".npz"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    for name in ("bad", "worse"):  # the best is public; nothing of the others is
        for part in (scores[name]["aspects"], scores[name]["f1"], {"piq": scores[name]["piq"]}):
            for value in part.values():
                assert f"{100 * value:.2f}" not in text
                assert len(repr(value)) < 8 or repr(value)[:8] not in text
    page = (entries / "board" / "ladder.html").read_text(encoding="utf-8")
    best = read_ledger(entries / "ledger.jsonl")[-1].best
    assert best is not None
    assert f'<span class="big">{100 * best:.1f}</span>' in page
    assert page.count("kept back</td>") == 3
    assert "3 attempts; 3 scorings count for the budget. The scores of 3 attempts are kept back." in page
    table = page.split("Attempts in order")[1]
    assert sorted(scores, key=lambda name: table.index(f"<bdi>{name}</bdi>")) == ["bad", "good", "worse"]
    assert not (entries / "board" / "good.html").exists()
    assert "Ladder: tiny 1" in (entries / "leaderboard.md").read_text(encoding="utf-8")

    for name in ("bad", "good", "worse"):  # the end: claims hold here, since no author knows the labels
        metadata = entries / name / "metadata.toml"
        metadata.write_text(metadata.read_text(encoding="utf-8").split("[claimed]")[0], encoding="utf-8")
        assert call(entries / name, *hidden, "--write", "--disclosure", "score").exit_code == 0
    board = CliRunner().invoke(load_command("board"), [str(entries), *map(str, hidden[:2])])
    assert board.exit_code == 0, board.output
    page = (entries / "board" / "ladder.html").read_text(encoding="utf-8")
    assert "Every score is revealed." in page
    for name, score in scores.items():
        assert f'<a href="{name}.html">' in page
        assert f"<td>{100 * score['piq']:.2f}</td>" in page


def test_under_the_ladder_the_whole_result_never_lands_in_the_folder_that_is_published(tmp_path: Path) -> None:
    benchmark = board_builders.dataset(tmp_path / "tiny")
    entry = board_builders.entry(tmp_path / "all" / "good", benchmark)
    for place in ("all/good/result.json", "all/good.json", "all/other/../x.json"):
        (tmp_path / "all" / "other").mkdir(exist_ok=True)
        done = call(entry, "--dataset", tmp_path / "tiny", "--ladder", "--write", "--out", tmp_path / place)
        assert done.exit_code == 2, done.output
        assert "would publish what --ladder keeps back" in done.stderr
        assert not (tmp_path / place).exists()
    assert not (tmp_path / "all" / "ledger.jsonl").exists()


def test_the_recipe_makes_the_folder_that_it_writes_scores_into() -> None:
    guide = (Path(__file__).parents[2] / "submissions" / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```\w+\n(.*?)```", guide, re.DOTALL) if "kept/" in block]
    assert len(blocks) == 2
    for block in blocks:
        assert -1 < block.find("mkdir -p kept") < block.find("kept/")
