"""The reference score of a report: the bundled one equals a new scoring, and other score files are validated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest
from click.testing import CliRunner

from piq_bench.cli import load_command
from piq_bench.errors import BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.report.json import score_document, score_json
from piq_bench.report.reference import BUNDLED, reference_of
from piq_bench.scoring.people import RANKS, cmc_of
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "submissions" / "reference-fss" / "submission.npz"


@pytest.fixture(scope="module")
def result() -> Score:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    return score(benchmark, builders.submission(rng, benchmark), n_resamples=0)


def written(path: Path, result: Score, **changes: Any) -> Path:  # noqa: ANN401
    path.write_text(json.dumps(score_document(result) | changes), encoding="utf-8")
    return path


def test_the_bundled_reference_is_what_its_entry_scores() -> None:
    stored = json.loads((ROOT / "piq_bench" / "data" / BUNDLED).read_text(encoding="utf-8"))
    benchmark = read_benchmark(None)
    again = score(benchmark, read_submission(ENTRY, benchmark), n_resamples=0)
    document = json.loads(score_json(again))
    for part in ("piq", "aspects", "f1", "submission", "benchmark", "protocol", "further_metrics"):
        assert stored[part] == document[part]
    assert reference_of(again, None) is None  # nothing is shown beside itself
    other = reference_of(replace(again, submission={**again.submission, "content": "another"}), None)
    assert other is not None
    assert (other.name, other.piq, other.f1) == ("fss", again.piq, again.f1)


def test_on_another_benchmark_nothing_is_bundled(result: Score) -> None:
    assert reference_of(result, None) is None


def test_a_score_file_gives_its_numbers(tmp_path: Path, result: Score) -> None:
    found = reference_of(result, written(tmp_path / "other.json", result))
    assert found is not None
    assert result.reid is not None
    assert (found.name, found.piq, found.aspects, found.f1) == ("random", result.piq, result.aspects, result.f1)
    assert found.reid["macro_map"] == result.reid.values["macro_map"]


def test_the_cmc_of_a_score_file_has_every_rank_and_that_of_an_earlier_one_those_among_its_scores(
    tmp_path: Path, result: Score
) -> None:
    reid = result.reid
    assert reid is not None and reid.by_query is not None
    curve = cmc_of(reid.by_query.identity, reid.by_query.first_run)
    found = reference_of(result, written(tmp_path / "other.json", result))
    assert found is not None
    assert found.cmc == {kind: dict(zip(RANKS, getattr(curve, kind), strict=True)) for kind in ("macro", "plain")}
    further: Any = score_document(result)["further_metrics"]
    few = {
        "macro": {rank: reid.values[f"macro_rank{rank}"] for rank in (1, 5, 10)},
        "plain": {rank: reid.values[f"rank{rank}"] for rank in (1, 5, 10)},
    }
    for strange in (None, 7, [1], {"macro": 3, "plain": [0.5]}, {"macro": ["x"] * len(RANKS)}):
        changed = {**further, "reid": {**further["reid"], "cmc": strange}}
        found = reference_of(result, written(tmp_path / "other.json", result, further_metrics=changed))
        assert found is not None and found.cmc == few
    found = reference_of(result, written(tmp_path / "other.json", result, further_metrics=None))
    assert found is not None and found.cmc == few


def test_values_that_are_not_fractions_are_not_shown(tmp_path: Path, result: Score) -> None:
    strange = {"gender": "<b>", "age": True, "mood": 7, "other": None}
    found = reference_of(result, written(tmp_path / "other.json", result, f1=strange, piq=2.0, reid=[1]))
    assert found is not None
    assert (found.f1, found.piq, found.reid) == ({}, None, {})


def test_other_data_and_other_rules_are_refused_all_at_once(tmp_path: Path, result: Score) -> None:
    document = score_document(result)
    benchmark: Any = document["benchmark"]
    protocol: Any = document["protocol"]
    path = written(
        tmp_path / "other.json",
        result,
        benchmark={**benchmark, "fingerprint": "f" * 64},
        protocol={**protocol, "version": 9, "ap": "market1501", "exclude": []},
    )
    with pytest.raises(BadUsage) as caught:
        reference_of(result, path)
    codes = [problem.code for problem in caught.value.problems]
    assert codes == ["other-fingerprint", "other-version", "other-ap", "other-exclude"]
    assert "ap is 'market1501'" in str(caught.value)
    assert "the score to show has 'non-interpolated'" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Expecting value"),
        ("[]", "is not a piq-bench/score/1 file"),
        ('{"schema": "other"}', "is not a piq-bench/score/1 file"),
        ('{"schema": "piq-bench/score/1"}', "has no submission"),
        ("[" * 100_000, "nested more than 64 levels"),
        (" " * (17 << 20), "is larger than 16 MiB"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, result: Score, content: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadUsage, match=message):
        reference_of(result, path)


def test_a_missing_file_ends_the_command_before_the_report(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    options = ["--html", str(tmp_path / "out.html"), "--json", str(tmp_path / "out.json"), "--bootstrap", "0"]
    done = CliRunner().invoke(load_command("score"), [str(ENTRY), *options, "--reference", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "No such file" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_reference_without_a_report_is_refused() -> None:
    done = CliRunner().invoke(load_command("score"), [str(ENTRY), "--reference", "other.json"])
    assert done.exit_code == 2
    assert "nothing would show the reference" in done.stderr
    assert "add --html FILE" in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_score_file_that_powershell_wrote_is_read(tmp_path: Path, result: Score, encoding: str) -> None:
    path = tmp_path / "other.json"
    document = score_document(result)
    document["submission"] = {**result.submission, "content": "another", "name": "\u6a21"}
    path.write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
    found = reference_of(result, path)
    assert found is not None and (found.name, found.piq) == ("\u6a21", result.piq)
