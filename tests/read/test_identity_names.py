"""Names of identities that are likely slips."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from folders import TOML, write_folder, write_market

import piq_bench
from piq_bench.cli.score import score_command
from piq_bench.describe.findings import find_findings
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.identity_names import look_alike, look_missing
from piq_bench.write.submission import write_submission

REID = TOML[: TOML.index("[tasks.gender]")]
COLUMNS = ("image", "split", "identity", "camera")


@pytest.mark.parametrize("name", ["nan", "NaN", "None", "null", "NA", "n/a", "-1", "0000", "Unknown"])
def test_missing_values_are_noticed_unless_declared(name: str) -> None:
    assert look_missing(["0001", name], []) == [name]
    assert look_missing(["0001", name], [name]) == []


def test_spellings_of_one_name_are_noticed() -> None:
    assert look_alike(["p1", "P1", "p2"]) == [("p1", "P1")]
    assert look_alike(["7", "7.0", "70"]) == [("7", "7.0")]
    assert look_alike(["0", "00", "000"]) == [("0", "00", "000")]
    assert look_alike(["caf\u00e9", "cafe\u0301"]) == [("caf\u00e9", "cafe\u0301")]
    assert look_alike([f"{i:04}" for i in range(2000)]) == []


def data(place: Path, retrieval: str = "") -> Path:
    rows = [
        ("q1.jpg", "query", "0000", "c1"), ("q2.jpg", "query", "p1", "c1"), ("q3.jpg", "query", "P1", "c1"),
        ("g1.jpg", "gallery", "0000", "c2"), ("g2.jpg", "gallery", "p1", "c2"), ("g3.jpg", "gallery", "P1", "c2"),
    ]  # fmt: skip
    return write_folder(place, rows, COLUMNS, toml=REID + retrieval)


def notes(place: Path, dataset: Path, *options: str) -> list[str]:
    images = ["q1.jpg", "q2.jpg", "q3.jpg", "g1.jpg", "g2.jpg", "g3.jpg"]
    np.savez(place / "s.npz", image=np.array(images), embedding=np.eye(6, dtype=np.float32) + 1)
    command = [str(place / "s.npz"), "--dataset", str(dataset), "--bootstrap", "0", "--format", "json", *options]
    found: list[str] = json.loads(CliRunner().invoke(score_command, command).stdout)["notes"]
    return found


def test_doubts_are_told_on_every_score_and_by_stats(tmp_path: Path) -> None:
    folder = data(tmp_path / "a")
    found = notes(tmp_path, folder)
    assert any("column 'camera': gallery images with the same camera as the query" in note for note in found)
    assert any("missing values" in note and "'0000'" in note for note in found)
    assert any("spelling alone" in note and "P1 = p1" in note for note in found)
    codes = {finding.code: finding.severity for finding in find_findings(inspect_dataset(folder).benchmark)}
    assert codes["identity-looks-missing"] == codes["identities-alike"] == codes["unused-rule-column"] == "warning"


def test_a_rule_or_a_declaration_ends_the_doubt(tmp_path: Path) -> None:
    assert not any("camera" in note for note in notes(tmp_path, data(tmp_path / "a"), "--exclude", "identity+camera"))
    declared = data(tmp_path / "b", '[retrieval]\nexclude = []\npersons = ["0000"]\n')
    found = notes(tmp_path, declared)
    assert not any("camera" in note or "missing values" in note for note in found)
    codes = {finding.code: finding.severity for finding in find_findings(inspect_dataset(declared).benchmark)}
    assert codes["unused-rule-column"] == "note"
    assert "identity-looks-missing" not in codes


def test_queries_and_training_images_of_nobody_are_a_warning(tmp_path: Path) -> None:
    names = {
        "bounding_box_train": ["0000_c1_1.jpg"],
        "query": ["0000_c1_1.jpg", "2000_c1_1.jpg", "-1_c2_1.jpg"],
        "bounding_box_test": ["0000_c2_1.jpg", "2000_c3_1.jpg"],
    }
    findings = find_findings(inspect_dataset(write_market(tmp_path, names)).benchmark)
    texts = {finding.code: finding.text for finding in findings}
    assert {"distractor-in-train", "distractor-in-query", "junk-in-query"} <= texts.keys()
    assert "declared as distractor, so they count as unlabelled" in texts["distractor-in-train"]
    assert "declared as junk, so they are no queries: 'query/-1_c2_1.jpg'" in texts["junk-in-query"]
    assert "change junk under [retrieval] in benchmark.toml" in texts["junk-in-query"]


def test_no_number_is_no_success(tmp_path: Path) -> None:
    toml = REID + '[tasks.age]\naspect = "a"\nlabels = ["old", "young"]\n[retrieval]\nexclude = [["identity"]]\n'
    rows = [("q.jpg", "query", "p", ""), ("g.jpg", "gallery", "p", "")]
    folder = write_folder(tmp_path / "d", rows, ("image", "split", "identity", "age"), toml=toml)
    given = {"image": ["q.jpg", "g.jpg"], "age": ["old", "old"], "embedding": np.eye(2, dtype=np.float32)}
    write_submission(
        tmp_path / "s.npz",
        images=["q.jpg", "g.jpg"],
        embedding=np.eye(2, dtype=np.float32),
        predictions={"age": np.array(["old", "old"])},
    )
    done = CliRunner().invoke(score_command, [str(tmp_path / "s.npz"), "--dataset", str(folder)])
    assert done.exit_code == 4
    assert not done.stdout
    assert "none of 1 queries has a positive left; exclusion rules: identity" in done.stderr
    assert "no query or gallery image is annotated" in done.stderr
    with pytest.raises(BadDataset, match="2 problems"):
        piq_bench.score(given, read_benchmark(folder))
