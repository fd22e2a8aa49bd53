"""Reads a Market-1501 style folder, in which the file names are the annotation.

`0002_c1s1_000451_03.jpg` shows person 0002 on camera 1 in sequence 1. Person -1 marks junk, person 0000 a distractor.
Names without a sequence, as in DukeMTMC-reID (`0001_c2_f0046182.jpg`), are read too.
Source: Zheng et al., Scalable person re-identification: a benchmark, ICCV 2015.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from piq_bench.errors import LimitExceeded, Problem, first_few, quoted
from piq_bench.read.column import Column, object_array
from piq_bench.read.litter import is_litter
from piq_bench.read.rows import Rows, index_identities
from piq_bench.read.rules import CandidateRules
from piq_bench.read.table import MAX_ROWS
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

FOLDERS = {"bounding_box_train": TRAIN, "query": QUERY, "bounding_box_test": GALLERY}
NAME = re.compile(r"(?P<person>-?[0-9]{1,9})_(?P<camera>c[0-9]{1,4})(?P<sequence>s[0-9]{1,4})?_[A-Za-z0-9_.-]{0,200}")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
RULES = CandidateRules(exclude=(SAME_CAMERA,), junk=("-1",), distractors=("0000",))


def is_market1501(folder: Path) -> bool:
    """Whether a folder contains any of the three folders of Market-1501."""
    return any((folder / name).is_dir() for name in FOLDERS)


def read_market1501(folder: Path) -> tuple[Rows | None, list[Problem], list[Problem]]:
    """Read the file names of a Market-1501 style folder.

    Returns:
        The rows, None if there are none; the problems; and as notes the files that were ignored.

    Raises:
        LimitExceeded: if there are more than MAX_ROWS files.
    """
    problems: list[Problem] = []
    notes: list[Problem] = []
    images: list[tuple[str, int, re.Match[str]]] = []
    for name, split in FOLDERS.items():
        files, ignored = _files(folder, name, problems)
        matches = [(file, NAME.fullmatch(file)) for file in files]
        unknown = [file for file, match in matches if match is None]
        if unknown:
            found = f"names that cannot be read: {first_few(unknown, len(unknown))}"
            remedy = "expected names such as 0002_c1s1_000451_03.jpg: person, camera, sequence, frame"
            problems.append(Problem("image-name", name, found, remedy, len(unknown)))
        if ignored:
            found = f"ignored: {first_few(ignored, len(ignored))}"
            remedy = "only images directly in the folder are read"
            notes.append(Problem("ignored-file", name, found, remedy, len(ignored)))
        images += [(f"{name}/{file}", split, match) for file, match in matches if match is not None]
    if not images:
        problems.append(Problem("no-rows", folder.name, "has no images", f"put images into {', '.join(FOLDERS)}"))
        return None, problems, notes
    return _rows(sorted(images, key=lambda image: image[0])), problems, notes


def _files(folder: Path, name: str, problems: list[Problem]) -> tuple[list[str], list[str]]:
    """Names of the images in one folder, ascending, and of the other entries, without litter."""
    try:
        with os.scandir(folder / name) as found:
            entries = list(_limited(found, folder))
        images = sorted(entry.name for entry in entries if _is_image(entry))
    except OSError as error:
        remedy = "add the folder of images, or check its permissions"
        problems.append(Problem("missing-folder", name, str(error.strerror or error), remedy))
        return [], []
    others = {entry.name for entry in entries} - set(images)
    return images, sorted(name for name in others if not is_litter(name))


def _limited(entries: Iterator["os.DirEntry[str]"], folder: Path) -> Iterator["os.DirEntry[str]"]:
    for number, entry in enumerate(entries):
        if number == MAX_ROWS:
            problem = Problem("too-large", folder.name, f"has more than {MAX_ROWS} files", f"at most {MAX_ROWS} files")
            raise LimitExceeded(str(folder), [problem])
        yield entry


def _is_image(entry: "os.DirEntry[str]") -> bool:
    return entry.name.lower().endswith(IMAGE_SUFFIXES) and not is_litter(entry.name) and entry.is_file()


def _rows(images: list[tuple[str, int, re.Match[str]]]) -> Rows:
    identity, identities = index_identities(Column.from_texts([match["person"] for _, _, match in images]))
    sequences = [match["camera"] + match["sequence"] if match["sequence"] else "" for _, _, match in images]
    nobody = np.zeros(len(images), dtype=np.bool_)
    return Rows(
        images=object_array([image for image, _, _ in images]),
        split=np.array([split for _, split, _ in images], dtype=np.int64),
        identity=identity,
        identities=identities,
        labels={},
        junk=nobody,
        distractor=nobody.copy(),
        source=None,
        sequence=Column.from_texts(sequences).rows() if any(sequences) else None,
        camera=Column.from_texts([match["camera"] for _, _, match in images]).rows(),
        row_name=lambda row: quoted(images[row][0]),
    )
