"""The remote evaluation of an EvalAI bundle: takes submissions from the challenge's queue and scores them.

`python3 -m piq_bench.export.evalai_worker` runs in the bundle's folder `remote_evaluation`, on the organiser's own
machine, with these variables in its environment: AUTH_TOKEN, QUEUE_NAME, CHALLENGE_PK, and optionally API_SERVER.
The labels lie beside it; to the server go scores, and for the organiser alone the whole score file. A submission that
is refused is handed in as failed, with all problems; a server that does not answer is asked again later.
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

from piq_bench.errors import BadUsage, Problem, exit_codes, printable
from piq_bench.export.evalai_program import EvaluationError, evaluate, remote_result
from piq_bench.export.host import SETTINGS, Failed, Settings, read_settings
from piq_bench.write.files import PIECE_BYTES

SERVER = "https://eval.ai"
PHASES = "phases.json"  # codename of a phase to codename of its split
REFERENCE = "reference"  # a folder per phase
QUEUE = "/api/jobs/challenge/queues/{queue}/"
DELETE = "/api/jobs/queues/{queue}/"
SUBMISSION = "/api/jobs/submission/{submission}"
PHASE = "/api/challenges/challenge/{challenge}/challenge_phase/{phase}"
UPDATE = "/api/jobs/challenge/{challenge}/update_submission/"
ENDED = ("finished", "failed", "cancelled")
RUNNING = "running"
POLL_SECONDS = 30
PAUSES = (5, 30, 120, 0)  # seconds, after each attempt to hand in a result: it may have taken long to compute
REQUEST_SECONDS = 120
MAX_ANSWER_BYTES = 16 << 20
MAX_UPLOAD_BYTES = 8 << 30
MAX_MESSAGE = 60_000  # characters of a refusal


@dataclass(frozen=True)
class Challenge:
    """Which queue of which server.

    Attributes:
        server: its address.
        token: by which it knows the organiser; never printed.
        queue, challenge: names on the server.
    """

    server: str
    token: str
    queue: str
    challenge: str


@click.command("evalai-worker")
@click.option("--once", is_flag=True, help="Look into the queue once, then end.")
def main(once: bool) -> None:
    """Score the submissions of an EvalAI challenge, until interrupted."""
    with exit_codes():
        challenge = challenge_of(os.environ)
        settings, splits = _configuration()
        while True:
            try:
                serve(challenge, settings, splits, Path(REFERENCE))
            except OSError as error:  # urllib's errors as well
                click.echo(f"{challenge.server}: {printable(error, 600)}", err=True)
            if once:
                return
            time.sleep(POLL_SECONDS)


def _configuration() -> tuple[Settings, dict[str, str]]:
    """What the bundle was made with: the settings, and the split of each phase."""
    try:
        splits = json.loads(Path(PHASES).read_text(encoding="utf-8"))
        return read_settings(Path(SETTINGS)), {str(phase): str(split) for phase, split in splits.items()}
    except (Failed, OSError, ValueError, AttributeError):
        found = f"{SETTINGS} and {PHASES} cannot be read here"
        problem = Problem("no-bundle", "folder", found, "run it in remote_evaluation of the bundle")
        raise BadUsage("evalai-worker", [problem]) from None


def challenge_of(environment: Mapping[str, str]) -> Challenge:
    """Read the environment.

    Raises:
        BadUsage: naming every variable that is missing or no address; never the token.
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
        problems.append(Problem("bad-address", "API_SERVER", f"is {printable(server)!r}", f"https, as {SERVER}"))
    if problems:
        raise BadUsage("environment", problems)
    token, queue, challenge = (environment[name] for name in needed)
    return Challenge(server.rstrip("/"), token, queue, challenge)


def serve(
    challenge: Challenge,
    settings: Settings,
    splits: Mapping[str, str],
    reference: Path,
    *,
    say: Callable[[str], None] = click.echo,
) -> None:
    """Take one message from the queue and deal with it, if there is one.

    Args:
        challenge: whose queue.
        settings: of the bundle.
        splits: by codename of a phase.
        reference: holds a folder of that name for each phase.
        say: takes a line for the organiser.

    Raises:
        OSError: if the server does not answer, or refuses; the message stays in its queue.
    """
    message = _ask(challenge, "GET", QUEUE.format(queue=_safe(challenge.queue)))
    body = message.get("body")
    if not body:
        return
    if not isinstance(body, dict) or not {"submission_pk", "phase_pk"} <= set(body):
        raise OSError("a message that names no submission")
    number, phase = str(body["submission_pk"]), str(body["phase_pk"])
    submission = _ask(challenge, "GET", SUBMISSION.format(submission=_safe(number)))
    status = str(submission.get("status", "")).lower()
    if status in ENDED:
        address = DELETE.format(queue=_safe(challenge.queue))
        _ask(challenge, "POST", address, {"receipt_handle": str(message.get("receipt_handle", ""))})
        return
    if status == RUNNING:
        say(f"submission {printable(number)}: another worker has it; if there is none, run it again on the host's page")
        return
    address = PHASE.format(challenge=_safe(challenge.challenge), phase=_safe(phase))
    codename = str(_ask(challenge, "GET", address).get("codename"))
    update = UPDATE.format(challenge=_safe(challenge.challenge))
    outcome = {"challenge_phase": phase, "submission": number, "stdout": "", "stderr": "", "metadata": ""}
    with tempfile.TemporaryDirectory() as place:
        try:
            upload = _fetched(challenge, str(submission.get("input_file", "")), Path(place))
            _ask(challenge, "PATCH", update, {"submission": number, "job_name": "", "submission_status": "RUNNING"})
            if codename not in splits:
                raise EvaluationError(f"phase {printable(codename)} is none of this bundle; tell the organiser")
            found = _evaluated(reference / codename, upload, splits[codename], settings, say)
        except EvaluationError as failure:
            outcome |= {"submission_status": "FAILED", "stderr": str(failure)[:MAX_MESSAGE]}
        else:
            outcome |= {
                "submission_status": "FINISHED",
                "result": json.dumps(remote_result(found), allow_nan=False),
                "metadata": json.dumps(found["submission_metadata"], allow_nan=False),  # hosts alone see it
            }
    _hand_in(challenge, update, outcome)
    say(f"submission {printable(number)}: {outcome['submission_status'].lower()}")


def _evaluated(
    reference: Path, upload: Path, split: str, settings: Settings, say: Callable[[str], None]
) -> dict[str, Any]:
    """A mistake of ours is told to the organiser in full, to the participant by its kind, and the queue goes on."""
    try:
        return evaluate(reference, upload, split, settings)
    except EvaluationError:
        raise
    except Exception as bug:
        say(traceback.format_exc())
        text = f"the evaluator failed ({type(bug).__name__}): this is no fault of the submission; tell the organiser"
        raise EvaluationError(text) from None


def _hand_in(challenge: Challenge, address: str, outcome: Mapping[str, str]) -> None:
    """The server counts the submission as running until it is told otherwise: more than one attempt."""
    for pause in PAUSES:
        try:
            _ask(challenge, "PUT", address, outcome)
            return
        except OSError:
            if not pause:
                raise
            time.sleep(pause)


def _fetched(challenge: Challenge, address: str, place: Path) -> Path:
    """What a participant uploaded lies where the server says, on the server or in its storage."""
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


def _ask(challenge: Challenge, method: str, path: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One request to the server; its answer is an object of JSON."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    headers = {"Authorization": f"Bearer {challenge.token}"}
    request = urllib.request.Request(challenge.server + path, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=REQUEST_SECONDS) as stream:
            content = stream.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        reason = error.read(1000).decode("utf-8", "replace")
        raise OSError(f"{method} {path}: {error.code} {printable(reason, 500)}") from None
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {printable(repr(error))}") from None
    try:
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError("too long")
        answer = json.loads(content)
        if not isinstance(answer, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise OSError(f"an answer that cannot be read ({printable(error)})") from None
    return answer


class _Stay(urllib.request.HTTPRedirectHandler):
    """The token goes to the server that the organiser named, and is not carried on to another."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> None:  # noqa: ANN401
        raise urllib.error.HTTPError(req.full_url, code, f"it leads elsewhere: {newurl}", headers, fp)


def _safe(part: str) -> str:
    """A name as part of an address."""
    return urllib.parse.quote(part, safe="")


if __name__ == "__main__":
    sys.exit(main(prog_name="evalai-worker"))
