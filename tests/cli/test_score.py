"""`piq-score` as a user runs it: output, score file and exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from folders import write_market
from threadpoolctl import threadpool_limits

from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.submission import write_submission

BENCHMARK = """\
schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad"]
multi_label = true
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("score"), [str(a) for a in arguments])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six people of the test set, five gallery images each."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    lines = ["image,split,identity,gender,mood,sequence"]
    for person in range(6):
        for shot in range(6):
            split = "query" if shot == 0 else "gallery"
            gender, mood = ("female", "male")[person % 2], ("happy", "sad", "happy|sad", "-", "")[shot % 5]
            lines.append(f"p{person}/{shot}.jpg,{split},p{person},{gender},{mood},s{shot // 2}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def submission(tmp_path: Path, dataset: Path) -> Path:
    return write(tmp_path / "entry.npz", dataset)


def write(path: Path, dataset: Path, *, order: np.ndarray | None = None, layout: str = "C") -> Path:
    benchmark = read_benchmark(dataset)
    rng = np.random.default_rng(0)
    n = benchmark.test_rows.size
    order = np.arange(n) if order is None else order
    embedding = rng.standard_normal((n, 8)).astype(np.float32)[order]
    write_submission(
        path,
        images=benchmark.images[benchmark.test_rows][order],
        embedding=np.asfortranarray(embedding) if layout == "F" else embedding,
        predictions={"gender": rng.integers(0, 2, n)[order], "mood": rng.random((n, 2))[order].astype(np.float32)},
        meta={"name": "entry", "benchmark": "tiny"},
    )
    return path


def above_software(text: str) -> str:
    head, found, _ = text.partition('"software"')
    assert found
    return head


def test_the_table_fits_80_columns_and_says_what_was_left_out(dataset: Path, submission: Path) -> None:
    result = run(submission, "--dataset", dataset)
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    for text in ("PIQ", "macro mAP", "macro Rank-1", "gender F1", "mood F1", "left out", "chance", "digest"):
        assert text in result.stdout
    assert "without exclusion" in result.stdout
    full = run(submission, "--dataset", dataset, "--full")
    assert len(full.stdout.splitlines()) > 24 >= len(result.stdout.splitlines())
    assert " precision " in full.stdout and " precision " not in result.stdout


def test_the_score_file_holds_the_contract(dataset: Path, submission: Path, tmp_path: Path) -> None:
    out = tmp_path / "score.json"
    result = run(submission, "--dataset", dataset, "--json", out, "--format", "json")
    assert result.stdout == out.read_text(encoding="utf-8")
    document = json.loads(result.stdout)
    assert list(document) == [
        "schema", "piq", "aspects", "reid", "f1", "labels", "confusion", "baselines", "intervals", "notes",
        "submission", "benchmark", "protocol", "software", "engine", "file", "further_metrics",
    ]  # fmt: skip
    assert document["schema"] == "piq-bench/score/1"
    assert list(document["aspects"]) == ["reid", "appearance", "emotion"]
    reid = {f"{m}{n}" for m in ("macro_", "") for n in ("map", "rank1", "rank5", "rank10", "minp")}
    assert reid | {"queries", "queries_skipped", "identities", "ap"} <= set(document["reid"])
    assert {"precision", "recall", "f1", "support"} <= set(document["labels"]["mood"]["happy"])
    assert {"method", "level", "resamples", "seed", "piq", "aspects", "reid", "f1"} == set(document["intervals"])
    assert {"name", "content", "images", "dimension", "distance"} == set(document["submission"])
    assert {"name", "version", "fingerprint"} == set(document["benchmark"])
    assert {"version", "ap", "grouping", "unlabelled", "digest"} <= set(document["protocol"])
    assert {"sha256", "bytes"} == set(document["file"])
    further = document["further_metrics"]
    assert set(further["reid"]) == {"macro_rank20", "rank20", "without_exclusion", "cmc"}
    assert {"accuracy", "balanced_accuracy", "left_out", "average_precision"} <= set(further["tasks"]["gender"])
    assert {"ma", "accuracy", "precision", "recall", "f1", "left_out"} <= set(further["tasks"]["mood"])
    low, high = document["intervals"]["piq"]
    assert low <= document["piq"] <= high


@pytest.mark.parametrize("layout", ["C", "F"])
def test_row_order_and_memory_order_change_nothing_above_software(
    dataset: Path, submission: Path, tmp_path: Path, layout: str
) -> None:
    plain = run(submission, "--dataset", dataset, "--format", "json").stdout
    n = 36
    other = write(tmp_path / "other.npz", dataset, order=np.random.default_rng(5).permutation(n), layout=layout)
    assert above_software(run(other, "--dataset", dataset, "--format", "json").stdout) == above_software(plain)
    rows = (dataset / "annotations.csv").read_text(encoding="utf-8").splitlines()
    shuffled = tmp_path / "shuffled"
    shutil.copytree(dataset, shuffled)
    body = [rows[i + 1] for i in np.random.default_rng(6).permutation(n)]
    (shuffled / "annotations.csv").write_text("\n".join([rows[0], *body]) + "\n", encoding="utf-8")
    assert above_software(run(submission, "--dataset", shuffled, "--format", "json").stdout) == above_software(plain)


@pytest.mark.parametrize("form", ["folder", "parquet"])
def test_folder_and_parquet_give_the_same_score(dataset: Path, submission: Path, tmp_path: Path, form: str) -> None:
    plain = run(submission, "--dataset", dataset, "--format", "json").stdout
    other = write(tmp_path / ("other" if form == "folder" else "other.parquet"), dataset)
    assert above_software(run(other, "--dataset", dataset, "--format", "json").stdout) == above_software(plain)


def test_the_number_of_threads_does_not_matter(dataset: Path, submission: Path) -> None:
    def output(threads: int) -> str:
        with threadpool_limits(threads):
            done = run(submission, "--dataset", dataset, "--format", "json")
        assert done.exit_code == 0, done.output
        return above_software(done.stdout)

    assert output(1) == output(2)


@pytest.mark.parametrize("layout", ["table", "markdown", "latex"])
def test_every_format_shows_the_same_piq(dataset: Path, submission: Path, layout: str) -> None:
    document = json.loads(run(submission, "--dataset", dataset, "--format", "json").stdout)
    assert f"{100 * document['piq']:.2f}" in run(submission, "--dataset", dataset, "--format", layout).stdout


def test_a_page_that_fails_loses_no_score(
    dataset: Path, submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("the neighbour search fails")

    monkeypatch.setattr("piq_bench.scoring.drilldown.drill_down", failing)
    files = ("--json", tmp_path / "score.json", "--html", tmp_path / "score.html")
    result = run(submission, "--dataset", dataset, "--bootstrap", 0, *files)
    assert isinstance(result.exception, RuntimeError)
    assert "PIQ" in result.stdout
    assert json.loads((tmp_path / "score.json").read_text(encoding="utf-8"))["piq"]
    assert not (tmp_path / "score.html").exists()


def test_a_gate_that_is_not_met_exits_with_5_and_still_prints(dataset: Path, submission: Path) -> None:
    missed = run(submission, "--dataset", dataset, "--min-piq", "0.999")
    assert missed.exit_code == 5
    assert "PIQ" in missed.stdout and "--min-piq" in missed.stderr
    assert run(submission, "--dataset", dataset, "--min-piq", "0.001").exit_code == 0


def test_partial_is_scored_only_when_asked_for(dataset: Path, tmp_path: Path) -> None:
    benchmark = read_benchmark(dataset)
    path, n = tmp_path / "reid.npz", benchmark.test_rows.size
    embedding = np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)
    write_submission(path, images=benchmark.images[benchmark.test_rows], embedding=embedding, predictions={}, meta={})
    out = tmp_path / "score.json"
    refused = run(path, "--dataset", dataset, "--json", out)
    assert refused.exit_code == 3
    assert "gender" in refused.stderr and "mood" in refused.stderr
    assert not out.exists()
    scored = run(path, "--dataset", dataset, "--partial", "--format", "json")
    assert scored.exit_code == 0
    document = json.loads(scored.stdout)
    assert document["piq"] is None
    assert document["reid"]["macro_map"] > 0
    assert run(path, "--dataset", dataset, "--partial", "--min-piq", "0.1").exit_code == 5


def test_the_result_names_the_convention_of_ap(dataset: Path, submission: Path) -> None:
    plain = json.loads(run(submission, "--dataset", dataset, "--format", "json").stdout)
    market = json.loads(run(submission, "--dataset", dataset, "--format", "json", "--ap", "market1501").stdout)
    assert (plain["reid"]["ap"], market["reid"]["ap"]) == ("non-interpolated", "market1501")
    assert market["reid"]["map"] != plain["reid"]["map"]
    assert market["reid"]["rank1"] == plain["reid"]["rank1"]


def test_sequences_are_excluded_on_request(dataset: Path, submission: Path, tmp_path: Path) -> None:
    document = json.loads(run(submission, "--dataset", dataset, "--exclude", "sequence", "--format", "json").stdout)
    assert document["protocol"]["exclude"] == ["sequence"]
    without = tmp_path / "without"
    shutil.copytree(dataset, without)
    text = (dataset / "annotations.csv").read_text(encoding="utf-8")
    (without / "annotations.csv").write_text(
        "\n".join(line.rpartition(",")[0] for line in text.splitlines()) + "\n", encoding="utf-8"
    )
    refused = run(submission, "--dataset", without, "--exclude", "sequence")
    assert refused.exit_code == 2
    assert "no column 'sequence'" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--dataset", "nowhere"], 4),
        (["--format", "yaml"], 2),
        (["--bootstrap", "-1"], 2),
        (["--min-piq", "2"], 2),
        (["--engine", "abacus"], 2),
    ],
)
def test_bad_options_have_their_exit_code(submission: Path, arguments: list[str], code: int) -> None:
    result = run(submission, *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_an_unwritable_score_file_is_refused_before_scoring(dataset: Path, submission: Path, tmp_path: Path) -> None:
    result = run(submission, "--dataset", dataset, "--json", tmp_path / "nowhere" / "score.json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "nowhere" in result.stderr
    assert result.stdout == ""


def test_what_reading_passed_over_is_told_and_leaves_the_score_file_as_it_is(tmp_path: Path) -> None:
    names = {"query": ["0001_c1s1_0.jpg"], "bounding_box_test": ["0001_c2s1_0.jpg", "0002_c2s1_0.jpg"]}
    folder, entry = write_market(tmp_path / "market", names), tmp_path / "entry.npz"
    benchmark = read_benchmark(folder)
    write_submission(entry, images=benchmark.images, embedding=np.eye(3, dtype=np.float32))
    quiet = run(entry, "--dataset", folder, "--format", "json")
    for litter in (".DS_Store", "Thumbs.db", "readme.txt"):
        (folder / "query" / litter).touch()
    told = run(entry, "--dataset", folder, "--format", "json")
    assert (quiet.exit_code, told.exit_code) == (0, 0), told.output
    assert told.stdout == quiet.stdout
    lines = told.stderr.splitlines()
    assert lines[0].startswith("data set: recognised as ")
    assert "note: query: ignored: 'readme.txt'" in lines[1:]
    assert "note: market: 2 entries that file managers left behind are passed over" in lines[1:]
    hidden = run(entry, "--dataset", folder, "--format", "json", "--disclosure", "score")
    assert "note: " not in hidden.stderr


def test_many_notes_on_the_data_set_are_counted(dataset: Path, submission: Path) -> None:
    head, *lines = (dataset / "annotations.csv").read_text(encoding="utf-8").splitlines()
    further = ",".join(f"remark{number}" for number in range(8))
    text = "\n".join([f"{head},{further}", *(line + ",x" * 8 for line in lines)]) + "\n"
    (dataset / "annotations.csv").write_text(text, encoding="utf-8")
    done = run(submission, "--dataset", dataset)
    assert done.exit_code == 0, done.output
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert notes == [
        *(f"note: annotations.csv: column 'remark{number}' is ignored" for number in range(5)),
        "note: 3 more notes on the data set: piq-stats prints all of them",
    ]


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from piq_bench.cli import piq_score; sys.argv = ['x', '--help']\n"
    code += "try: piq_score()\nfinally: print({'numpy', 'pandas', 'scipy', 'rich', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_columns_are_chosen_in_latex_and_markdown_alone(dataset: Path, submission: Path) -> None:
    refused = run(submission, "--dataset", dataset, "--columns", "plain")
    assert refused.exit_code == 2
    assert "--format latex" in refused.stderr
    shown = run(submission, "--dataset", dataset, "--columns", "both", "--format", "latex", "--bootstrap", "0").stdout
    assert "& mAP & R1 & R5 & R10 & mINP & macro mAP & macro R1 &" in shown
