"""The remote worker of an EvalAI challenge: takes submissions from the challenge's queue and scores them.

The organiser runs `python3 -m piq_bench.export.evalai_worker` on their own machine, in the bundle's folder
`remote_evaluation`, with the environment variables AUTH_TOKEN, QUEUE_NAME, CHALLENGE_PK and optionally API_SERVER. The
labels stay in that folder. The worker sends the scores to the server, and the full score file, which only the organiser
can see there. A refused submission is reported as failed, with all problems. If the server does not respond, the worker
tries again later.
"""

import http.client
import json
import os
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from piq_bench.documents import parse_json
from piq_bench.errors import BadUsage, Problem, exit_codes, printable
from piq_bench.export.evalai_program import EvaluationError, evaluate, remote_result
from piq_bench.export.host import SETTINGS, Failed, Settings, read_settings
from piq_bench.write.files import PIECE_BYTES
from piq_bench.write.streams import accept_every_character

SERVER = "https://eval.ai"
PHASES = "phases.json"  # maps the codename of a phase to that of its split
REFERENCE = "reference"  # holds a folder per phase
QUEUE = "/api/jobs/challenge/queues/{queue}/"
DELETE = "/api/jobs/queues/{queue}/"
SUBMISSION = "/api/jobs/submission/{submission}"
PHASE = "/api/challenges/challenge/{challenge}/challenge_phase/{phase}"
UPDATE = "/api/jobs/challenge/{challenge}/update_submission/"
ENDED = ("finished", "failed", "cancelled")
RUNNING = "running"
POLL_SECONDS = 30
PAUSES = (5, 30, 120, 0)  # seconds between attempts to send a result, which may have taken long to compute; 0: the last
REQUEST_SECONDS = 120
MAX_ANSWER_BYTES = 16 << 20
MAX_UPLOAD_BYTES = 8 << 30
MAX_MESSAGE = 60_000  # characters of the text sent to a participant


@dataclass(frozen=True)
class Challenge:
    """A challenge and its queue on a server.

    Attributes:
        server: address of the server.
        token: secret that identifies the organiser; never printed.
        queue: name of the challenge's queue.
        challenge: number of the challenge on the server.
    """

    server: str
    token: str
    queue: str
    challenge: str


@click.command("evalai-worker")
@click.option("--once", is_flag=True, help="Handle at most one message of the queue, then exit.")
def main(once: bool) -> None:
    """Score the submissions of an EvalAI challenge until interrupted."""
    accept_every_character()
    with exit_codes():
        challenge = challenge_of(os.environ)
        settings, splits = _configuration()
        while True:
            try:
                handle_next_message(challenge, settings, splits, Path(REFERENCE))
            except OSError as error:  # includes the errors of urllib
                click.echo(f"{challenge.server}: {printable(error, 600)}", err=True)
            if once:
                return
            time.sleep(POLL_SECONDS)


def _configuration() -> tuple[Settings, dict[str, str]]:
    """Read the settings of the bundle, and the split of each phase."""
    try:
        splits = json.loads(Path(PHASES).read_text(encoding="utf-8"))
        return read_settings(Path(SETTINGS)), {str(phase): str(split) for phase, split in splits.items()}
    except (Failed, OSError, ValueError, AttributeError):
        found = f"{SETTINGS} and {PHASES} cannot be read here"
        problem = Problem("no-bundle", "folder", found, "run it in remote_evaluation of the bundle")
        raise BadUsage("evalai-worker", [problem]) from None


def challenge_of(environment: Mapping[str, str]) -> Challenge:
    """Read the challenge from the environment variables.

    Raises:
        BadUsage: naming every variable that is missing or invalid; the token is never shown.
    """
    needed = ("AUTH_TOKEN", "QUEUE_NAME", "CHALLENGE_PK")
    problems = [
        Problem("missing-variable", name, "is not set", "see README.md of the bundle")
        for name in needed
        if not environment.get(name)
    ]
    server = environment.get("API_SERVER") or SERVER
    host = urlsplit(server).hostname
    if urlsplit(server).scheme != "https" and host not in ("localhost", "127.0.0.1"):
        remedy = f"an https address, such as {SERVER}"
        problems.append(Problem("bad-address", "API_SERVER", f"is {printable(server)!r}", remedy))
    if problems:
        raise BadUsage("environment", problems)
    token, queue, challenge = (environment[name] for name in needed)
    return Challenge(server.rstrip("/"), token, queue, challenge)


def handle_next_message(
    challenge: Challenge,
    settings: Settings,
    splits: Mapping[str, str],
    reference: Path,
    *,
    log: Callable[[str], None] = click.echo,
) -> None:
    """Take one message from the queue, if there is one, score its submission and send the result.

    Args:
        challenge: the challenge and its queue.
        settings: settings of the bundle.
        splits: codename of the split of each phase, by the codename of the phase.
        reference: folder that holds a data set for each phase, in a folder named by the phase's codename.
        log: called with each line for the organiser.

    Raises:
        OSError: if the server does not respond, or refuses a request; the message then stays in the queue.
    """
    message = _request(challenge, "GET", QUEUE.format(queue=_safe(challenge.queue)))
    body = message.get("body")
    if not body:
        return
    if not isinstance(body, dict) or not {"submission_pk", "phase_pk"} <= set(body):
        raise OSError("the queue holds a message that names no submission")
    number, phase = str(body["submission_pk"]), str(body["phase_pk"])
    submission = _request(challenge, "GET", SUBMISSION.format(submission=_safe(number)))
    status = str(submission.get("status", "")).lower()
    if status in ENDED:
        address = DELETE.format(queue=_safe(challenge.queue))
        _request(challenge, "POST", address, {"receipt_handle": str(message.get("receipt_handle", ""))})
        return
    if status == RUNNING:
        log(f"submission {printable(number)}: another worker has it; if there is none, rerun it on the EvalAI page")
        return
    address = PHASE.format(challenge=_safe(challenge.challenge), phase=_safe(phase))
    codename = str(_request(challenge, "GET", address).get("codename"))
    update = UPDATE.format(challenge=_safe(challenge.challenge))
    outcome = {"challenge_phase": phase, "submission": number, "stdout": "", "stderr": "", "metadata": ""}
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        try:
            upload = _download(challenge, str(submission.get("input_file", "")), Path(place))
            _request(challenge, "PATCH", update, {"submission": number, "job_name": "", "submission_status": "RUNNING"})
            if codename not in splits:
                raise EvaluationError(f"phase {printable(codename)} is not in this bundle; tell the organiser")
            found = _evaluate(reference / codename, upload, splits[codename], settings, notes.append, log)
        except EvaluationError as failure:
            outcome |= {"submission_status": "FAILED", "stderr": str(failure)[:MAX_MESSAGE]}
        else:
            outcome |= {
                "submission_status": "FINISHED",
                "stdout": "".join(f"{note}\n" for note in notes)[:MAX_MESSAGE],
                "result": json.dumps(remote_result(found), allow_nan=False),
                "metadata": found["submission_metadata"],  # only organisers see it
            }
    _send_result(challenge, update, outcome)
    log(f"submission {printable(number)}: {outcome['submission_status'].lower()}")


def _evaluate(
    reference: Path,
    upload: Path,
    split: str,
    settings: Settings,
    tell: Callable[[str], None],
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Score a submission. A bug is logged in full for the organiser; the participant sees only its type."""
    try:
        return evaluate(reference, upload, split, settings, tell=tell)
    except EvaluationError:
        raise
    except Exception as bug:
        log(traceback.format_exc())
        text = f"the evaluator failed ({type(bug).__name__}): the submission is not at fault; tell the organiser"
        raise EvaluationError(text) from None


def _send_result(challenge: Challenge, address: str, outcome: Mapping[str, str]) -> None:
    """Send the result, in several attempts: without it, the server would list the submission as running for ever."""
    for pause in PAUSES:
        try:
            _request(challenge, "PUT", address, outcome)
            return
        except OSError:
            if not pause:
                raise
            time.sleep(pause)


def _download(challenge: Challenge, address: str, place: Path) -> Path:
    """Download the upload of a participant from the address that the server names: its own or that of its storage."""
    if not address.startswith(("https://", f"{challenge.server}/")):
        raise EvaluationError("the submission's file cannot be fetched: its address is not https; tell the organiser")
    name = Path(urllib.parse.unquote(urlsplit(address).path)).name
    target = place / ("submission.zip" if name.endswith(".zip") else "submission.npz")
    n_bytes = 0
    try:
        with urllib.request.urlopen(address, timeout=REQUEST_SECONDS) as source, target.open("xb") as stream:  # noqa: S310
            while piece := source.read(PIECE_BYTES):
                n_bytes += len(piece)
                if n_bytes > MAX_UPLOAD_BYTES:
                    raise EvaluationError(f"the submission has more than {MAX_UPLOAD_BYTES:,} bytes")
                stream.write(piece)
    except (ValueError, http.client.InvalidURL):
        raise EvaluationError(
            "the submission's file cannot be fetched: its address is wrong; tell the organiser"
        ) from None
    except http.client.HTTPException as error:
        raise OSError(f"the submission's file: {printable(repr(error))}") from None
    return target


def _request(challenge: Challenge, method: str, path: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Send one request to the server and return its answer, a JSON object."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    headers = {"Authorization": f"Bearer {challenge.token}"}
    request = urllib.request.Request(challenge.server + path, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=REQUEST_SECONDS) as stream:
            content = stream.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        reason = error.read(1000).decode("utf-8", "replace")
        raise OSError(f"{method} {path}: {error.code} {printable(reason, 500)}") from None
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {printable(repr(error))}") from None
    try:
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError("too long")
        answer = parse_json(content)
        if not isinstance(answer, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise OSError(f"{method} {path}: the answer cannot be read ({printable(error)})") from None
    return answer


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects, so that the token goes only to the server that the organiser named."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> None:  # noqa: ANN401
        raise urllib.error.HTTPError(req.full_url, code, f"redirects to {newurl}", headers, fp)


def _safe(part: str) -> str:
    """Quote a name as a part of an address."""
    return urllib.parse.quote(part, safe="")


if __name__ == "__main__":
    sys.exit(main(prog_name="evalai-worker"))
