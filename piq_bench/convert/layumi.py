"""Matches features without names, as in layumi's pytorch_result.mat, to images by the order of torchvision's folders.

layumi's prepare.py puts each image into a folder named by what is before the first "_" of its name. torchvision lists
these folders sorted as text, -1 before 0000, and the names in each sorted too. The file holds the person and the camera
of each row, so every row is checked against the image that it would belong to.
Source: layumi/Person_reID_baseline_pytorch, prepare.py and test.py.
"""

import re
from pathlib import Path

import numpy as np

from piq_bench.convert.features import LabelledFeatures, UnnamedFeatures
from piq_bench.errors import BadSubmission, Problem, first_few, printable
from piq_bench.read.mapped import Array
from piq_bench.records import GALLERY, QUERY, SPLITS, Benchmark, IntArray

NAME = re.compile(r"(?P<folder>(?P<person>-?[0-9]{1,9}))_c(?P<camera>[0-9]{1,4}).{0,300}")
NOTE = (
    "the file has no names: its rows were matched by the order in which torchvision lists class folders, and the person"
    " and camera of every row agree with the name of its image"
)


def match_folder_order(path: Path, features: UnnamedFeatures, benchmark: Benchmark) -> tuple[Array, IntArray]:
    """The features of query and gallery in one array, and the row of each test image.

    Raises:
        BadSubmission: if a row's person or camera is not that of its image, or the number of rows differs.
    """
    problems: list[Problem] = []
    rows = np.full(benchmark.images.size, -1)
    first = 0
    for split, part in ((QUERY, features.query), (GALLERY, features.gallery)):
        images = np.flatnonzero(benchmark.split == split)
        base = {int(row): str(benchmark.images[row]).rpartition("/")[2] for row in images}
        ordered = sorted(base, key=lambda row: (base[row].partition("_")[0], base[row]))
        if len(ordered) != part.values.shape[0]:
            found = f"{part.values.shape[0]} rows, but the benchmark has {len(ordered)} {SPLITS[split]} images"
            remedy = "rows without names can only be matched if every image has one"
            problems.append(Problem("wrong-row-count", f"{SPLITS[split]}_f", found, remedy))
            continue
        problems += _disagreements(SPLITS[split], part, [base[row] for row in ordered])
        rows[ordered] = first + np.arange(len(ordered))
        first += len(ordered)
    if features.query.values.shape[1] != features.gallery.values.shape[1]:
        found = f"shape {features.query.values.shape}, but gallery_f has {features.gallery.values.shape}"
        problems.append(Problem("bad-shape", "query_f", found, "expected equally many columns"))
    if problems:
        raise BadSubmission(str(path), problems)
    return np.concatenate([features.query.values, features.gallery.values]), rows[benchmark.test_rows]


def _disagreements(split: str, part: LabelledFeatures, names: list[str]) -> list[Problem]:
    """Rows whose person or camera is not that of their image; layumi's test.py reads one digit of the camera."""
    wrong = []
    for row, (name, person, camera) in enumerate(zip(names, part.label.tolist(), part.camera.tolist(), strict=True)):
        match = NAME.fullmatch(name)
        if match is None:
            wrong.append(f"row {row}: {printable(name, 60)} names no person and camera")
        elif person != int(match["person"]) or camera not in (int(match["camera"]), int(match["camera"][0])):
            wrong.append(
                f"row {row}: person {person:g}, camera {camera:g}, but its image would be {printable(name, 60)}"
            )
    if not wrong:
        return []
    found = f"{len(wrong)} rows do not fit the order of torchvision's folders: {first_few(wrong, len(wrong))}"
    remedy = "save the features with the path of each row: numpy.savez(path, features=..., names=...)"
    return [Problem("wrong-order", f"{split}_f", found, remedy, len(wrong))]
