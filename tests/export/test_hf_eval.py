"""Numbers of a score file for the Hugging Face hub, under the keys and in the per cent of leaderboards."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from export_builders import KEYS, dataset, submission

from piq_bench.errors import BadUsage
from piq_bench.export.hf_eval import Source, write_hf_eval
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.report.json import score_document
from piq_bench.scoring.score import score

yaml = pytest.importorskip("yaml")
SOURCE = Source("lab/tiny", date(2026, 11, 24), "https://example.org", "a page")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    benchmark = read_benchmark(dataset(tmp_path / "data"))
    entry = read_submission(submission(tmp_path / "a.npz", tmp_path / "data"), benchmark)
    return dict(score_document(score(benchmark, entry, n_resamples=0)))


def written(document: object, tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "score.json").write_text(json.dumps(document), encoding="utf-8")
    write_hf_eval(tmp_path / "piq.yaml", tmp_path / "score.json", SOURCE, force=True)
    found: list[dict[str, Any]] = yaml.safe_load((tmp_path / "piq.yaml").read_text(encoding="utf-8"))
    return found


def test_every_number_is_an_entry_in_per_cent(document: dict[str, Any], tmp_path: Path) -> None:
    entries = written(document, tmp_path)
    assert tuple(entry["dataset"]["task_id"] for entry in entries) == KEYS
    assert {entry["dataset"]["id"] for entry in entries} == {"lab/tiny"}
    assert entries[0]["value"] == 100 * document["piq"]
    assert entries[2]["value"] == 100 * document["reid"]["macro_map"]
    assert entries[0]["date"] == "2026-11-24" and entries[0]["source"] == {
        "url": "https://example.org",
        "name": "a page",
    }
    assert document["protocol"]["digest"] in entries[0]["notes"]


def test_missing_numbers_are_left_out(document: dict[str, Any], tmp_path: Path) -> None:
    document |= {"piq": None, "reid": None, "f1": {"gender": 0.5, "mood": None, "hat": "<b>", "shoe": True}}
    assert [entry["dataset"]["task_id"] for entry in written(document, tmp_path)] == ["gender_f1"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": "other"}, "is not a piq-bench/score/1 file"),
        ({"f1": []}, "lacks its benchmark, protocol or f1"),
        ({"reid": 3}, "has a reid that is not an object"),
        ({"piq": None, "reid": None, "f1": {}}, "holds no number"),
    ],
)
def test_a_file_that_is_not_a_score_file_is_refused(
    change: dict[str, Any], text: str, document: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(BadUsage, match=text):
        written(document | change, tmp_path)
    assert not (tmp_path / "piq.yaml").exists()


def test_a_missing_score_file_and_an_existing_output_are_refused(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="No such file"):
        write_hf_eval(tmp_path / "piq.yaml", tmp_path / "nothing.json", SOURCE)
    written(document, tmp_path)
    with pytest.raises(BadUsage, match="already exists"):
        write_hf_eval(tmp_path / "piq.yaml", tmp_path / "score.json", SOURCE)


REFUSED = ["tiny", "a/b/c", "lab/", "/tiny", "lab/ti ny", "lab/.tiny", "lab/tiny-", "lab/tiny.git", "lab/a--b",
           "l..b/a", "https://hf.co/lab", "lab/tiny\n", "lab/tïny", "lab-/tiny", "lab/" + "a" * 97]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_the_hub_refuses_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="bad-dataset") as refused:
        write_hf_eval(tmp_path / "piq.yaml", tmp_path / "nothing.json", replace(SOURCE, dataset=name))
    assert "--dataset-id" in str(refused.value)


@pytest.mark.parametrize("name", ["lab/tiny", "Lab_1/a.b-c_d", "1/2", "lab/" + "a" * 96])
def test_a_name_that_the_hub_takes_is_taken(name: str, document: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "score.json").write_text(json.dumps(document), encoding="utf-8")
    assert write_hf_eval(tmp_path / "piq.yaml", tmp_path / "score.json", replace(SOURCE, dataset=name)) == len(KEYS)


def test_a_title_without_an_address_and_an_address_that_is_none_are_refused(tmp_path: Path) -> None:
    for source, code in ((replace(SOURCE, url=None), "no-source"), (replace(SOURCE, url="example"), "bad-address"),
                         (replace(SOURCE, url="javascript:alert(1)"), "bad-address"),
                         (replace(SOURCE, url="http://[x"), "bad-address")):  # fmt: skip
        with pytest.raises(BadUsage, match=code):
            write_hf_eval(tmp_path / "piq.yaml", tmp_path / "nothing.json", source)


def test_a_score_file_that_powershell_wrote_is_read(document: dict[str, Any], tmp_path: Path) -> None:
    expected = written(document, tmp_path)
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "score.json").write_text(json.dumps(document), encoding=encoding)
        write_hf_eval(tmp_path / "again.yaml", tmp_path / "score.json", SOURCE, force=True)
        assert yaml.safe_load((tmp_path / "again.yaml").read_text(encoding="utf-8")) == expected
