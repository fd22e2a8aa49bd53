"""Reads the folder of an entry and checks which files it holds; follows no link, unpacks nothing and runs nothing.

Predictions that are too large for git are hosted elsewhere: submission.ref.toml holds their address, size and SHA-256.
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from piq_bench.board.metadata import Metadata, read_metadata
from piq_bench.board.reference import REFERENCE, Reference, read_reference
from piq_bench.errors import BadSubmission, BadUsage, Problem, printable, quoted
from piq_bench.read.litter import is_litter

ID = re.compile(r"[a-z0-9][a-z0-9-]{1,79}")
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows cannot check out
SUBMISSIONS = ("submission.npz", "submission.parquet")
RESULT = "result.json"
SUFFIXES = (".md", ".toml", ".json", ".csv", ".txt")  # allowed for files beside the submission
MAX_FILES = 32
MAX_TEXT_BYTES = 2 << 20
MAX_SUBMISSION_BYTES = 64 << 20
GENERATED = "board"  # folder of the generated pages, beside the entries
SKIPPED = (GENERATED, "__pycache__")  # folders that are no entries, like those that tools leave behind
TAKEN = (GENERATED, "index", "ladder")  # the page of an entry of this name would overwrite one of the leaderboard's


@dataclass(frozen=True, eq=False)
class Entry:
    """An entry whose files and metadata are valid.

    Attributes:
        id: name of the folder.
        folder: path of the folder.
        metadata: the author's description of the entry.
        submission: file of the predictions; None if they are hosted elsewhere.
        reference: address of predictions that are hosted elsewhere; otherwise None.
    """

    id: str
    folder: Path
    metadata: Metadata
    submission: Path | None
    reference: Reference | None = None

    @property
    def result(self) -> Path:
        """Path of the result file, which the grader writes."""
        return self.folder / RESULT


def read_entry(folder: Path) -> Entry:
    """Read an entry without its predictions.

    Raises:
        BadUsage: if there is no such folder.
        BadSubmission: with every problem of its files and its metadata.
    """
    if not folder.is_dir():
        raise BadUsage(
            str(folder), [Problem("no-entry", printable(folder.name), "is not a folder", "name the folder of an entry")]
        )
    name = folder.resolve().name
    problems = []
    if not ID.fullmatch(name) or name in TAKEN or DEVICE.fullmatch(name):
        remedy = f"2 to 80 lowercase letters, digits and hyphens; not {', '.join(map(quoted, TAKEN))} or a device name"
        problems.append(Problem("bad-name", printable(name), "cannot be an entry's name", remedy))
    if folder.is_symlink():
        problems.append(Problem("link", printable(name), "is a link", "a folder, not a link to one"))
    files = sorted(path for path in folder.iterdir() if not is_litter(path.name))
    if len(files) > MAX_FILES:
        problems.append(Problem("too-many-files", printable(name), f"holds {len(files)} files", f"at most {MAX_FILES}"))
    problems += [problem for path in files[:MAX_FILES] if (problem := _misfit(path)) is not None]
    found = [folder / file for file in (*SUBMISSIONS, REFERENCE) if (folder / file).exists()]
    if len(found) != 1:
        remedy = f"exactly one of {', '.join(map(quoted, (*SUBMISSIONS, REFERENCE)))}"
        problems.append(Problem("no-submission", printable(name), f"holds {len(found)} submissions", remedy))
    reference = None
    try:
        metadata = read_metadata(folder)
    except BadSubmission as refusal:
        problems += refusal.problems
    try:
        reference = read_reference(folder / REFERENCE) if (folder / REFERENCE).exists() else None
    except BadSubmission as refusal:
        problems += refusal.problems
    if problems:
        raise BadSubmission(str(folder), problems)
    return Entry(name, folder, metadata, found[0] if reference is None else None, reference)


def entries_in(folder: Path) -> list[Path]:
    """The folders of all entries, sorted by name.

    Raises:
        BadUsage: if there is no such folder.
    """
    if not folder.is_dir():
        raise BadUsage(
            str(folder),
            [Problem("no-entries", printable(folder.name), "is not a folder", "name the folder of all entries")],
        )
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_skipped(path.name))


def is_skipped(name: str) -> bool:
    """Whether a folder of this name beside the entries is none."""
    return name in SKIPPED or is_litter(name)


def _misfit(path: Path) -> Problem | None:
    """The problem with one file of an entry; None if it is allowed."""
    where, found = printable(path.name), path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Problem("link", where, "is a link", "the file itself")
    if not stat.S_ISREG(found.st_mode):
        return Problem("no-file", where, "is not a regular file", "only regular files, no subfolders")
    limit = MAX_SUBMISSION_BYTES if path.name in SUBMISSIONS else MAX_TEXT_BYTES
    if path.name not in SUBMISSIONS and path.suffix not in SUFFIXES:
        return Problem(
            "strange-file", where, "has a file type that entries may not hold", f"one of {', '.join(SUFFIXES)}"
        )
    if found.st_size > limit:
        return Problem("too-large", where, f"has {found.st_size:,} bytes", f"at most {limit:,}")
    return None
