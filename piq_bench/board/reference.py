"""Reads submission.ref.toml, the reference to predictions too large for git, and downloads the file it names.

The reference holds an address, a size and a SHA-256. A stranger wrote the address: it is opened only on request and
only by https on the public internet, and the download is kept only if its size and hash match.
"""

import hashlib
import http.client
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from threading import Thread
from time import monotonic
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints, ValidationError

from piq_bench.board.addresses import is_public, open_https
from piq_bench.board.wording import expected
from piq_bench.documents import parse_toml
from piq_bench.errors import BadSubmission, LimitExceeded, Problem, printable, quoted
from piq_bench.read.validate import closest
from piq_bench.write.files import PIECE_BYTES, written_whole

REFERENCE = "submission.ref.toml"
MAX_BYTES = 64 << 10  # of submission.ref.toml
MAX_FETCHED_BYTES = 4 << 30
SECONDS = 60  # largest time without a byte
TOTAL_SECONDS = 3600  # largest time from opening the address to the last byte
KINDS = (".npz", ".parquet")


class Reference(BaseModel):
    """The content of submission.ref.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schema_: Literal["piq-bench/reference/1"] = Field(alias="schema")
    url: HttpUrl
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0, le=MAX_FETCHED_BYTES)]


class Stream(Protocol):
    """An open download."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""
        ...


def read_reference(path: Path) -> Reference:
    """Read and validate a reference, without opening its address.

    Raises:
        BadSubmission: with every problem found.
    """
    try:
        if path.is_symlink() or path.stat().st_size > MAX_BYTES:
            raise BadSubmission(
                str(path),
                [
                    Problem(
                        "no-file", path.name, "is a link or too large", f"a regular file of at most {MAX_BYTES} bytes"
                    )
                ],
            )
        found = Reference.model_validate(parse_toml(path.read_text(encoding="utf-8-sig")))
    except ValidationError as error:
        raise BadSubmission(str(path), [_problem(details) for details in error.errors(include_url=False)]) from None
    except (OSError, ValueError) as error:
        problem = Problem("unreadable", path.name, printable(error), "a TOML file in UTF-8")
        raise BadSubmission(str(path), [problem]) from None
    problems = []
    if found.url.scheme != "https" or found.url.username or found.url.password:
        problems.append(
            Problem(
                "bad-address", "url", f"got {quoted(found.url)}", "an https address without a user name or password"
            )
        )
    if not is_public(found.url.host or ""):
        problems.append(
            Problem(
                "bad-address", "url", f"got {quoted(found.url)}", "an address of the public internet, not a local one"
            )
        )
    if PurePosixPath(found.url.path or "").suffix not in KINDS:
        problems.append(
            Problem("bad-address", "url", f"got {quoted(found.url)}", f"an address that ends with {' or '.join(KINDS)}")
        )
    if problems:
        raise BadSubmission(str(path), problems)
    return found


def fetch(
    reference: Reference,
    folder: Path,
    *,
    open_address: Callable[[str], AbstractContextManager[Stream]] | None = None,
    seconds: float = TOTAL_SECONDS,
) -> Path:
    """Download the predictions that a reference names.

    Args:
        reference: address, size and hash of the predictions.
        folder: folder to write the file into.
        open_address: function that opens an address; replaced in tests.
        seconds: largest time that all of it may take.

    Returns:
        The downloaded file.

    Raises:
        BadSubmission: if the file cannot be downloaded, or its size or hash differs.
        LimitExceeded: if it takes too long.
    """
    deadline = monotonic() + seconds
    target = folder / f"submission{PurePosixPath(reference.url.path or '').suffix}"
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with written_whole(target) as temporary:
            opened = _in_time(lambda: (open_address or _opened)(str(reference.url)), seconds)
            with opened as source, temporary.open("wb") as stream:
                read = getattr(source, "read1", source.read)  # which returns what has arrived
                while piece := read(PIECE_BYTES):
                    if monotonic() > deadline:
                        raise _too_slow(seconds)
                    n_bytes += len(piece)
                    if n_bytes > reference.bytes:
                        raise _other_file("has more bytes than the reference says", f"{reference.bytes:,} bytes")
                    digest.update(piece)
                    stream.write(piece)
            if n_bytes != reference.bytes:
                raise _other_file(f"has {n_bytes:,} bytes", f"{reference.bytes:,} bytes")
            if digest.hexdigest() != reference.sha256:
                raise _other_file(f"has the SHA-256 {digest.hexdigest()}", reference.sha256)
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib raises all three
        problem = Problem("not-fetched", "url", printable(error), "an address that everybody can open")
        raise BadSubmission(REFERENCE, [problem]) from None
    return target


def _opened(address: str) -> AbstractContextManager[Stream]:
    return open_https(address, SECONDS)


def _in_time(
    open_address: Callable[[], AbstractContextManager[Stream]], seconds: float
) -> AbstractContextManager[Stream]:
    """Open an address in a thread of its own: a server may send its first lines byte by byte, without an end."""
    opened: list[AbstractContextManager[Stream]] = []
    errors: list[Exception] = []

    def work() -> None:
        try:
            opened.append(open_address())
        except Exception as error:
            errors.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not opened:
        raise _too_slow(seconds)
    return opened[0]


def _too_slow(seconds: float) -> LimitExceeded:
    problem = Problem("too-slow", "url", f"was not read within {seconds:g} s", "an address that sends the file faster")
    return LimitExceeded(REFERENCE, [problem])


def _other_file(found: str, expected: str) -> BadSubmission:
    return BadSubmission(REFERENCE, [Problem("other-file", "url", f"the file there {found}", f"expected {expected}")])


def _problem(error: Any) -> Problem:  # noqa: ANN401
    """An error of pydantic as a located problem."""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in Reference.model_fields.items()]
        meant = closest(where, known)
        hint = f"did you mean {quoted(meant)}? " if meant else ""
        return Problem(
            "unknown-key", printable(where), "is not a known key", f"{hint}known keys are {', '.join(known)}"
        )
    if error["type"] == "missing":
        return Problem("missing-key", printable(where), "is missing", "add it")
    return Problem("bad-value", printable(where), f"got {quoted(error['input'])}", f"expected {expected(error)}")
