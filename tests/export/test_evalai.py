"""An EvalAI bundle as EvalAI uses it: its configuration, and its package inside a hosted worker.

A fake worker calls the package in its own process, as EvalAI's worker does.
"""

import importlib
import json
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_builders import KEYS, PERSON, dataset, plan, submission, unzip, zip_of
from PIL import Image

from piq_bench.errors import BadUsage
from piq_bench.export import evalai_program
from piq_bench.export.evalai import challenge_files, write_evalai
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.scoring.score import score

yaml = pytest.importorskip("yaml")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
PAGES = ("description", "evaluation_details", "terms_and_conditions", "submission_guidelines")
METADATA = {"id": 1, "participant_team_name": "a team", "method_name": "<b>"}


class HostedWorker:
    """Unpacks challenge.zip, imports its package by name and calls it inside this process, as EvalAI does."""

    n_workers = 0

    def __init__(self, bundle: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        HostedWorker.n_workers += 1
        self.files = unzip(bundle / "challenge.zip", root / "challenge")
        (config,) = [path for path in self.files.rglob("*") if path.suffix in (".yaml", ".yml")]
        self.config: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))
        challenge = f"challenge_{HostedWorker.n_workers}"
        package = root / "compute" / "challenge_data" / challenge
        unzip(self.files / self.config["evaluation_script"], package)
        for parent in (package.parent, package.parent.parent):
            (parent / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(root / "compute"))
        monkeypatch.delitem(sys.modules, "challenge_data", raising=False)
        self.module: types.ModuleType = importlib.import_module(f"challenge_data.{challenge}")

    def run(self, phase: int, upload: Path) -> dict[str, Any]:
        """The result, after the checks of EvalAI's worker and a round trip through JSON."""
        config = self.config["challenge_phases"][phase]
        annotation = self.files / config["test_annotation_file"]
        found = self.module.evaluate(str(annotation), str(upload), config["codename"], submission_metadata=METADATA)
        known = {split["codename"] for split in self.config["dataset_splits"]}
        labels = self.config["leaderboard"][0]["schema"]["labels"]
        for entry in found.get("result", []):
            (split,) = entry
            assert split in known and list(entry[split]) == labels
            assert all(type(value) is float and np.isfinite(value) for value in entry[split].values())
        # It writes both files of a result only now, outside of its handler of exceptions: the second must be text.
        if found:
            json.dumps(found["submission_result"], allow_nan=False)
            assert type(found["submission_metadata"]) is str
        for entry in found.get("error", []):
            (split,) = entry
            assert list(entry[split]) == [f"error_{label}" for label in labels]
        through_json: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
        return through_json


@pytest.fixture(scope="module")
def hosted(home: Path, first: Path, second: Path) -> Iterator[HostedWorker]:
    """A worker with the labels, as on an organiser's own server whose workers have piq-bench."""
    write_evalai(home / "labels", plan(first, second), upload_labels=True)
    guide = (home / "labels" / "README.md").read_text(encoding="utf-8")
    assert "The workers of your server score" in guide and "evalai_worker" not in guide
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield HostedWorker(home / "labels", home / "hosted", monkeypatch)


def test_a_hosted_worker_gives_the_numbers_of_the_evaluator(hosted: HostedWorker, first: Path, tmp_path: Path) -> None:
    entry = submission(tmp_path / "mine.npz", first)
    found = hosted.run(0, entry)
    benchmark = read_benchmark(first)
    expected = score(benchmark, read_submission(entry, benchmark), n_resamples=20)
    assert expected.piq is not None and expected.intervals is not None and expected.intervals.piq is not None
    ((split, row),) = found["result"][0].items()
    assert split == "phase1_split" and row["piq"] == 100 * expected.piq and tuple(row) == KEYS
    low, high = expected.intervals.piq
    assert found["error"][0][split]["error_piq"] == pytest.approx(50 * (high - low))
    assert found["submission_result"]["disclosure"] == "score" and PERSON not in json.dumps(found["submission_result"])
    assert "labels" in json.loads(found["submission_metadata"])  # which only the organiser sees


def test_a_hosted_worker_knows_the_second_phase_and_tells_how_to_pack(
    hosted: HostedWorker, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = zip_of(tmp_path / "upload.zip", {"run/mine.npz": submission(tmp_path / "mine.npz", second)})
    assert list(hosted.run(1, entry)["result"][0]) == ["phase2_split"]
    told = capsys.readouterr().out  # which EvalAI shows to the participant
    assert told.startswith("note: ") and "pack the file itself, not its folder" in told
    with pytest.raises(Exception, match="wrong-benchmark"):
        hosted.run(0, entry)


def test_a_bad_submission_raises_one_exception_with_all_problems(
    hosted: HostedWorker, first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    embedding = np.full((30, 8), np.nan, np.float32)
    entry = submission(tmp_path / "mine.npz", first, embedding=embedding, gender=None)
    with pytest.raises(Exception, match="refused, 2 problems") as refused:
        hosted.run(0, entry)
    text = str(refused.value)
    assert "[not-finite]" in text and "[missing-array]" in text and PERSON not in text
    assert refused.value.__cause__ is None and refused.value.__suppress_context__
    with pytest.raises(Exception, match="no such file"):
        hosted.run(0, tmp_path / "nothing.npz")
    assert capfd.readouterr() == ("", "")


def test_an_unknown_phase_and_broken_annotations_raise_an_exception(hosted: HostedWorker, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not in this challenge, which has phase1, phase2"):
        hosted.module.evaluate("a", "b", "phase3")
    (tmp_path / "a.zip").write_bytes(b"hello")
    with pytest.raises(Exception, match="cannot be read"):
        hosted.module.evaluate(str(tmp_path / "a.zip"), "b", "phase1")
    zip_of(tmp_path / "a.zip", {"../annotations.csv": b"x"})
    with pytest.raises(Exception, match="not a zip of a data set's files"):
        hosted.module.evaluate(str(tmp_path / "a.zip"), "b", "phase1")


@pytest.mark.parametrize("leaving", [SystemExit(3), MemoryError()])
def test_the_evaluator_never_ends_the_worker(
    leaving: BaseException, hosted: HostedWorker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object) -> None:
        raise leaving

    monkeypatch.setattr(evalai_program, "score_upload", leave)
    with pytest.raises(evalai_program.EvaluationError):
        hosted.run(0, submission(tmp_path / "mine.npz", first))


def test_a_hosted_worker_without_labels_returns_no_result(
    bundle: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = HostedWorker(bundle, tmp_path / "worker", monkeypatch)
    assert worker.config["remote_evaluation"] is True
    assert "evalai_worker" in (bundle / "README.md").read_text(encoding="utf-8")
    assert worker.run(0, submission(tmp_path / "mine.npz", first)) == {}
    assert "on another machine" in capsys.readouterr().out
    for path in worker.files.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        assert PERSON.encode() not in content


def test_a_hosted_worker_without_the_evaluator_says_so(
    hosted: HostedWorker,
    first: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "piq_bench.export.evalai_program", None)  # importing it fails
    assert hosted.run(0, submission(tmp_path / "mine.npz", first)) == {}
    assert "no piq-bench" in capsys.readouterr().out


def test_the_hosted_package_is_readable_for_old_versions_of_python(hosted: HostedWorker) -> None:
    import ast

    for path in Path(str(hosted.module.__file__)).parent.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_configuration_holds_what_evalai_asks_for(hosted: HostedWorker) -> None:
    config = hosted.config
    assert config["remote_evaluation"] is False  # EvalAI starts no workers for a challenge of remote evaluation
    assert config["start_date"] < config["end_date"] and config["evaluation_script"].endswith(".zip")
    assert config["title"] and not config["is_docker_based"]
    for page in PAGES:
        text = (hosted.files / config[page]).read_text(encoding="utf-8")
        assert config[page].endswith(".html") and "<h1>" in text and "{{" not in text
    named = {config[page] for page in PAGES} | {phase["description"] for phase in config["challenge_phases"]}
    assert {f"templates/{path.name}" for path in (hosted.files / "templates").iterdir()} == named
    with Image.open(hosted.files / config["image"]) as logo:
        assert logo.format == "PNG"
    (board,) = config["leaderboard"]
    schema = board["schema"]
    assert tuple(schema["labels"]) == KEYS and schema["default_order_by"] == "piq"
    assert {key: entry["sort_ascending"] for key, entry in schema["metadata"].items()} == dict.fromkeys(KEYS, False)
    phases, splits = config["challenge_phases"], config["dataset_splits"]
    assert [phase["codename"] for phase in phases] == ["phase1", "phase2"]
    for phase in phases:
        assert phase["start_date"] < phase["end_date"]
        assert not (phase["is_submission_public"] and phase["is_restricted_to_select_one_submission"])
    assert all(split["name"] for split in splits)
    assert all(
        {"is_leaderboard_order_descending", "leaderboard_decimal_precision", "visibility"} <= set(split)
        for split in config["challenge_phase_splits"]
    )
    assert len({split["codename"] for split in splits}) == 2
    for phase in phases:
        assert (hosted.files / phase["description"]).is_file() and (
            hosted.files / phase["test_annotation_file"]
        ).is_file()
    links = [
        (s["leaderboard_id"], s["challenge_phase_id"], s["dataset_split_id"]) for s in config["challenge_phase_splits"]
    ]
    assert links == [(1, 1, 1), (1, 2, 2)]
    assert all(split["visibility"] == 3 for split in config["challenge_phase_splits"])


def test_names_in_a_data_set_cannot_inject_markup(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](javascript:b) | `c` *d*"
    files = challenge_files(plan(dataset(tmp_path / "a", name=hostile), title=hostile), upload_labels=False)
    pages = [content.decode() for name, content in files.items() if name.endswith(".html")]
    assert len(pages) == 5
    for page in pages:
        assert "<img" not in page and 'href="javascript' not in page
    assert any("&lt;img src=x onerror=alert(1)&gt;" in page for page in pages)


def test_a_folder_is_replaced_only_if_we_wrote_it(home: Path, first: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_evalai(out, plan(first))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BadUsage, match="already exists"):
        write_evalai(out, plan(first))
    (out / "README.md").write_text("changed", encoding="utf-8")
    write_evalai(out, plan(first), force=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BadUsage, match="already exists"):
        write_evalai(tmp_path / "mine", plan(first), force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "mine"}
