"""Writes files and folders atomically, so that a failure leaves no part of one, and hashes large files in pieces.

A file is written under a temporary name beside its place and renamed at the end. A link stays a link: the file that it
leads to is replaced. What is no regular file, such as /dev/null or a pipe, is never replaced: it receives the content.

A process that is killed cannot remove its temporary file or folder. It holds a lock on it, which the system releases;
the next process that writes the same file or folder removes what nobody holds.
"""

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from piq_bench.errors import BadInput, BadUsage, LimitExceeded, Problem, printable, quoted, shortage
from piq_bench.write.locks import locked_now

PIECE_BYTES = 1 << 20
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # full disk, quota, limit of a file's size, broken disk
NAME_DIGITS = 12  # of the hash of a name, in the temporary name
MAX_SUFFIX = 16  # characters of a suffix that a temporary name keeps
# These may lead to a regular file, which must not be replaced. /dev/shm holds files like any other folder.
NOT_FILES = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")
ATTEMPTS = 100
MAX_LOCKS = 256  # held at once: a process may often have 1024 files open


@contextmanager
def written_whole(path: Path, *, hold_lock: bool = True) -> Iterator[Path]:
    """Yield a temporary file beside `path` to write to; it is renamed to `path` at the end and removed on any error.

    Args:
        path: the file to write.
        hold_lock: whether to keep the lock, which takes a descriptor, while the file is written.

    Raises:
        BadUsage: if no file can be made there.
        LimitExceeded: if the disk is full or a file may not be that large.
    """
    if _receives(path):
        with _sent(path) as temporary:
            yield temporary
        return
    with _refusals(path, "name a file in a folder that can be written"):
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        mode = _mode(target, 0o666)
        _clear_abandoned(target)
        temporary, lock = _locked(target)
    if lock is not None and not hold_lock:
        os.close(lock)
        lock = None
    try:
        yield temporary
        with _refusals(path, "name a file in a folder that can be written"):
            temporary.chmod(mode)  # the temporary file is private; an output file has the usual permissions
            temporary.replace(target)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        _refuse_no_room(path, error)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with Unix line ends."""
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write several UTF-8 text files: no file is replaced before all are written."""
    with ExitStack() as whole:
        for place, (path, text) in enumerate(texts.items()):
            temporary = whole.enter_context(written_whole(path, hold_lock=place < MAX_LOCKS))
            temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def new_folder(out: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `out` that becomes `out` at the end and is removed on any error.

    Args:
        out: the folder to write.
        replace: whether a folder with content may be replaced; the caller has made sure that it is ours.

    Raises:
        BadUsage: if `out` exists and is not an empty folder, or its parent cannot be written.
        LimitExceeded: if the disk is full or a file may not be that large.
    """
    remedy = "name a new folder inside an existing one that can be written"
    with _refusals(out, remedy):
        out = out.absolute()
        if not replace:
            refuse_occupied(out)
        _mode(out, 0o777)  # a name that is too long is found out now
        _clear_abandoned(out)
        folder, lock = _locked(out, is_folder=True)
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        with _refusals(out, remedy):
            folder.chmod(0o777 & ~umask)  # the temporary folder is private; give it the usual permissions
            old = folder.with_suffix(".old")
            if replace and out.is_dir():
                out.rename(old)
            refuse_occupied(out)
            try:
                if out.exists():
                    out.rmdir()
                folder.rename(out)
            except OSError:
                if old.is_dir() and not out.exists():
                    old.rename(out)
                refuse_occupied(out)  # another process was faster
                raise
            shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        _refuse_no_room(out, error)
        raise
    finally:
        if lock is not None:
            os.close(lock)


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


def refusal_of(path: Path, error: OSError, remedy: str) -> BadInput:
    """The refusal for a file or folder that cannot be written."""
    reason = printable(error.strerror or error)
    if error.errno in NO_ROOM or error.errno is None:
        remedy = "free some space, raise the limit, or write to another disk; nothing was replaced"
        return LimitExceeded(str(path), [Problem("no-room", "OUT", reason, remedy)])
    return BadUsage(str(path), [Problem("cannot-write", "OUT", f"{quoted(path.parent)}: {reason}", remedy)])


@contextmanager
def _refusals(path: Path, remedy: str) -> Iterator[None]:
    """Turns the system's errors into a refusal."""
    try:
        yield
    except OSError as error:
        raise refusal_of(path, error, remedy) from error


def _refuse_no_room(path: Path, error: BaseException) -> None:
    """Raises a refusal if an error, or the one that caused it, means that there is no room."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(error, BadInput):
        if isinstance(cause, OSError) and (cause.errno in NO_ROOM or (cause.errno is None and shortage(str(cause)))):
            raise refusal_of(path, cause, "") from error
        cause = cause.__cause__ or cause.__context__


def _receives(path: Path) -> bool:
    """Whether a path is something that receives content and must not be replaced: a device, a pipe, a socket."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or str(path.absolute()).startswith(NOT_FILES)


@contextmanager
def _sent(path: Path) -> Iterator[Path]:
    """A temporary file elsewhere, whose content is sent to a device or a pipe at the end."""
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        temporary = Path(folder, f"out{path.suffix[:MAX_SUFFIX]}")
        try:
            yield temporary
        except BaseException as error:
            _refuse_no_room(path, error)
            raise
        with _refusals(path, "name a file"), temporary.open("rb") as source, path.open("ab", buffering=0) as sink:
            while piece := source.read(PIECE_BYTES):
                while piece:
                    piece = piece[sink.write(piece) :]


def _mode(path: Path, usual: int) -> int:
    """Permissions of the file that is there, or the usual ones."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        umask = os.umask(0)
        os.umask(umask)
        return usual & ~umask


def _prefix(path: Path) -> str:
    """How the temporary names for a path begin; short, since its own name may be as long as the system allows."""
    return f".piq-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:NAME_DIGITS]}-"


def _locked(path: Path, *, is_folder: bool = False) -> tuple[Path, int | None]:
    """A new private file or folder beside a path, and a descriptor that holds its lock, where there are locks."""
    suffix = "" if is_folder or len(path.suffix) > MAX_SUFFIX else path.suffix
    for _ in range(ATTEMPTS):
        temporary = path.parent / f"{_prefix(path)}{secrets.token_hex(4)}{suffix}"
        try:
            if is_folder:
                temporary.mkdir(0o700)
            else:
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        try:
            lock = locked_now(temporary)
        except (FileNotFoundError, BlockingIOError):  # another process is about to remove it as abandoned
            continue
        return temporary, lock
    raise FileExistsError(errno.EEXIST, "every temporary name is taken")


def _clear_abandoned(path: Path) -> None:
    """Removes temporary files and folders that killed processes left when they wrote the same path."""
    prefix = _prefix(path)
    try:
        entries = [entry for entry in os.scandir(path.parent) if entry.name.startswith(prefix)]
    except OSError:  # the folder cannot be listed, or does not exist
        return
    for entry in entries:
        try:
            lock = locked_now(Path(entry.path))
        except OSError:  # in use, or already removed
            continue
        if lock is None:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            Path(entry.path).unlink(missing_ok=True)
        os.close(lock)
