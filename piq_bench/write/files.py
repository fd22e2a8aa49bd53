"""Writes files and folders atomically, so that a failure leaves no part of one, and hashes large files in pieces."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from piq_bench.errors import BadUsage, Problem, quoted

PIECE_BYTES = 1 << 20


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path` to write to; it is renamed to `path` at the end and removed on any error.

    Raises:
        BadUsage: if no file can be made there.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        found = f"{quoted(path.parent)}: {error.strerror or error}"
        problem = Problem("cannot-write", "OUT", found, "name a file in a folder that can be written")
        raise BadUsage(str(path), [problem]) from error
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes a private file; an output file has the usual permissions
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with Unix line ends."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Gives a temporary folder beside `out` that becomes `out` at the end and is removed on any error.

    Raises:
        BadUsage: if `out` exists and is not an empty folder, or its parent cannot be written.
    """
    out = out.absolute()
    refuse_occupied(out)
    try:
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        found = f"{quoted(out.parent)}: {error.strerror or error}"
        remedy = "name a new folder inside an existing one that can be written"
        raise BadUsage(str(out), [Problem("cannot-write", "OUT", found, remedy)]) from error
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        folder.chmod(0o777 & ~umask)  # mkdtemp makes a private folder; give it the usual permissions
        refuse_occupied(out)
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_occupied(out: Path) -> None:
    """Refuses a path that is not free: a file, a link or a folder with content."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadUsage(str(out), [Problem("not-a-folder", "OUT", "there is a file or a link", "name a new folder")])
    if out.is_dir() and any(out.iterdir()):
        found = f"the folder holds {quoted(sorted(out.iterdir())[0].name)}"
        remedy = "name a new or empty folder; nothing is ever overwritten"
        raise BadUsage(str(out), [Problem("not-empty", "OUT", found, remedy)])


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
