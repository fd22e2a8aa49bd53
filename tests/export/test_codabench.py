"""A Codabench bundle as Codabench uses it: unpacked, checked, and run in a separate process by a fake worker."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_builders import KEYS, PERSON, WITHOUT_REID, dataset, plan, submission, unzip, zip_of
from PIL import Image

from piq_bench.errors import BadUsage
from piq_bench.export.codabench import codabench_files, write_codabench
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.scoring.score import score

yaml = pytest.importorskip("yaml")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
ENDS = datetime(2026, 10, 31, 23, 59, 59)
IMAGE = "registry.example.org/lab/piq:1"


@dataclass(frozen=True)
class Run:
    """The outcome of a run: status and scores as the worker reports them, output streams, output folder."""

    status: str
    code: int
    scores: dict[str, float] | None
    stdout: str
    stderr: str
    output: Path


class FakeWorker:
    """Runs a bundle exactly as Codabench does."""

    def __init__(self, bundle: Path, root: Path) -> None:
        self.root = root
        self.files = unzip(bundle, root / "bundle")
        self.competition = yaml.safe_load((self.files / "competition.yaml").read_text(encoding="utf-8"))

    def run(self, phase: int, upload: Path) -> Run:
        """Score the zip that a participant uploaded to a phase."""
        (task_index,) = self.competition["phases"][phase]["tasks"]
        task = next(task for task in self.competition["tasks"] if task["index"] == task_index)
        app = self.root / "app"
        shutil.rmtree(app / "input", ignore_errors=True)
        shutil.rmtree(app / "output", ignore_errors=True)
        shutil.copytree(self.files / task["scoring_program"], app / "program", dirs_exist_ok=True)  # keeps its bytecode
        shutil.copytree(self.files / task["reference_data"], app / "input" / "ref")
        unzip(upload, app / "input" / "res")
        (app / "input" / "res" / "metadata").write_text("exitCode: null\n", encoding="utf-8")  # of its prediction step
        (app / "output").mkdir()
        command = yaml.safe_load((app / "program" / "metadata.yaml").read_text(encoding="utf-8"))["command"]
        words = [word.replace("/app/", f"{app}/") for word in shlex.split(command)]
        assert words[0] == "python3"
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [sys.executable, *words[1:]], cwd=app / "program", env=environment, capture_output=True, text=True
        )
        output = app / "output"
        assert not (output / "metadata").exists()  # Codabench would fail the run
        status, scores = "Failed", None
        if done.returncode == 0 and (output / "scores.json").exists():
            status, scores = "Finished", json.loads((output / "scores.json").read_text(encoding="utf-8"))
        return Run(status, done.returncode, scores, done.stdout, done.stderr, output)

    def row(self, scores: dict[str, float]) -> dict[str, float | None]:
        """A row of the leaderboard: unknown keys are dropped, and columns without a score are None."""
        (board,) = self.competition["leaderboards"]
        return {column["key"]: scores.get(column["key"]) for column in board["columns"]}


@pytest.fixture(scope="module")
def worker(home: Path, first: Path, second: Path) -> FakeWorker:
    write_codabench(home / "bundle.zip", plan(first, second), IMAGE)
    return FakeWorker(home / "bundle.zip", home / "worker")


@pytest.fixture(scope="module")
def entry(home: Path, first: Path) -> Path:
    """A valid submission to the first phase."""
    return submission(home / "mine.npz", first)


@pytest.fixture(scope="module")
def scored(worker: FakeWorker, home: Path, entry: Path) -> Run:
    """The run of the valid submission."""
    run = worker.run(0, zip_of(home / "upload.zip", {"mine.npz": entry}))
    return replace(run, output=Path(shutil.copytree(run.output, home / "output")))


def test_every_column_holds_the_number_of_the_evaluator(
    worker: FakeWorker, first: Path, entry: Path, scored: Run
) -> None:
    run = scored
    assert (run.status, run.code) == ("Finished", 0), run.stderr
    assert run.stderr == ""
    benchmark = read_benchmark(first)
    expected = score(benchmark, read_submission(entry, benchmark), n_resamples=20)
    assert expected.piq is not None and expected.intervals is not None and expected.intervals.piq is not None
    assert run.scores is not None
    assert list(run.scores) == [*KEYS, "piq_low", "piq_high"]
    assert run.scores["piq"] == 100 * expected.piq
    assert run.scores["piq_low"] == 100 * expected.intervals.piq[0]
    row = worker.row(run.scores)
    assert row == run.scores and None not in row.values()
    document = json.loads((run.output / "piq-score.json").read_text(encoding="utf-8"))
    assert document["piq"] == expected.piq and document["disclosure"] == "score"
    assert {path.name for path in run.output.iterdir()} == {"scores.json", "piq-score.json", "detailed_results.html"}


def test_the_second_phase_has_labels_of_its_own(worker: FakeWorker, first: Path, second: Path, tmp_path: Path) -> None:
    entry = submission(tmp_path / "mine.npz", second)
    run = worker.run(1, zip_of(tmp_path / "upload.zip", {"run/mine.npz": entry}))
    assert run.status == "Finished"
    assert "pack the file itself, not its folder" in run.stderr
    other = worker.run(0, zip_of(tmp_path / "upload.zip", {"mine.npz": entry}))
    assert (other.status, other.code) == ("Failed", 3)
    assert "wrong-benchmark" in other.stderr


def test_a_bad_submission_gets_all_its_problems_and_no_score(worker: FakeWorker, first: Path, tmp_path: Path) -> None:
    embedding = np.full((30, 8), np.nan, np.float32)
    entry = submission(tmp_path / "mine.npz", first, embedding=embedding, gender=None)
    run = worker.run(0, zip_of(tmp_path / "upload.zip", {"mine.npz": entry}))
    assert (run.status, run.code) == ("Failed", 3)
    assert "[not-finite]" in run.stderr and "[missing-array]" in run.stderr
    assert run.stderr.startswith("mine.npz: refused, 2 problems")
    assert "Traceback" not in run.stderr and run.stdout == ""
    assert not list(run.output.iterdir())


def test_a_missing_file_gets_a_message_and_no_score(worker: FakeWorker, tmp_path: Path) -> None:
    run = worker.run(0, zip_of(tmp_path / "upload.zip", {"readme.txt": b"hello"}))
    assert (run.status, run.code) == ("Failed", 3)
    assert "there is no .npz" in run.stderr and "Traceback" not in run.stderr


def test_broken_labels_are_not_revealed(worker: FakeWorker, first: Path, tmp_path: Path) -> None:
    table = worker.files / "reference_data" / "phase1" / "annotations.csv"
    content = table.read_text(encoding="utf-8")
    entry = zip_of(tmp_path / "upload.zip", {"mine.npz": submission(tmp_path / "mine.npz", first)})
    table.write_text(content.replace(",female,", ",woman,"), encoding="utf-8")
    try:
        run = worker.run(0, entry)
    finally:
        table.write_text(content, encoding="utf-8")
    assert (run.status, run.code) == ("Failed", 4)
    assert "ask the organiser" in run.stderr
    assert "woman" not in run.stderr and PERSON not in run.stderr and ".jpg" not in run.stderr


def test_bugs_reveal_no_labels(worker: FakeWorker, first: Path, tmp_path: Path) -> None:
    """The evaluator fails on a label, which the text of the exception would quote."""
    home = worker.files / "scoring_program" / "piq_bench" / "scoring" / "score.py"
    source = home.read_text(encoding="utf-8")
    entry = zip_of(tmp_path / "upload.zip", {"mine.npz": submission(tmp_path / "mine.npz", first)})
    assert "clusters = clusters_of(benchmark)" in source
    broken = source.replace("clusters = clusters_of(benchmark)", "raise KeyError(benchmark.identities[0])", 1)
    home.write_text(broken, encoding="utf-8")
    try:
        run = worker.run(0, entry)
    finally:
        home.write_text(source, encoding="utf-8")
    assert (run.status, run.code) == ("Failed", 1)
    assert "KeyError" in run.stderr and PERSON not in run.stderr and "Traceback" not in run.stderr


def test_tasks_that_differ_from_the_leaderboard_are_an_error(worker: FakeWorker, first: Path, tmp_path: Path) -> None:
    home = worker.files / "reference_data" / "phase1" / "benchmark.toml"
    content = home.read_text(encoding="utf-8")
    entry = zip_of(tmp_path / "upload.zip", {"mine.npz": submission(tmp_path / "mine.npz", first)})
    home.write_text(WITHOUT_REID.format(name="tiny"), encoding="utf-8")
    try:
        run = worker.run(0, entry)
    finally:
        home.write_text(content, encoding="utf-8")
    assert (run.status, run.code) == ("Failed", 1)
    assert "export again" in run.stderr


def public_text(run: Run) -> str:
    """All that leaves the host."""
    return run.stdout + run.stderr + "".join(path.read_text(encoding="utf-8") for path in run.output.iterdir())


def test_nothing_that_leaves_the_host_names_people(scored: Run, first: Path, entry: Path, tmp_path: Path) -> None:
    write_codabench(tmp_path / "bundle.zip", plan(first, disclosure="public"), IMAGE)
    worker = FakeWorker(tmp_path / "bundle.zip", tmp_path / "worker")
    public = worker.run(0, zip_of(tmp_path / "upload.zip", {"mine.npz": entry}))
    assert public.status == scored.status == "Finished"
    for run in (public, scored):
        assert PERSON not in public_text(run) and "p0/0.jpg" not in public_text(run)
    document = json.loads((scored.output / "piq-score.json").read_text(encoding="utf-8"))
    assert document["disclosure"] == "score"
    assert not {"labels", "confusion", "baselines", "notes"} & set(document)


def test_the_page_needs_no_script_and_loads_nothing(scored: Run) -> None:
    page = (scored.output / "detailed_results.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for word in ("<script", "http://", "https://", " src=", "onload"):
        assert word not in page


def when_codabench_reads(value: object) -> datetime:
    """A time of competition.yaml as Codabench understands it: of what YAML reads as a date, it keeps only the day."""
    if isinstance(value, date):  # a datetime too
        return datetime(value.year, value.month, value.day)
    assert isinstance(value, str)
    return datetime.fromisoformat(value)


def test_the_hour_of_a_phase_reaches_codabench(first: Path) -> None:
    noon = datetime(2026, 9, 1, 12, 30)
    made = plan(first)
    (phase,) = made.phases
    made = replace(made, phases=(replace(phase, start=noon),))
    content = yaml.safe_load(codabench_files(made, IMAGE)["competition.yaml"])
    assert when_codabench_reads(content["phases"][0]["start"]) == noon


def test_the_bundle_holds_what_codabench_asks_for(worker: FakeWorker) -> None:
    competition: dict[str, Any] = worker.competition
    assert competition["version"] == 2 and competition["docker_image"] == IMAGE
    for name in (competition["image"], competition["terms"], *(page["file"] for page in competition["pages"])):
        assert (worker.files / name).stat().st_size > 100
    with Image.open(worker.files / competition["image"]) as logo:
        assert logo.size == (256, 256)
    one, two = competition["phases"]
    times = [when_codabench_reads(phase[name]) for phase in (one, two) for name in ("start", "end")]
    assert times == [datetime(2026, 9, 1), datetime(2026, 9, 30, 23, 59, 59), datetime(2026, 10, 1), ENDS]
    assert times[1] < times[2]  # Codabench refuses two phases of which one ends when the other starts
    for task in competition["tasks"]:
        assert (worker.files / task["scoring_program"]).is_dir() and (worker.files / task["reference_data"]).is_dir()
    assert all((worker.files / phase["starting_kit"]).is_dir() for phase in (one, two))
    assert [task["index"] for task in competition["tasks"]] == [0, 1]
    (board,) = competition["leaderboards"]
    assert board["submission_rule"] == "Force_Best"
    keys = [column["key"] for column in board["columns"]]
    assert keys == [*KEYS, "piq_low", "piq_high"] and [column["index"] for column in board["columns"]] == [*range(7)]
    assert all(column["sorting"] == "desc" and len(column["key"]) <= 36 for column in board["columns"])
    assert len(set(keys)) == len(keys) and all(0 < len(column["title"]) <= 36 for column in board["columns"])
    assert [column["key"] for column in board["columns"] if column["hidden"]] == ["piq_low", "piq_high"]
    assert len(board["title"]) <= 64
    dockerfile = (worker.files / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert "FROM python:3." in dockerfile
    assert "numpy==" in (worker.files / "image" / "requirements.txt").read_text(encoding="utf-8")


def test_the_starting_kit_holds_no_labels_and_a_valid_example(worker: FakeWorker, tmp_path: Path) -> None:
    kit = worker.files / worker.competition["phases"][1]["starting_kit"]
    assert {path.name for path in kit.iterdir()} == {"annotations.csv", "benchmark.toml", "submission.npz"}
    text = (kit / "annotations.csv").read_text(encoding="utf-8")
    assert text.startswith("image,split\np0/0.jpg,query\n") and PERSON not in text and "female" not in text
    run = worker.run(1, zip_of(tmp_path / "upload.zip", {"submission.npz": kit / "submission.npz"}))
    assert run.status == "Finished"
    assert read_submission(kit / "submission.npz", read_benchmark(kit, need_labels=False)).embedding is not None


def test_without_intervals_there_are_no_columns_for_them(first: Path) -> None:
    content = yaml.safe_load(codabench_files(plan(first, n_resamples=0), IMAGE)["competition.yaml"])
    assert [column["key"] for column in content["leaderboards"][0]["columns"]] == list(KEYS)


def test_the_same_input_gives_the_same_bytes_without_compiled_files(home: Path, first: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_codabench(home / name, plan(first), IMAGE)
    assert (home / "a.zip").read_bytes() == (home / "b.zip").read_bytes()
    with zipfile.ZipFile(home / "a.zip") as archive:
        names = archive.namelist()
    assert "scoring_program/piq_bench/scoring/score.py" in names and "scoring_program/piq_bench/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_names_in_a_data_set_cannot_inject_markup(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](javascript:b) | `c` *d*"
    folder = dataset(tmp_path / "first", name=hostile)
    files = codabench_files(plan(folder, title=hostile), IMAGE)
    assert yaml.safe_load(files["competition.yaml"])["title"] == hostile
    from markdown_it import MarkdownIt

    for name, content in files.items():
        if name.startswith("pages/"):  # Codabench renders HTML in Markdown
            page = MarkdownIt("commonmark", {"html": True}).enable("table").render(content.decode())
            assert "<img" not in page and 'javascript:b"' not in page


@pytest.mark.parametrize("image", ["", "Lab/Piq", "a b", "a\nb", "lab/piq:", "-a", "a" * 300])
def test_an_impossible_image_is_refused(image: str, first: Path, tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="bad-image"):
        write_codabench(tmp_path / "a.zip", plan(first), image)
    assert not list(tmp_path.iterdir())
