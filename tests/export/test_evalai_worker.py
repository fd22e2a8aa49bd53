"""The remote worker of an EvalAI bundle, served by a fake EvalAI server.

The server offers what EvalAI's interface promises to remote evaluation, and refuses what EvalAI refuses.
"""

import json
import os
import subprocess
import sys
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_builders import KEYS, PERSON, submission, zip_of

from piq_bench.errors import BadUsage
from piq_bench.export import evalai_program, evalai_worker
from piq_bench.export.evalai import CONFIG
from piq_bench.export.evalai_worker import challenge_of, handle_next_message
from piq_bench.export.host import Failed, Settings, read_settings, settings_json
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.scoring.score import score

yaml = pytest.importorskip("yaml")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
TOKEN = "a-token-that-nobody-may-see"  # noqa: S105


@dataclass
class Submitted:
    """A submission in the database of the fake server."""

    phase: int
    name: str
    content: bytes
    status: str = "submitted"
    outcome: dict[str, str] = field(default_factory=dict)
    row: dict[str, float] | None = None


class Server(ThreadingHTTPServer):
    """EvalAI's interface for remote evaluation, with a queue that returns a message until it is deleted."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.config = config
        self.submissions: dict[int, Submitted] = {}
        self.queue: list[int] = []
        self.is_careless = False  # whether names in addresses are left unquoted
        self.n_busy = 0  # how many of the next results are answered with 503
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def submit(self, upload: Path, phase: int = 0) -> Submitted:
        number = len(self.submissions) + 1
        self.submissions[number] = Submitted(phase, upload.name, upload.read_bytes())
        self.queue.append(number)
        return self.submissions[number]

    def put(self, form: dict[str, str]) -> str | None:
        """Accept a result; return EvalAI's error message if it is wrong."""
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
                assert "Authorization" not in self.headers  # files are stored elsewhere: the token must not go there
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
def server(bundle: Path) -> Iterator[Server]:
    with zipfile.ZipFile(bundle / "challenge.zip") as archive:
        made = Server(yaml.safe_load(archive.read(CONFIG)))
    yield made
    made.shutdown()
    made.server_close()


def environment(server: Server) -> dict[str, str]:
    return {"AUTH_TOKEN": TOKEN, "QUEUE_NAME": "my-queue", "CHALLENGE_PK": "7", "API_SERVER": server.address}


class Worker:
    """Our worker, connected to the fake server."""

    def __init__(self, server: Server, bundle: Path) -> None:
        self.lines: list[str] = []
        self.challenge = challenge_of(environment(server))
        self.home = bundle / "remote_evaluation"
        self.settings: Settings = read_settings(self.home / "settings.json")
        self.splits = json.loads((self.home / "phases.json").read_text(encoding="utf-8"))

    def handle(self) -> None:
        handle_next_message(self.challenge, self.settings, self.splits, self.home / "reference", log=self.lines.append)


@pytest.fixture
def worker(server: Server, bundle: Path) -> Worker:
    return Worker(server, bundle)


def test_the_worker_of_the_bundle_scores_a_submission_from_the_queue(
    server: Server, bundle: Path, first: Path, tmp_path: Path
) -> None:
    """In a separate process, with the evaluator of the bundle."""
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
    worker.handle()
    assert worker.lines == []  # nothing to do
    uploaded = server.submit(zip_of(tmp_path / "a b.zip", {"mine.npz": submission(tmp_path / "mine.npz", second)}), 1)
    worker.handle()
    assert (uploaded.status, server.queue) == ("finished", [1])
    assert uploaded.outcome["stdout"] == ""
    worker.handle()
    assert server.queue == [] and worker.lines == ["submission 1: finished"]


def test_a_participant_is_told_how_to_pack(server: Server, worker: Worker, first: Path, tmp_path: Path) -> None:
    packed = zip_of(tmp_path / "upload.zip", {"run/mine.npz": submission(tmp_path / "mine.npz", first)})
    uploaded = server.submit(packed)
    worker.handle()
    assert uploaded.status == "finished"
    told = uploaded.outcome["stdout"]
    assert told.startswith("note: ") and told.endswith("\n") and "pack the file itself, not its folder" in told


def test_an_npz_named_zip_is_scored(server: Server, worker: Worker, first: Path, tmp_path: Path) -> None:
    uploaded = server.submit(submission(tmp_path / "mine.npz", first).rename(tmp_path / "mine.zip"))
    worker.handle()
    assert uploaded.status == "finished"


def test_a_bad_submission_fails_with_all_its_problems(
    server: Server, worker: Worker, first: Path, tmp_path: Path
) -> None:
    embedding = np.full((30, 8), np.nan, np.float32)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first, embedding=embedding, gender=None))
    worker.handle()
    assert uploaded.status == "failed" and uploaded.row is None and "result" not in uploaded.outcome
    text = uploaded.outcome["stderr"]
    assert "[not-finite]" in text and "[missing-array]" in text
    assert PERSON not in json.dumps(uploaded.outcome)


def test_a_running_submission_is_left_alone(server: Server, worker: Worker, first: Path, tmp_path: Path) -> None:
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    uploaded.status = "running"
    worker.handle()
    assert uploaded.status == "running" and "another worker has it" in worker.lines[0]


def test_a_result_is_sent_again_when_the_server_is_busy(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evalai_worker, "PAUSES", (0.001, 0))
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    server.n_busy = 1
    worker.handle()
    assert uploaded.status == "finished"
    server.submit(submission(tmp_path / "mine.npz", first))
    server.queue.remove(1)
    server.n_busy = 2
    with pytest.raises(OSError, match="503"):
        worker.handle()


def test_a_bug_fails_the_submission_but_not_the_worker(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError(PERSON)

    monkeypatch.setattr(evalai_worker, "evaluate", fail)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    worker.handle()
    assert uploaded.status == "failed" and "KeyError" in uploaded.outcome["stderr"]
    assert PERSON not in json.dumps(uploaded.outcome) and "Traceback" in worker.lines[0]


def test_a_file_that_is_too_large_or_has_a_bad_address_is_refused(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evalai_worker, "MAX_UPLOAD_BYTES", 100)
    uploaded = server.submit(submission(tmp_path / "mine.npz", first))
    worker.handle()
    assert "more than 100 bytes" in uploaded.outcome["stderr"]
    with pytest.raises(evalai_program.EvaluationError, match="not https"):
        evalai_worker._download(worker.challenge, "file:///etc/passwd", tmp_path)
    server.is_careless = True
    uploaded = server.submit((tmp_path / "mine.npz").rename(tmp_path / "a b.npz"))
    server.queue.remove(1)
    worker.handle()
    assert "its address is wrong" in uploaded.outcome["stderr"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "cannot be read"),
        (b"[]", "not an object"),
        (b'{"body": null}' + b" " * evalai_worker.MAX_ANSWER_BYTES, "too long"),
        (b'{"body": {"submission_pk": 1}}', "names no submission"),
        (b'{"body": ["submission_pk", "phase_pk"]}', "names no submission"),
    ],
)
def test_an_answer_that_is_none_is_told_to_the_organiser(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.answer(200, answer))
    with pytest.raises(OSError, match=reason):
        worker.handle()


def test_the_token_follows_no_redirect(server: Server, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def redirect(self: Handler) -> None:
        asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", f"{server.address}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    monkeypatch.setattr(Handler, "do_GET", redirect)
    with pytest.raises(OSError, match="302"):
        worker.handle()
    assert asked == ["/api/jobs/challenge/queues/my-queue/"]


def test_a_broken_answer_and_a_server_that_stays_busy_end_the_attempt(
    server: Server, worker: Worker, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evalai_worker, "PAUSES", (0.01, 0))
    server.n_busy = 2
    server.submit(submission(tmp_path / "mine.npz", first))
    with pytest.raises(OSError, match="503"):
        worker.handle()
    assert server.queue == [1]  # it will be taken again
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.wfile.write(b"nonsense\r\n"))
    with pytest.raises(OSError, match="BadStatusLine"):
        worker.handle()
    with pytest.raises(OSError, match="BadStatusLine"):
        evalai_worker._download(worker.challenge, f"{server.address}/media/1/mine.npz", tmp_path / "..")


@pytest.mark.parametrize(
    "changes", [{"schema": "other"}, {"disclosure": "all"}, {"resamples": -1}, {"columns": None}, None]
)
def test_settings_of_another_version_are_refused(tmp_path: Path, changes: dict[str, object] | None) -> None:
    path = tmp_path / "settings.json"
    own = settings_json(Settings("score", 0, ("piq",)))
    path.write_text(own, encoding="utf-8")
    assert read_settings(path) == Settings("score", 0, ("piq",))
    path.write_text("[]" if changes is None else json.dumps(json.loads(own) | changes), encoding="utf-8")
    with pytest.raises(Failed, match=r"settings\.json of the bundle"):
        read_settings(path)


def test_the_token_is_never_printed(server: Server, worker: Worker, bundle: Path) -> None:
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


def test_missing_environment_variables_are_named(tmp_path: Path) -> None:
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
