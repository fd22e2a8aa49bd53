"""An entry's folder: which files it may hold, and where they are. Nothing in it is followed, unpacked or run here.

Predictions that are too large for git lie elsewhere: submission.ref.toml says where, and which file it must be.
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from piq_bench.board.metadata import Metadata, read_metadata
from piq_bench.board.reference import REFERENCE, Reference, read_reference
from piq_bench.errors import BadSubmission, BadUsage, Problem, printable, quoted

ID = re.compile(r"[a-z0-9][a-z0-9-]{1,79}")
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows cannot check out
SUBMISSIONS = ("submission.npz", "submission.parquet")
RESULT = "result.json"
SUFFIXES = (".md", ".toml", ".json", ".csv", ".txt")  # of what may stand beside a submission
MAX_FILES = 32
MAX_TEXT_BYTES = 2 << 20
MAX_SUBMISSION_BYTES = 64 << 20
GENERATED = "board"  # the folder of the pages, beside the entries
SKIPPED = (GENERATED, "__pycache__")  # folders that are no entries; the second appears when our script is run
TAKEN = (GENERATED, "index")  # an entry's page would be written over the one of all entries


@dataclass(frozen=True, eq=False)
class Entry:
    """An entry whose form is right.

    Attributes:
        id: the folder's name.
        folder: where it is.
        metadata: what its author says.
        submission: its predictions; None where they lie elsewhere.
        reference: where they lie, in that case.
    """

    id: str
    folder: Path
    metadata: Metadata
    submission: Path | None
    reference: Reference | None = None

    @property
    def result(self) -> Path:
        """What the grader wrote, or will write."""
        return self.folder / RESULT


def read_entry(folder: Path) -> Entry:
    """Read an entry, but not its predictions.

    Raises:
        BadUsage: if there is no such folder.
        BadSubmission: with everything that is wrong with its files or its metadata.
    """
    if not folder.is_dir():
        raise BadUsage(str(folder), [Problem("no-entry", printable(folder.name), "is no folder", "name an entry")])
    name = folder.resolve().name
    problems = []
    if not ID.fullmatch(name) or name in TAKEN or DEVICE.fullmatch(name):
        remedy = f"2 to 80 small letters, digits and hyphens, neither {' nor '.join(map(quoted, TAKEN))} nor a device"
        problems.append(Problem("bad-name", printable(name), "cannot be an entry's name", remedy))
    if folder.is_symlink():
        problems.append(Problem("link", printable(name), "is a link", "a folder"))
    files = sorted(folder.iterdir())
    if len(files) > MAX_FILES:
        problems.append(Problem("too-many-files", printable(name), f"holds {len(files)}", f"at most {MAX_FILES}"))
    problems += [problem for path in files[:MAX_FILES] if (problem := _misfit(path)) is not None]
    found = [folder / one for one in (*SUBMISSIONS, REFERENCE) if (folder / one).exists()]
    if len(found) != 1:
        remedy = f"one of {', '.join(map(quoted, (*SUBMISSIONS, REFERENCE)))}"
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
    """The folders of all entries, by name.

    Raises:
        BadUsage: if there is no such folder.
    """
    if not folder.is_dir():
        raise BadUsage(str(folder), [Problem("no-entries", printable(folder.name), "is no folder", "submissions")])
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in SKIPPED)


def _misfit(path: Path) -> Problem | None:
    """What is wrong with a file of an entry."""
    where, found = printable(path.name), path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Problem("link", where, "is a link", "the file itself")
    if not stat.S_ISREG(found.st_mode):
        return Problem("no-file", where, "is no plain file", "files alone, without folders")
    limit = MAX_SUBMISSION_BYTES if path.name in SUBMISSIONS else MAX_TEXT_BYTES
    if path.name not in SUBMISSIONS and path.suffix not in SUFFIXES:
        return Problem("strange-file", where, "is of no kind that an entry has", f"one of {', '.join(SUFFIXES)}")
    if found.st_size > limit:
        return Problem("too-large", where, f"has {found.st_size:,} bytes", f"at most {limit:,}")
    return None
