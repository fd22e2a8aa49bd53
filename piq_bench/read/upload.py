"""Finds the submission in an upload: a .npz file, or a zip or folder that contains exactly one.

Challenge hosts repack what participants send, and participants sometimes pack a folder instead of a file. The .npz is
searched for in subfolders too, and a zip inside a folder is opened. Nothing else is unpacked, links are not followed,
names from a zip are never used as paths, and no more is unpacked than the zip declares and the limits allow.
"""

import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from piq_bench.errors import BadSubmission, Problem, first_few, printable, quoted
from piq_bench.limits import MAX_UPLOAD_ENTRIES as MAX_ENTRIES
from piq_bench.limits import most_bytes
from piq_bench.read.kinds import PYTORCH, is_checkpoint_member
from piq_bench.read.litter import is_litter
from piq_bench.read.npz import ZIP_ERRORS, BoundedReader
from piq_bench.read.validate import path_fault
from piq_bench.write.files import PIECE_BYTES

MAX_DEPTH = 6
MAX_UNPACKED_BYTES = 8 << 30
REMEDY = "upload one submission.npz, or a zip or folder that contains exactly one .npz"


@dataclass(frozen=True)
class Upload:
    """The submission found in an upload.

    Attributes:
        path: the file to read; its content is still unchecked.
        name: its name inside the upload, for messages.
        notes: advice on how it should have been packed.
    """

    path: Path
    name: str
    notes: tuple[str, ...] = ()


def find_submission(path: Path, place: Path) -> Upload:
    """Find the one submission in an upload; the content of the .npz is not checked here.

    Args:
        path: the uploaded file or folder.
        place: an empty folder to unpack into.

    Raises:
        BadSubmission: with every problem found, if there is not exactly one .npz that can be unpacked.
    """
    if path.is_dir() and not path.is_symlink():
        return _in_folder(path, place)
    if path.is_symlink() or not path.is_file():
        found = "is a link or device" if os.path.lexists(path) else "no such file"
        raise BadSubmission(printable(path.name), [Problem("not-a-file", printable(path.name), found, REMEDY)])
    return _in_file(path, printable(path.name), place)


def _in_folder(folder: Path, place: Path) -> Upload:
    files, problems = _files(folder)
    found = [path for path in files if path.suffix.lower() == ".npz"]
    found = found or [path for path in files if path.suffix.lower() == ".zip"]
    names = [path.relative_to(folder).as_posix() for path in found]
    if len(found) != 1:
        has_arrays = any(path.suffix.lower() == ".npy" for path in files)
        problems.append(_wrong_number(names, has_arrays=has_arrays))
    if problems:
        raise BadSubmission("submission", problems)
    upload = _in_file(found[0], printable(names[0]), place)
    return _with_advice(upload, names[0])


def _files(folder: Path) -> tuple[list[Path], list[Problem]]:
    """All visible files below a folder, sorted, and the problems of links and of folders that are too deep."""
    files: list[Path] = []
    problems: list[Problem] = []
    n_entries, folders = 0, [(folder, 0)]
    while folders:
        current, depth = folders.pop()
        with os.scandir(current) as entries:
            for entry in entries:
                n_entries += 1
                if n_entries > MAX_ENTRIES:
                    return [], [_too_many_files()]
                name = printable(Path(entry.path).relative_to(folder).as_posix())
                if is_litter(entry.name):
                    continue
                if entry.is_symlink():
                    problems.append(Problem("link", name, "is a link", "include the file itself"))
                elif entry.is_dir():
                    if depth == MAX_DEPTH:
                        problems.append(Problem("too-deep", name, f"is more than {MAX_DEPTH} folders deep", REMEDY))
                    else:
                        folders.append((Path(entry.path), depth + 1))
                elif entry.is_file():
                    files.append(Path(entry.path))
    return sorted(files), sorted(problems, key=lambda problem: problem.where)


def _in_file(path: Path, name: str, place: Path) -> Upload:
    """The file itself, or the .npz in it if it is a zip that contains one."""
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return Upload(path, name)  # not a zip; reading it as a submission will say what is wrong
    try:
        with BoundedReader(path) as stream, zipfile.ZipFile(stream) as archive:
            members = [member for member in archive.infolist() if not member.filename.endswith("/")]
            if any(member.filename.endswith(".npy") and "/" not in member.filename for member in members):
                return Upload(path, name)  # a .npz, whatever its name
            member = _only_npz(members, name)
            _unpack(archive, member, place / "submission.npz", name)
    except ZIP_ERRORS as error:
        problem = Problem("not-an-archive", name, printable(error), "the file is truncated or damaged: pack it again")
        raise BadSubmission(name, [problem]) from None
    return _with_advice(Upload(place / "submission.npz", printable(member.filename)), member.filename)


def _only_npz(members: Sequence[zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    """The only .npz in a zip, checked so that it can be unpacked safely."""
    if len(members) > MAX_ENTRIES:
        raise BadSubmission(name, [_too_many_files()])
    members = [member for member in members if not any(map(is_litter, member.filename.split("/")))]
    if any(is_checkpoint_member(member.filename) for member in members):
        raise BadSubmission(name, [Problem("no-submission", "submission", PYTORCH.found, PYTORCH.remedy_for(name))])
    problems = list(_name_problems(members))
    found = [member for member in members if member.filename.lower().endswith(".npz")]
    if len(found) != 1:
        has_arrays = any(member.filename.endswith(".npy") for member in members)
        problems.append(_wrong_number([member.filename for member in found], has_arrays=has_arrays))
    for member in found:
        problems += _packing_problems(member)
    if problems:
        raise BadSubmission(name, problems)
    return found[0]


def _name_problems(members: Sequence[zipfile.ZipInfo]) -> Iterator[Problem]:
    """Problems of unsafe names. They are never used as paths here, but show a faulty or hostile packer."""
    for member in members:
        if (fault := path_fault(member.filename)) is not None:
            yield Problem("bad-path", printable(member.filename), fault, "use plain relative names")


def _packing_problems(member: zipfile.ZipInfo) -> Iterator[Problem]:
    where, size, packed = printable(member.filename), member.file_size, member.compress_size
    if stat.S_ISLNK(member.external_attr >> 16):
        yield Problem("link", where, "is a link", "include the file itself")
    if member.flag_bits & 1:
        yield Problem("encrypted-member", where, "is encrypted", "pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found = f"has compression method {member.compress_type}, which is not read"
        yield Problem("bad-compression", where, found, "pack it with deflate, or uncompressed")
    if size > MAX_UNPACKED_BYTES:
        found = f"has {size} bytes, the limit is {MAX_UNPACKED_BYTES}"
        yield Problem("file-too-large", where, found, "store the embedding as float16")
    elif size > most_bytes(packed):
        yield Problem("zip-bomb", where, f"{packed} bytes unpack to {size}, as in a zip bomb", "upload the .npz itself")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, name: str) -> None:
    n_bytes = 0
    with archive.open(member) as source, target.open("xb") as stream:
        while piece := source.read(PIECE_BYTES):
            n_bytes += len(piece)
            if n_bytes > member.file_size:
                problem = Problem("damaged", name, "holds more bytes than it declares", "pack it again")
                raise BadSubmission(name, [problem])
            stream.write(piece)


def _with_advice(upload: Upload, name: str) -> Upload:
    """Add advice to the notes if a folder was packed instead of a file."""
    if "/" not in name:
        return upload
    note = f"the submission was found in a folder, as {quoted(name)}: pack the file itself, not its folder"
    return Upload(upload.path, upload.name, (*upload.notes, note))


def _wrong_number(names: Sequence[str], *, has_arrays: bool) -> Problem:
    if names:
        found = f"contains {len(names)} submissions: {first_few(names, len(names))}"
        return Problem("many-submissions", "submission", found, REMEDY, len(names))
    found = "contains the .npy files of an unpacked .npz" if has_arrays else "there is no .npz"
    remedy = "do not unpack the .npz; put it into the zip as it is" if has_arrays else REMEDY
    return Problem("no-submission", "submission", found, remedy)


def _too_many_files() -> Problem:
    return Problem("too-many-files", "submission", f"contains more than {MAX_ENTRIES} files", REMEDY)
