"""An EvalAI bundle as EvalAI uses it: imported as a package by a hosted worker, and served from a false queue.

Both workers are false: the first does what EvalAI's worker does inside its own process, the second is a server that
holds what EvalAI's interface promises and refuses what it refuses.
"""

import importlib
import json
import os
import subprocess
import sys
import threading
import types
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_builders import KEYS, PERSON, dataset, plan, submission, unzip, zip_of
from PIL import Image

from piq_bench.errors import BadUsage
from piq_bench.export import evalai_program, evalai_worker
from piq_bench.export.evalai import challenge_files, write_evalai
from piq_bench.export.evalai_worker import challenge_of, serve
from piq_bench.export.host import Settings, read_settings
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.scoring.score import score

yaml = pytest.importorskip("yaml")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
PAGES = ("description", "evaluation_details", "terms_and_conditions", "submission_guidelines")
METADATA = {"id": 1, "participant_team_name": "a team", "method_name": "<b>"}
TOKEN = "a-token-that-nobody-may-see"  # noqa: S105


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evalai")


@pytest.fixture(scope="module")
def first(home: Path) -> Path:
    return dataset(home / "first")


@pytest.fixture(scope="module")
def second(home: Path) -> Path:
    return dataset(home / "second", name="harder", n_people=8)


@pytest.fixture(scope="module")
def bundle(home: Path, first: Path, second: Path) -> Path:
    write_evalai(home / "bundle", plan(first, second))
    return home / "bundle"


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
        """The answer, after the checks of EvalAI's worker and a round trip through JSON."""
        config = self.config["challenge_phases"][phase]
        annotation = self.files / config["test_annotation_file"]
        found = self.module.evaluate(str(annotation), str(upload), config["codename"], submission_metadata=METADATA)
        known = {split["codename"] for split in self.config["dataset_splits"]}
        labels = self.config["leaderboard"][0]["schema"]["labels"]
        for entry in found.get("result", []):
            (split,) = entry
            assert split in known and list(entry[split]) == labels
            assert all(type(value) is float and np.isfinite(value) for value in entry[split].values())
        for entry in found.get("error", []):
            (split,) = entry
            assert list(entry[split]) == [f"error_{label}" for label in labels]
        through_json: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
        return through_json


@pytest.fixture(scope="module")
def hosted(home: Path, first: Path, second: Path) -> Iterator[HostedWorker]:
    """With labels uploaded, to a server of one's own whose workers have piq-bench."""
    write_evalai(home / "labels", plan(first, second), upload_labels=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield HostedWorker(home / "labels", home / "hosted", monkeypatch)


def test_a_hosted_worker_gets_the_digits_of_the_evaluator(hosted: HostedWorker, first: Path, tmp_path: Path) -> None:
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
    assert "labels" in found["submission_metadata"]  # which the organiser alone sees


def test_a_hosted_worker_knows_the_second_phase(hosted: HostedWorker, second: Path, tmp_path: Path) -> None:
    entry = zip_of(tmp_path / "upload.zip", {"run/mine.npz": submission(tmp_path / "mine.npz", second)})
    assert list(hosted.run(1, entry)["result"][0]) == ["phase2_split"]
    with pytest.raises(Exception, match="wrong-benchmark"):
        hosted.run(0, entry)


def test_a_bad_submission_is_one_exception_with_all_problems(
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


def test_an_unknown_phase_or_broken_annotations_are_an_exception(hosted: HostedWorker, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="none of this challenge: phase1, phase2"):
        hosted.module.evaluate("a", "b", "phase3")
    (tmp_path / "a.zip").write_bytes(b"hello")
    with pytest.raises(Exception, match="cannot be read"):
        hosted.module.evaluate(str(tmp_path / "a.zip"), "b", "phase1")
    zip_of(tmp_path / "a.zip", {"../annotations.csv": b"x"})
    with pytest.raises(Exception, match="no zip of a data set's files"):
        hosted.module.evaluate(str(tmp_path / "a.zip"), "b", "phase1")


@pytest.mark.parametrize("leaving", [SystemExit(3), MemoryError()])
def test_a_worker_is_never_ended(
    leaving: BaseException, hosted: HostedWorker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: object) -> None:
        raise leaving

    monkeypatch.setattr(evalai_program, "score_upload", leave)
    with pytest.raises(evalai_program.EvaluationError):
        hosted.run(0, submission(tmp_path / "mine.npz", first))


def test_without_labels_a_hosted_worker_passes_submissions_on(
    bundle: Path, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = HostedWorker(bundle, tmp_path / "worker", monkeypatch)
    assert worker.run(0, submission(tmp_path / "mine.npz", first)) == {}
    assert "elsewhere" in capsys.readouterr().out
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
    assert config["remote_evaluation"] is True
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


def test_texts_of_a_data_set_are_text_in_the_pages(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)> [a](javascript:b) | `c` *d*"
    files = challenge_files(plan(dataset(tmp_path / "a", name=hostile), title=hostile), upload_labels=False)
    pages = [content.decode() for name, content in files.items() if name.endswith(".html")]
    assert len(pages) == 5
    for page in pages:
        assert "<img" not in page and 'href="javascript' not in page
    assert any("&lt;img src=x onerror=alert(1)&gt;" in page for page in pages)


@dataclass
class Submitted:
    """A submission on the false server, as its database holds it."""

    phase: int
    name: str
    content: bytes
    status: str = "submitted"
    outcome: dict[str, str] = field(default_factory=dict)
    row: dict[str, float] | None = None


class Server(ThreadingHTTPServer):
    """What EvalAI's interface promises to remote evaluation, with a queue that shows a message until it is deleted."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.config = config
        self.submissions: dict[int, Submitted] = {}
        self.queue: list[int] = []
        self.is_careless = False  # about names in addresses
        self.n_busy = 0  # requests of a result that are answered with 503
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def submit(self, upload: Path, phase: int = 0) -> Submitted:
        number = len(self.submissions) + 1
        self.submissions[number] = Submitted(phase, upload.name, upload.read_bytes())
        self.queue.append(number)
        return self.submissions[number]

    def put(self, form: dict[str, str]) -> str | None:
        """Takes a result; what is wrong with it otherwise, as EvalAI answers it."""
        entry = self.submissions[int(form["submission"])]
        if set(form) - {"result"} != {
            "challenge_phase",
            "submission",
            "stdout",
            "stderr",
            "submission_status",
            "metadata",
        }:
            return f"fields: {sorted(form)}"
        status = form["submission_status"].lower()
        if status not in ("finished", "failed", "cancelled") or int(form["challenge_phase"]) != entry.phase + 101:
            return "Sorry, submission status is invalid"
        if status == "finished":
            (result,) = json.loads(form["result"])
            if result["split"] != self.config["dataset_splits"][entry.phase]["codename"]:
                return "Challenge Phase Split does not exist"
            labels = self.config["leaderboard"][0]["schema"]["labels"]
            if set(result["accuracies"]) - set(labels):
                return "Following metrics are missing"
            if not all(isinstance(value, float | int) for value in result["accuracies"].values()):
                return "not of float/int"
            entry.row = result["accuracies"]
        entry.status, entry.outcome = status, form
        return None


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["media", place, _name]:
                assert "Authorization" not in self.headers  # files lie elsewhere: no business of theirs
                return self.answer(200, self.server.submissions[int(place)].content)
            case _ if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"error": "Invalid token."})
            case ["api", "jobs", "challenge", "queues", "my-queue"] if self.server.queue:
                number = self.server.queue[0]
                body = {"submission_pk": number, "phase_pk": self.server.submissions[number].phase + 101}
                return self.answer(200, {"body": body | {"challenge_pk": 7}, "receipt_handle": f"receipt {number}"})
            case ["api", "jobs", "challenge", "queues", "my-queue"]:
                return self.answer(200, {"body": None})
            case ["api", "jobs", "submission", place]:
                entry = self.server.submissions[int(place)]
                name = entry.name if self.server.is_careless else urllib.parse.quote(entry.name)
                address = f"{self.server.address}/media/{place}/{name}"
                return self.answer(200, {"status": entry.status, "input_file": address})
            case ["api", "challenges", "challenge", "7", "challenge_phase", place]:
                phase = self.server.config["challenge_phases"][int(place) - 101]
                return self.answer(200, {"codename": phase["codename"]})
        return self.answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        assert self.path == "/api/jobs/queues/my-queue/"
        number = int(self.form()["receipt_handle"].removeprefix("receipt "))
        self.server.queue.remove(number)
        self.answer(200, {"success": "Message deleted successfully from the queue"})

    def do_PATCH(self) -> None:
        form = self.form()
        assert form["submission_status"] == "RUNNING"
        self.server.submissions[int(form["submission"])].status = "running"
        self.answer(200, {})

    def do_PUT(self) -> None:
        assert self.path == "/api/jobs/challenge/7/update_submission/"
        form = self.form()
        if self.server.n_busy:
            self.server.n_busy -= 1
            return self.answer(503, {"error": "busy"})
        wrong = self.server.put(form)
        return self.answer(400 if wrong else 200, {"error": wrong} if wrong else {"success": "updated"})

    def form(self) -> dict[str, str]:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        return dict(urllib.parse.parse_qsl(content, keep_blank_values=True, strict_parsing=True))

    def answer(self, code: int, content: bytes | dict[str, Any]) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def server(hosted: HostedWorker) -> Iterator[Server]:
    made = Server(hosted.config)
    yield made
    made.shutdown()
    made.server_close()


def environment(server: Server) -> dict[str, str]:
    return {"AUTH_TOKEN": TOKEN, "QUEUE_NAME": "my-queue", "CHALLENGE_PK": "7", "API_SERVER": server.address}


class Worker:
    """Ours, served by the false server."""

    def __init__(self, server: Server, bundle: Path) -> None:
        self.said: list[str] = []
        self.challenge = challenge_of(environment(server))
        self.home = bundle / "remote_evaluation"
        self.settings: Settings = read_settings(self.home / "settings.json")
        self.splits = json.loads((self.home / "phases.json").read_text(encoding="utf-8"))

    def serve(self) -> None:
        serve(self.challenge, self.settings, self.splits, self.home / "reference", say=self.said.append)


@pytest.fixture
def worker(server: Server, bundle: Path) -> Worker:
    return Worker(server, bundle)


def test_the_bundle_itself_scores_what_the_queue_holds(
    server: Server, bundle: Path, first: Path, tmp_path: Path
) -> None:
    """In a process of its own, with the evaluator that lies in the bundle."""
    entry = submission(tmp_path / "mine.npz", first)
    uploaded = server.submit(entry)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment(server)
    done = subprocess.run(
        [sys.executable, "-m", "piq_bench.export.evalai_worker", "--once"],
        cwd=bundle / "remote_evaluation",
        env=variables,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "submission 1: finished\n", "")
    benchmark = read_benchmark(first)
    expected = score(benchmark, read_submission(entry, benchmark), n_resamples=20)
    assert uploaded.row is not None and expected.piq is not None
    assert uploaded.row["piq"] == 100 * expected.piq and tuple(uploaded.row) == KEYS
    assert json.loads(uploaded.outcome["metadata"])["piq"] == expected.piq


def test_a_message_leaves_the_queue_once_its_submission_has_ended(
    server: Server, worker: Worker, second: Path, tmp_path: Path
) -> None:
    worker.serve()
    assert worker.said == []  # nothing to do
    uploaded = server.submit(zip_of(tmp_path / "a b.zip", {"mine.npz": submission(tmp_path / "mine.npz", second)}), 1)
    worker.serve()
    assert (uploaded.status, server.queue) == ("finished", [1])
    worker.serve()
    assert server.queue == [] and worker.said == ["submission 1: finished"]


def test_an_npz_that_calls_itself_a_zip_is_scored(server: Server, worker: Worker, first: Path, tmp_path: Path) -> None:
    uploaded = server.submit(submission(tmp_path / "mine.npz", first).rename(tmp_path / "mine.zip"))
    worker.serve()
    assert uploaded.status == "finished"


def test_a_bad_submission_fails_with_all_its_problems(
    server: Server, worker: Worker, first: Path, tmp_path: Path
) -> None:
    embedding = np.full((30, 8), np.nan, np.float32)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first, embedding=embedding, gender=None))
    worker.serve()
    assert uploaded.status == "failed" and uploaded.row is None and "result" not in uploaded.outcome
    text = uploaded.outcome["stderr"]
    assert "[not-finite]" in text and "[missing-array]" in text
    assert PERSON not in json.dumps(uploaded.outcome)


def test_a_running_submission_is_left_alone(server: Server, worker: Worker, first: Path, tmp_path: Path) -> None:
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    uploaded.status = "running"
    worker.serve()
    assert uploaded.status == "running" and "another worker has it" in worker.said[0]


def test_a_result_is_handed_in_again_when_the_server_is_busy(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evalai_worker, "PAUSES", (0.001, 0))
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    server.n_busy = 1
    worker.serve()
    assert uploaded.status == "finished"
    server.submit(submission(tmp_path / "mine.npz", first))
    server.queue.remove(1)
    server.n_busy = 2
    with pytest.raises(OSError, match="503"):
        worker.serve()


def test_a_mistake_of_ours_fails_the_submission_and_not_the_queue(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError(PERSON)

    monkeypatch.setattr(evalai_worker, "evaluate", fail)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    worker.serve()
    assert uploaded.status == "failed" and "KeyError" in uploaded.outcome["stderr"]
    assert PERSON not in json.dumps(uploaded.outcome) and "Traceback" in worker.said[0]


def test_a_file_that_is_too_large_or_lies_elsewhere_is_refused(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evalai_worker, "MAX_UPLOAD_BYTES", 100)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    worker.serve()
    assert "more than 100 bytes" in uploaded.outcome["stderr"]
    with pytest.raises(evalai_program.EvaluationError, match="not https"):
        evalai_worker._fetched(worker.challenge, "file:///etc/passwd", tmp_path)
    server.is_careless = True
    uploaded = server.submit((tmp_path / "mine.npz").rename(tmp_path / "a b.npz"))
    server.queue.remove(1)
    worker.serve()
    assert "its address is wrong" in uploaded.outcome["stderr"]


def test_the_token_is_never_told(server: Server, worker: Worker, bundle: Path) -> None:
    variables = dict(os.environ) | environment(server) | {"AUTH_TOKEN": TOKEN + "?", "QUEUE_NAME": "../other"}
    done = subprocess.run(
        [sys.executable, "-m", "piq_bench.export.evalai_worker", "--once"],
        cwd=bundle / "remote_evaluation",
        env=variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "401" in done.stderr and "Invalid token" in done.stderr
    assert TOKEN not in done.stdout + done.stderr and "Traceback" not in done.stderr


def test_what_is_missing_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadUsage) as refused:
        challenge_of({"AUTH_TOKEN": TOKEN, "API_SERVER": "http://eval.example.org"})
    text = str(refused.value)
    assert all(name in text for name in ("QUEUE_NAME", "CHALLENGE_PK", "bad-address")) and TOKEN not in text


def test_the_worker_runs_in_a_bundle_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        evalai_worker.main, ["--once"], env={"AUTH_TOKEN": "a", "QUEUE_NAME": "b", "CHALLENGE_PK": "c"}
    )
    assert done.exit_code == 2 and "run it in remote_evaluation" in done.stderr


def test_a_folder_is_replaced_only_if_we_wrote_it(home: Path, first: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_evalai(out, plan(first))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BadUsage, match="is there already"):
        write_evalai(out, plan(first))
    (out / "README.md").write_text("changed", encoding="utf-8")
    write_evalai(out, plan(first), force=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(BadUsage, match="is there already"):
        write_evalai(tmp_path / "mine", plan(first), force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "mine"}
