import json
from pathlib import Path

import numpy as np
import pytest
from submission_builders import BENCHMARK, N, arrays, check, save, without


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    lines = ["image,split", *(f"m/{i}.jpg,gallery" for i in range(N))]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_json_says_what_is_in_a_submission(dataset: Path) -> None:
    document = json.loads(check(save(dataset / "entry.npz", arrays()), dataset, "--format", "json").stdout)
    assert document["valid"] is True
    assert document["submission"]["name"] == "entry"
    assert document["submission"]["images"] == N
    assert document["embedding"] == {"dimension": 4, "dtype": "float32", "distance": "cosine"}
    assert document["tasks"] == {
        "age": {"labels": 3, "multi_label": False},
        "mood": {"labels": 2, "multi_label": True},
    }
    assert document["file"]["bytes"] == (dataset / "entry.npz").stat().st_size


def test_what_was_not_submitted_is_named(dataset: Path) -> None:
    path = without("embedding")(dataset)
    document = json.loads(check(path, dataset, "--partial", "--format", "json").stdout)
    assert document["embedding"] is None
    assert "embedding    not submitted\n" in check(path, dataset, "--partial").stdout


def test_a_refusal_is_json_too_and_the_message_goes_to_stderr(dataset: Path) -> None:
    values = arrays()
    values["embedding"][[1, 4], 0] = np.nan
    values["age"][7] = "aduld"
    result = check(save(dataset / "entry.npz", values), dataset, "--format", "json")
    assert result.exit_code == 3
    assert "refused, 2 problems" in result.stderr
    document = json.loads(result.stdout)
    assert document["valid"] is False
    assert [(p["code"], p["where"], p["count"]) for p in document["problems"]] == [
        ("not-finite", "embedding", 2),
        ("unknown-label", "age", 1),
    ]
    assert all(problem["found"] and problem["remedy"] for problem in document["problems"])
