"""Reads identities from what CVAT exports as Market-1501, a folder or a .zip.

The names of the images hold the person: 0007_c1s1_000012_00.jpg. Older versions add the image's own name; newer ones
keep only its folder, so that the image is found by its content. The person -1 is unknown, and 0 is nobody.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO

from piq_bench.build.annotate.given import Given, Labels, Names
from piq_bench.build.annotate.project import Project
from piq_bench.errors import BadDataset, Problem, printable
from piq_bench.images.folder import Unreadable

NAME = re.compile(r"(-?\d{1,12})_c(\d{1,6})s(\d{1,9})_(\d{1,12})_(\d{2})(.*)", re.DOTALL)
FOLDER = re.compile(r"query|bounding_box_[^/]*")
LIST = re.compile(r"images_[^/]*\.txt")
MAX_ENTRIES = 2_000_000
MAX_LIST_BYTES = 256 << 20
MAX_PATH = 4096
PIECE_BYTES = 1 << 20
UNKNOWN = ("-1", "0", "0000")
ANNOTATOR = "CVAT"
# What zipfile raises on damaged files, besides its own error.
ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


class Export:
    """The files of an export, by path."""

    def __init__(self, path: Path, archive: zipfile.ZipFile | None) -> None:
        self.path, self.archive = path, archive
        self.sizes: dict[str, int] = {}
        if archive is not None:
            self.sizes = {e.filename: e.file_size for e in archive.infolist() if not e.is_dir()}
        else:
            for file in path.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    self.sizes[file.relative_to(path).as_posix()] = file.stat().st_size
        if len(self.sizes) > MAX_ENTRIES:
            raise ValueError(f"holds more than {MAX_ENTRIES} files")

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read one file."""
        with self.archive.open(name) if self.archive is not None else (self.path / name).open("rb") as stream:
            yield stream

    def digest(self, name: str) -> bytes:
        """SHA-256 of a file, of which no more is read than it declares."""
        found, left = sha256(), self.sizes[name]
        with self.open(name) as stream:
            while left > 0 and (piece := stream.read(min(PIECE_BYTES, left))):
                found.update(piece)
                left -= len(piece)
        return found.digest()


def read(path: Path, project: Project) -> Given:
    """Read an export.

    Raises:
        BadDataset: if it is none.
    """
    remedy = "export the task from CVAT as Market-1501, with images"
    try:
        if path.is_dir():
            return _read(Export(path, None), project)
        with zipfile.ZipFile(path) as archive:
            return _read(Export(path, archive), project)
    except ARCHIVE_ERRORS as error:
        found = printable(getattr(error, "strerror", None) or error)
        raise BadDataset(str(path), [Problem("cvat", path.name, found, remedy)]) from None


def _read(export: Export, project: Project) -> Given:
    task = project.benchmark.retrieval_task
    if task is None:
        raise ValueError("the benchmark has no task that asks for identities")
    names = Names(project.benchmark.images)
    contents: Contents | None = None
    labels, unknown = Labels(), 0
    found = [name for name in export.sizes if _split(name) is not None]
    listed = [name for name in _listed(export) if _split(name) is not None]
    for name in dict.fromkeys([*found, *listed]):
        _, inner = _split(name) or ("", "")
        folder, base = str(PurePosixPath(inner).parent), PurePosixPath(inner).name
        match = NAME.fullmatch(base.rpartition(".")[0])
        if match is None or match[1] in UNKNOWN or match[1].lstrip("0") == "":
            continue
        own = match[6].lstrip("_")
        image = names.find_stem(own if folder == "." else f"{folder}/{own}") if own else None
        image = image or names.find(inner)  # a data set with names of this form
        if image is None and name in export.sizes:
            contents = contents or Contents(project)
            image = contents.find(export, name)
        if image is None:
            unknown += 1
        else:
            labels[ANNOTATOR, task.name, image] = (match[1],)
    return Given(labels, unknown)


def _split(name: str) -> tuple[str, str] | None:
    """The folder of the format in a path and what follows it; None if there is none."""
    parts = name.split("/") if len(name) <= MAX_PATH else []
    place = next((at for at, part in enumerate(parts[:-1]) if FOLDER.fullmatch(part)), None)
    return None if place is None else (parts[place], "/".join(parts[place + 1 :]))


def _listed(export: Export) -> Iterator[str]:
    """Paths in the lists of an export, which may have come without its images."""
    for name, size in export.sizes.items():
        if LIST.fullmatch(name.rpartition("/")[2]) and size <= MAX_LIST_BYTES:
            with export.open(name) as stream:
                yield from (line.strip() for line in stream.read(size).decode("utf-8", "replace").splitlines())


class Contents:
    """Finds images by their bytes; each file is hashed once, and only if another of its size is asked for."""

    def __init__(self, project: Project) -> None:
        self.files = project.files
        self.by_size: dict[int, list[str]] = {}
        self.by_digest: dict[int, dict[bytes, list[str]]] = {}
        for image in project.benchmark.images:
            try:
                self.by_size.setdefault(self.files.stat(str(image)).st_size, []).append(str(image))
            except Unreadable:
                continue

    def find(self, export: Export, name: str) -> str | None:
        """The image with the same bytes as a file of the export; None if there is none, or several."""
        size = export.sizes[name]
        if size not in self.by_size:
            return None
        if size not in self.by_digest:
            digests: dict[bytes, list[str]] = {}
            for image in self.by_size[size]:
                try:
                    digests.setdefault(sha256(self.files.read(image).data).digest(), []).append(image)
                except Unreadable:
                    continue
            self.by_digest[size] = digests
        same = self.by_digest[size].get(export.digest(name), [])
        return same[0] if len(same) == 1 else None
