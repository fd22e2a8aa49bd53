"""MARS is read from its lists and tables: one row per tracklet, and a second one for each query."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import savemat

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.records import SAME_CAMERA

TRAIN = ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg"]
TEST = [
    *("00-1C1T0001F001.jpg", "00-1C1T0001F002.jpg"),
    *("0000C2T0001F001.jpg", "0000C2T0001F002.jpg"),
    *("0002C1T0001F001.jpg", "0002C1T0001F002.jpg", "0002C1T0001F003.jpg"),
    *("0002C3T0001F001.jpg", "0002C3T0001F002.jpg"),
    *("0004C3T0001F001.jpg",),
]
TRACKS = [[1, 2, -1, 1], [3, 4, 0, 2], [5, 7, 2, 1], [8, 9, 2, 3], [10, 10, 4, 3]]
QUERY, GALLERY = "bbox_test/0002/0002C1T0001F003.jpg", "bbox_test/0002/0002C3T0001F001.jpg"


def write(root: Path, tracks: list[list[int]] = TRACKS, query: tuple[int, ...] = (3,)) -> Path:
    for folder in ("bbox_train", "bbox_test", "info"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "info" / "train_name.txt").write_text("\n".join(TRAIN) + "\n", encoding="ascii")
    (root / "info" / "test_name.txt").write_text("\n".join(TEST) + "\n", encoding="ascii")
    train = np.array([[1, 2, 1, 1]], dtype=np.int32)
    savemat(root / "info" / "tracks_train_info.mat", {"track_train_info": train})
    savemat(root / "info" / "tracks_test_info.mat", {"track_test_info": np.array(tracks, dtype=np.int32)})
    savemat(root / "info" / "query_IDX.mat", {"query_IDX": np.array([query], dtype=np.int32)})
    return root


def test_a_tracklet_is_a_row_and_a_query_has_a_second_one(tmp_path: Path) -> None:
    inspection = inspect_dataset(write(tmp_path / "MARS"))
    benchmark = inspection.benchmark
    assert benchmark.layout == "mars"
    assert benchmark.images[benchmark.split == 0].tolist() == ["bbox_train/0001/0001C1T0001F001.jpg"]
    assert benchmark.images[benchmark.split == 1].tolist() == [QUERY]
    assert benchmark.images[benchmark.split == 2].tolist() == [
        "bbox_test/00-1/00-1C1T0001F001.jpg",
        "bbox_test/0000/0000C2T0001F001.jpg",
        "bbox_test/0002/0002C1T0001F001.jpg",
        GALLERY,
        "bbox_test/0004/0004C3T0001F001.jpg",
    ]
    assert benchmark.identities == ("0001", "0002", "0004")
    assert (int(benchmark.junk.sum()), int(benchmark.distractor.sum())) == (1, 1)
    assert benchmark.columns["tracklet"].tolist()[:3] == ["00-1C1T0001", "0000C2T0001", "0002C1T0001"]
    assert benchmark.exclude == (SAME_CAMERA,)
    assert [note.code for note in inspection.notes] == ["layout", "other-sizes"]


def test_a_query_is_not_compared_with_its_own_tracklet(tmp_path: Path) -> None:
    folder = write(tmp_path / "MARS")
    benchmark = read_benchmark(folder)
    near = {QUERY: [1, 0], "bbox_test/0002/0002C1T0001F001.jpg": [1, 0], GALLERY: [1, 1]}
    test = benchmark.images[benchmark.test_rows]
    vectors = np.array([near.get(image, [1, 0.5]) for image in test], dtype=np.float32)
    np.savez(tmp_path / "s.npz", image=test.astype(str), embedding=vectors)
    options = ["--dataset", str(folder), "--bootstrap", "0", "--format", "json"]
    done = CliRunner().invoke(load_command("score"), [str(tmp_path / "s.npz"), *options])
    assert json.loads(done.stdout)["reid"]["map"] == pytest.approx(1 / 3)  # after 0000 and 0004; -1 takes no part


@pytest.mark.parametrize(
    ("tracks", "query", "message"),
    [
        ([*TRACKS[:4], [10, 11, 4, 3]], (3,), "tracklets that do not fit their table: 'row 5: '"),
        ([*TRACKS[:4], [10, 10, 5, 3]], (3,), "'row 5: 0004C3T0001F001.jpg'"),
        ([*TRACKS[:4], [10, 10, 4, 2]], (3,), "'row 5: 0004C3T0001F001.jpg'"),
        (TRACKS, (3, 6), "tracklets that do not exist: '6'"),
        (TRACKS, (0,), "tracklets that do not exist: '0'"),
        (TRACKS, (5,), "image-in-two-splits"),  # a single frame cannot name both rows
    ],
)
def test_tables_that_do_not_fit_are_refused(
    tracks: list[list[int]], query: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadDataset, match=message):
        read_benchmark(write(tmp_path, tracks, query))


def test_a_table_without_its_variable_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    savemat(folder / "info" / "query_IDX.mat", {"other": np.array([[1]])})
    with pytest.raises(BadDataset, match="has no variable 'query_IDX'"):
        read_benchmark(folder)
