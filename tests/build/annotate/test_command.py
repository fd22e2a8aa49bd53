"""`piq annotate` takes up labels, writes them down, and refuses what is no data set."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from piq_bench.build.annotate import serve
from piq_bench.cli import load_command


def annotate(*words: object) -> Result:
    return CliRunner().invoke(load_command("annotate"), [str(word) for word in words])


def test_labels_are_taken_up_and_written_in_one_call(dataset: Path, tmp_path: Path) -> None:
    choice = {"from_name": "gender", "type": "choices", "value": {"choices": ["male"]}}
    content = [{"data": {"image": "f1/4.png"}, "annotations": [{"completed_by": 1, "result": [choice]}]}]
    (tmp_path / "e.json").write_text(json.dumps(content))
    done = annotate(dataset, "--import", tmp_path / "e.json", "--export")
    assert (done.exit_code, "took up 1 labels of 1 images" in done.output) == (0, True)
    assert "f1/4.png,train,,male,,f1,t3,n4" in (dataset / "annotations.csv").read_text()


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    assert annotate(tmp_path / "none").exit_code == 4
    assert annotate(tmp_path / "none", "--second", "2").exit_code == 2


def test_missing_packages_are_named_as_pip_names_them(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name in {"uvicorn", "sklearn"} else object())
    done = annotate(dataset)
    assert done.exit_code == 2
    assert [line.split()[0] for line in done.output.splitlines() if "is not installed" in line] == [
        "uvicorn",
        "scikit-learn",
    ]
    assert done.output.count("pip install 'piq-bench[annotate]'") == 2
