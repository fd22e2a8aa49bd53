"""MARS, in which a query and a gallery entry are tracklets: runs of frames of one person seen by one camera.

`info/train_name.txt` and `test_name.txt` name all frames. The tables `tracks_train_info.mat` and `tracks_test_info.mat`
give each tracklet's first and last line, identity and camera; `query_IDX.mat` numbers the tracklets that are queries. A
frame's name such as `0001C1T0001F001.jpg` is identity, camera, tracklet and frame; 00-1 is junk, 0000 a
distractor.

A tracklet has one row, and so one embedding, under the name of its first frame. As in the official evaluation all test
tracklets are the gallery, the queries too; a query has a second row, under the name of its last frame, and its own
tracklet is excluded as it has the same identity and camera. Code that leaves queries out of the gallery leaves 140 of
them without a match.
Source: Zheng et al., MARS: a video benchmark for large-scale person re-identification, ECCV 2016; sizes counted in its
files.
"""

import re
from pathlib import Path

import numpy as np

from piq_bench.errors import BadDataset, Problem, first_few
from piq_bench.read.layouts.layout import Image, Layout
from piq_bench.read.layouts.matlab import load_mat
from piq_bench.read.layouts.scan import Scanner
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN, IntArray

NAME = re.compile(r"(?P<identity>00-1|\d{4})C(?P<camera>\d)(?P<tracklet>T\d{4})F\d{3,4}\.jpg", re.ASCII)
MAX_NAME = 64
FIRST, LAST, IDENTITY, CAMERA = range(4)  # columns of the tables
TRAIN_NAMES, TEST_NAMES = "info/train_name.txt", "info/test_name.txt"
TRAIN_TRACKS, TEST_TRACKS = "info/tracks_train_info.mat", "info/tracks_test_info.mat"
QUERIES = "info/query_IDX.mat"


def read_mars(root: Path) -> tuple[list[Image], list[Problem]]:
    """The tracklets of all splits, and what is wrong with the lists and tables."""
    problems: list[Problem] = []
    images: list[Image] = []
    scanner = Scanner(root)
    try:
        train = _table(root / TRAIN_TRACKS, "track_train_info")
        test = _table(root / TEST_TRACKS, "track_test_info")
        file = load_mat(root / QUERIES, ["query_IDX"])
        query = file.numbers(np.ravel(file.variables["query_IDX"]), "query_IDX")
    except BadDataset as refusal:
        return [], list(refusal.problems)
    outside = np.flatnonzero((query < 1) | (query > len(test)))
    if outside.size:
        found = f"tracklets that do not exist: {first_few(query[outside].tolist(), outside.size)}"
        problems.append(Problem("track-number", QUERIES, found, f"numbers from 1 to {len(test)}", outside.size))
        query = np.delete(query, outside)
    names = {file: scanner.lines(file) for file in (TRAIN_NAMES, TEST_NAMES)}
    problems += [problem for listing in names.values() for problem in listing.problems]
    if problems:
        return [], problems
    for folder, split, list_file, tracks, column in (
        ("bbox_train", TRAIN, TRAIN_NAMES, train, FIRST),
        ("bbox_test", GALLERY, TEST_NAMES, test, FIRST),
        ("bbox_test", QUERY, TEST_NAMES, test[query - 1], LAST),
    ):
        images += _tracklets(folder, split, list_file, names[list_file].names, tracks, column, problems)
    return images, problems


def _table(path: Path, variable: str) -> IntArray:
    """Shape (n_tracklets, 4); the tracklets of a file."""
    file = load_mat(path, [variable])
    value = file.variables[variable]
    return file.numbers(value, variable, (np.size(value) // 4, 4))


def _tracklets(
    folder: str,
    split: int,
    list_file: str,
    names: list[str],
    tracks: IntArray,
    column: int,
    problems: list[Problem],
) -> list[Image]:
    """One image per tracklet: the frame in the line that a column of its row gives."""
    images: list[Image] = []
    wrong = []
    for number, track in enumerate(tracks.tolist(), 1):
        name = names[track[column] - 1] if 1 <= track[FIRST] <= track[LAST] <= len(names) else ""
        match = NAME.fullmatch(name) if len(name) <= MAX_NAME else None
        if match is None or (_number(match["identity"]), int(match["camera"])) != (track[IDENTITY], track[CAMERA]):
            wrong.append(f"row {number}: {name}")
            continue
        columns = {
            "identity": "-1" if match["identity"] == "00-1" else match["identity"],
            "camera": match["camera"],
            "tracklet": match["identity"] + "C" + match["camera"] + match["tracklet"],
        }
        images.append((f"{folder}/{match['identity']}/{name}", split, columns))
    if wrong:
        found = f"tracklets that do not fit their table: {first_few(wrong, len(wrong))}"
        remedy = "lists and tables of the same edition, with lines counted from 1"
        problems.append(Problem("track-name", list_file, found, remedy, len(wrong)))
    return images


def _number(identity: str) -> int:
    return -1 if identity == "00-1" else int(identity)


MARS = Layout(
    name="mars",
    title="MARS",
    example="0001C1T0001F001.jpg",
    parts=(),
    rules=CandidateRules(exclude=(SAME_CAMERA,), junk=("-1",), distractors=("0000",)),
    editions=({TRAIN: (8298, 625), QUERY: (1980, 626), GALLERY: (12180, 634)},),
    remark="a tracklet is named by its first frame; as a query, which the gallery holds too, by its last frame",
    read=read_mars,
    more_needs=("bbox_train", "bbox_test", TRAIN_NAMES, TEST_NAMES, TRAIN_TRACKS, TEST_TRACKS, QUERIES),
)
