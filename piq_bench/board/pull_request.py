"""Extracts the one entry that a branch adds from git's objects into a folder, without checking the branch out.

A pull request may add the regular files of one new entry and change nothing else, so every changed path is checked.
Names, modes and sizes are read from git before any content. Only plumbing commands are used, so that no filter, hook or
attribute of the branch takes effect. Changes are counted from the merge base, so that entries added to the base in the
meantime do not appear as edits of the branch.
"""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from piq_bench.board.entries import DEVICE, ID, MAX_FILES, MAX_SUBMISSION_BYTES, MAX_TEXT_BYTES, RESULT, SUBMISSIONS
from piq_bench.errors import BadSubmission, BadUsage, Problem, printable
from piq_bench.read.kinds import LFS_POINTER
from piq_bench.read.litter import is_litter

FOLDER = "submissions"
OWN_PATH = f"{FOLDER}/name-of-the-entry/file"
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_-])?")  # a dot at the end is lost on Windows
PLAIN_FILE = "100644"
MODES = {"120000": "is a link", "160000": "is a submodule", "100755": "is executable"}
CHANGES = {"M": "changes a file", "D": "deletes a file", "T": "changes the type of a file"}
SECONDS = 120
N_ENTRIES_LOOKED_UP = 5


@dataclass(frozen=True)
class Change:
    """One path that a branch changes.

    Attributes:
        path: path in the repository.
        status: git's letter for the kind of change, such as "A" for added.
        mode: file mode after the change, as git prints it.
        blob: hash of the file's content after the change.
    """

    path: str
    status: str
    mode: str
    blob: str


def arrived_entry(repository: Path, base: str, head: str, folder: Path) -> Path:
    """Write the one entry that a branch adds into a folder.

    Args:
        repository: git repository that has both commits.
        base: commit that the pull request wants to change.
        head: latest commit of the pull request.
        folder: empty folder to write the entry's folder into.

    Returns:
        The entry's folder.

    Raises:
        BadUsage: if git does not know a commit.
        BadSubmission: with every change of the branch beside adding one entry.
    """
    base, head = (_commit(repository, name) for name in (base, head))
    merge_base = _git(repository, "merge-base", base, head).decode().strip()
    changes = _changes(repository, merge_base, head)
    problems = [problem for change in changes if (problem := _misfit(change)) is not None]
    names = sorted({change.path.split("/")[1] for change in changes if change.path.startswith(f"{FOLDER}/")})
    if len(names) != 1:
        found = (
            f"touches {len(names)} entries: {', '.join(map(printable, names[:N_ENTRIES_LOOKED_UP]))}"
            if names
            else "adds no entry"
        )
        problems.append(Problem("one-entry", FOLDER, found, "one new entry, in a folder of its own"))
    for name in names[:N_ENTRIES_LOOKED_UP]:  # each starts a process
        if _git(repository, "ls-tree", base, f"{FOLDER}/{name}"):
            problems.append(Problem("not-new", printable(name), "exists already", "entries are never edited"))
    folded = Counter(change.path.casefold() for change in changes)
    for change in changes:
        if folded[change.path.casefold()] > 1:
            found = "differs from another path only by case"
            problems.append(
                Problem("same-name", printable(change.path), found, "names that differ on every file system")
            )
    if len(changes) > MAX_FILES:
        found = f"adds {len(changes)} files"
        problems.append(Problem("too-many-files", FOLDER, found, f"at most {MAX_FILES}"))
    if not problems:
        problems = [problem for change in changes if (problem := _too_large(repository, change)) is not None]
    if problems:
        raise BadSubmission(f"changes of {head[:12]}", problems)
    entry = folder / names[0]
    entry.mkdir()
    for change in changes:
        content = _git(repository, "cat-file", "blob", change.blob)
        if content.startswith(LFS_POINTER):
            problems.append(Problem("pointer", change.path, "is a Git LFS pointer, not the file", "the file itself"))
        (entry / change.path.rsplit("/", 1)[1]).write_bytes(content)
    if problems:
        raise BadSubmission(f"changes of {head[:12]}", problems)
    return entry


def _changes(repository: Path, merge_base: str, head: str) -> list[Change]:
    """Every path that differs between two commits; a renamed file counts as one deleted and one added."""
    raw = _git(repository, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", merge_base, head)
    fields = raw.split(b"\0")[:-1]
    changes = []
    for place in range(0, len(fields), 2):
        _, mode, _, blob, status = fields[place].decode("ascii").split(" ")
        path = fields[place + 1].decode("utf-8", "backslashreplace")
        changes.append(Change(path, status[0], mode, blob))
    return changes


def _misfit(change: Change) -> Problem | None:
    """The problem with a change; None if it is allowed."""
    where = printable(change.path)
    if change.status in CHANGES:
        return Problem("edit", where, CHANGES[change.status], "a pull request that adds one entry and nothing else")
    if change.mode != PLAIN_FILE:
        return Problem("no-file", where, MODES.get(change.mode, "is not a regular file"), "regular files")
    parts = change.path.split("/")
    fits = len(parts) == 3 and parts[0] == FOLDER and ID.fullmatch(parts[1]) and NAME.fullmatch(parts[2])
    if not fits or any(map(DEVICE.fullmatch, parts)):
        # Litter is not passed over: merging would add it, and a hidden file such as .gitattributes changes git's work.
        remedy = "remove it from the branch: a tool left it behind" if is_litter(parts[-1]) else OWN_PATH
        return Problem("bad-path", where, "is not an allowed path", remedy)
    if parts[2] == RESULT:
        return Problem("result", where, "may only be written by the grader", "leave it out")
    return None


def _too_large(repository: Path, change: Change) -> Problem | None:
    """The problem with the size of a new file; None if it is small enough."""
    n_bytes = int(_git(repository, "cat-file", "-s", change.blob))
    limit = MAX_SUBMISSION_BYTES if change.path.rsplit("/", 1)[-1] in SUBMISSIONS else MAX_TEXT_BYTES
    if n_bytes <= limit:
        return None
    return Problem("too-large", change.path, f"has {n_bytes:,} bytes", f"at most {limit:,}")


def _commit(repository: Path, name: str) -> str:
    """The full hash of a commit.

    Raises:
        BadUsage: if git does not know it.
    """
    try:
        return (
            _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            .decode()
            .strip()
        )
    except BadUsage:
        problem = Problem("no-commit", "commit", f"git does not know {printable(name)!r}", "fetch the commit first")
        raise BadUsage(str(repository), [problem]) from None


def _git(repository: Path, *arguments: str) -> bytes:
    """The output of a git plumbing command."""
    command = ["git", "-c", "core.quotePath=false", "-C", str(repository), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout  # noqa: S603  no shell
    except FileNotFoundError:
        raise BadUsage("git", [Problem("not-installed", "git", "is not installed", "install git")]) from None
    except subprocess.CalledProcessError as error:
        found = printable(error.stderr.decode("utf-8", "replace").strip() or f"ended with {error.returncode}", 200)
        raise BadUsage(
            str(repository), [Problem("git", arguments[0], found, "a repository with both commits")]
        ) from None
