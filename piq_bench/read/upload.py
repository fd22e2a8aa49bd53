"""What a host hands over to the submission in it: a .npz, or a zip or folder that holds exactly one.

Hosts of challenges repack what participants send, and participants pack a folder where a file was meant. One .npz is
looked for, in folders inside too; a zip in a folder is opened once. Nothing else is unpacked, no link is followed, no
name from a zip becomes a path here, and no more is unpacked than the zip declares and the limits allow.
"""

import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from piq_bench.errors import BadSubmission, Problem, first_few, printable, quoted
from piq_bench.read.npz import MAX_RATIO, UNPACKED_FREELY_BYTES, ZIP_ERRORS, BoundedReader
from piq_bench.read.validate import path_fault
from piq_bench.write.files import PIECE_BYTES

MAX_ENTRIES = 2000  # files and folders to look at
MAX_DEPTH = 6
MAX_UNPACKED_BYTES = 8 << 30
REMEDY = "hand in one submission.npz, or a zip or folder with exactly one .npz in it"


@dataclass(frozen=True)
class Upload:
    """A submission that was found.

    Attributes:
        path: a file to read, as suspect as before.
        name: what messages call it: its name where it was found.
        notes: how it should have been packed.
    """

    path: Path
    name: str
    notes: tuple[str, ...] = ()


def find_submission(path: Path, place: Path) -> Upload:
    """Find the one submission in what was handed over.

    Args:
        path: a file or a folder.
        place: an empty folder of ours to unpack into.

    Raises:
        BadSubmission: with everything that stands in the way; a .npz itself is not looked into.
    """
    if path.is_dir() and not path.is_symlink():
        return _in_folder(path, place)
    if path.is_symlink() or not path.is_file():
        found = "a link or device" if os.path.lexists(path) else "no such file"
        raise BadSubmission(printable(path.name), [Problem("not-a-file", printable(path.name), found, REMEDY)])
    return _in_file(path, printable(path.name), place)


def _in_folder(folder: Path, place: Path) -> Upload:
    files, problems = _files(folder)
    found = [path for path in files if path.suffix.lower() == ".npz"]
    found = found or [path for path in files if path.suffix.lower() == ".zip"]
    names = [path.relative_to(folder).as_posix() for path in found]
    if len(found) != 1:
        arrays = any(path.suffix.lower() == ".npy" for path in files)
        problems.append(_not_one(names, arrays=arrays))
    if problems:
        raise BadSubmission("submission", problems)
    upload = _in_file(found[0], printable(names[0]), place)
    return _noted(upload, names[0])


def _files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """Plain files below a folder by name, hidden ones left out, and what is wrong with the rest."""
    files: list[Path] = []
    problems: list[Problem] = []
    n_entries, folders = 0, [(folder, 0)]
    while folders:
        current, depth = folders.pop()
        with os.scandir(current) as entries:
            for entry in entries:
                n_entries += 1
                if n_entries > MAX_ENTRIES:
                    return [], [_too_many()]
                name = printable(Path(entry.path).relative_to(folder).as_posix())
                if _is_clutter(entry.name):
                    continue
                if entry.is_symlink():
                    problems.append(Problem("link", name, "is a link", "the file itself"))
                elif entry.is_dir():
                    if depth == MAX_DEPTH:
                        problems.append(Problem("too-deep", name, "lies too deep", REMEDY))
                    else:
                        folders.append((Path(entry.path), depth + 1))
                elif entry.is_file():
                    files.append(Path(entry.path))
    return sorted(files), sorted(problems, key=lambda problem: problem.where)


def _in_file(path: Path, name: str, place: Path) -> Upload:
    """The file itself, unless it is a zip around a .npz, or one in which a .npz is missing."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return Upload(path, name)  # no zip: whoever reads it says what is wrong
    try:
        with BoundedReader(path) as stream, zipfile.ZipFile(stream) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if any(member.filename.endswith(".npy") and "/" not in member.filename for member in members):
                return Upload(path, name)  # a .npz, by whatever name
            member = _the_one(members, name)
            _unpack(archive, member, place / "submission.npz", name)
    except ZIP_ERRORS as error:
        problem = Problem("not-an-archive", name, printable(error), "the file is truncated or damaged: pack it again")
        raise BadSubmission(name, [problem]) from None
    return _noted(Upload(place / "submission.npz", printable(member.filename)), member.filename)


def _the_one(members: Sequence[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    """The only .npz of a zip, fit to be unpacked."""
    if len(members) > MAX_ENTRIES:
        raise BadSubmission(name, [_too_many()])
    members = [member for member in members if not any(map(_is_clutter, member.filename.split("/")))]
    problems = list(_bad_names(members))
    found = [member for member in members if member.filename.lower().endswith(".npz")]
    if len(found) != 1:
        arrays = any(member.filename.endswith(".npy") for member in members)
        problems.append(_not_one([member.filename for member in found], arrays=arrays))
    for member in found:
        problems += _unfit(member)
    if problems:
        raise BadSubmission(name, problems)
    return found[0]


def _bad_names(members: Sequence[zipfile.ZipInfo]) -> Iterator[Problem]:
    """No name is used as a path; whoever writes such names means no good, or has a broken program."""
    for member in members:
        if (fault := path_fault(member.filename)) is not None:
            yield Problem("bad-path", printable(member.filename), fault, "plain names, and folders below")


def _unfit(member: zipfile.ZipInfo) -> Iterator[Problem]:
    where, size, packed = printable(member.filename), member.file_size, member.compress_size
    if stat.S_ISLNK(member.external_attr >> 16):
        yield Problem("link", where, "is a link", "the file itself")
    if member.flag_bits & 1:
        yield Problem("encrypted-member", where, "is encrypted", "pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield Problem("bad-compression", where, f"compression method {member.compress_type}", "store or deflate")
    if size > MAX_UNPACKED_BYTES:
        found = f"{size} bytes, the limit is {MAX_UNPACKED_BYTES}"
        yield Problem("file-too-large", where, found, "store the embedding as float16")
    elif size > max(UNPACKED_FREELY_BYTES, MAX_RATIO * packed):
        yield Problem("zip-bomb", where, f"{packed} bytes unpack to {size}", "hand in the .npz itself")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, name: str) -> None:
    n_bytes = 0
    with archive.open(member) as source, target.open("xb") as stream:
        while piece := source.read(PIECE_BYTES):
            n_bytes += len(piece)
            if n_bytes > member.file_size:
                problem = Problem("damaged", name, "holds more than it declares", "pack it again")
                raise BadSubmission(name, [problem])
            stream.write(piece)


def _noted(upload: Upload, name: str) -> Upload:
    """Say so where a folder was packed instead of a file."""
    if "/" not in name:
        return upload
    note = f"found in a folder, as {quoted(name)}: pack the file itself, not its folder"
    return Upload(upload.path, upload.name, (*upload.notes, note))


def _is_clutter(name: str) -> bool:
    """What systems leave in folders and zips on their own."""
    return (name.startswith(".") and name != "..") or name == "__MACOSX"


def _not_one(names: Sequence[str], *, arrays: bool) -> Problem:
    if names:
        found = f"{len(names)} submissions: {first_few(names, len(names))}"
        return Problem("many-submissions", "submission", found, REMEDY, len(names))
    remedy = "leave the .npz packed and put it into a zip as it is" if arrays else REMEDY
    return Problem("no-submission", "submission", "unpacked .npy files" if arrays else "there is no .npz", remedy)


def _too_many() -> Problem:
    return Problem("too-many-files", "submission", f"more than {MAX_ENTRIES} files", REMEDY)
