"""Edited results: a change of any number that the leaderboard shows is detected."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import board_builders
import pytest
from click.testing import CliRunner, Result

from piq_bench.board.result import read_result
from piq_bench.cli import load_command

Change = Callable[[dict[str, Any]], None]


def call(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("graded")
    benchmark = board_builders.dataset(root / "tiny")
    for name, level in (("whole", "full"), ("discreet", "score")):
        entry = board_builders.entry(root / "submissions" / name, benchmark, noise=0.7, seed=len(name))
        options = ("--dataset", root / "tiny", "--bootstrap", 5, "--disclosure", level, "--write")
        assert call("grade", entry, *options).exit_code == 0
    (root / "submissions" / "ledger.jsonl").rename(root / "ledger.jsonl")  # so that it does not detect the edits first
    return root


@pytest.fixture
def root(graded: Path, tmp_path: Path) -> Path:
    shutil.copytree(graded, tmp_path / "root")
    return tmp_path / "root"


def board_errors(root: Path) -> str:
    done = call("board", root / "submissions", "--dataset", root / "tiny")
    assert done.exit_code == (3 if done.stderr else 0)
    return done.stderr


NUMBERS: list[Change] = [
    lambda score: score.update(piq=0.999),
    lambda score: score["aspects"].update(reid=0.999),
    lambda score: score["f1"].update(gender=0.999),
    lambda score: score["reid"].update(macro_map=0.999),
    lambda score: score["reid"].update(macro_rank1=None),
    lambda score: score["f1"].pop("gender") and score["f1"].update(sex=1.0),
]


@pytest.mark.parametrize("change", NUMBERS)
@pytest.mark.parametrize("name", ["whole", "discreet"])
def test_an_edited_number_is_detected_though_its_digest_is_right(name: str, change: Change, root: Path) -> None:
    board_builders.edit_result(root / "submissions" / name, lambda result: change(result["score"]))
    message = board_errors(root)
    assert f"  {name}  its result says" in message
    assert "its predictions give" in message


@pytest.mark.parametrize("change", [*NUMBERS, lambda score: score["intervals"].update(piq=[0.0, 0.1])])
def test_a_whole_result_has_a_digest_of_every_number(change: Change, root: Path) -> None:
    board_builders.edit_result(root / "submissions" / "whole", lambda result: change(result["score"]), digest=False)
    assert "its numbers do not match its digest" in board_errors(root)


@pytest.mark.parametrize("change", NUMBERS)
def test_the_ledger_detects_edits_of_a_discreet_result_though_predictions_are_elsewhere(
    change: Change, root: Path
) -> None:
    entry = root / "submissions" / "discreet"
    (root / "ledger.jsonl").rename(root / "submissions" / "ledger.jsonl")
    file = json.loads((entry / "result.json").read_text(encoding="utf-8"))["score"]["file"]
    (entry / "submission.npz").unlink()
    board_builders.refer(entry, sha256=file["sha256"], n_bytes=file["bytes"])
    assert board_errors(root) == ""
    board_builders.edit_result(entry, lambda result: change(result["score"]), digest=False)
    assert "  discreet  its result does not publish the score that line 2 of the ledger records" in board_errors(root)


def test_unedited_results_are_accepted(root: Path) -> None:
    assert board_errors(root) == ""
    for name in ("whole", "discreet"):
        assert read_result(root / "submissions" / name / "result.json") is not None


@pytest.mark.parametrize("name", ["whole", "discreet"])
def test_results_graded_before_there_were_further_metrics_stay_valid(name: str, root: Path) -> None:
    def remove(result: dict[str, Any]) -> None:
        del result["score"]["further_metrics"]

    board_builders.edit_result(root / "submissions" / name, remove, digest=False)
    (root / "ledger.jsonl").rename(root / "submissions" / "ledger.jsonl")
    assert board_errors(root) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda result: result["score"].update(piq="<img src=x>"), "score.piq"),
        (lambda result: result["score"].update(piq=float("inf")), "score.piq"),
        (lambda result: result["score"].update(piq=True), "score.piq"),
        (lambda result: result["score"]["aspects"].update(x="\udfff"), "score.aspects.x has half of a surrogate pair"),
        (lambda result: result["score"]["f1"].update({"\ud800": 1}), r"score.f1.\ud800 has half of a surrogate pair"),
        (lambda result: result["score"].update(x=10**45), "score.x is a number of more than 40 digits"),
        (lambda result: result["score"].update(f1={"gender": [1]}), "score.f1.gender"),
        (lambda result: result["score"].update(reid=[]), "score.reid"),
        (lambda result: result["score"]["intervals"].update(piq=[0.1]), "score.intervals.piq"),
        (lambda result: result["score"]["benchmark"].update(name={}), "score.benchmark.name"),
        (lambda result: result["score"].pop("protocol"), "score.protocol"),
        (lambda result: result.pop("score"), "score"),
        (lambda result: result.update(schema="piq-bench/result/9"), "it is not a piq-bench/result/1 file"),
    ],
)
def test_invalid_results_are_named(change: Change, message: str, root: Path) -> None:
    path = root / "submissions" / "whole" / "result.json"
    board_builders.edit_result(path.parent, change, digest=False)
    assert f"has an invalid result: {message}" in board_errors(root)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", "{", "\udcff"], ids=range(5))
def test_bombs_and_other_files_are_refused(text: str, root: Path) -> None:
    path = root / "submissions" / "whole" / "result.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    assert "has an invalid result" in board_errors(root)


def test_a_link_is_refused(root: Path) -> None:
    path = root / "submissions" / "whole" / "result.json"
    path.rename(root / "elsewhere.json")
    path.symlink_to(root / "elsewhere.json")
    assert json.loads(path.read_text(encoding="utf-8"))
    assert "is a link" in board_errors(root)
