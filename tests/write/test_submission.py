import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from piq_bench.errors import BadUsage
from piq_bench.write.submission import write_distances, write_submission

IMAGES = [f"m/{i}.jpg" for i in range(5)]


def write(path: Path, embedding: np.ndarray | None = None) -> None:
    values = np.arange(20, dtype=np.float32).reshape(5, 4) if embedding is None else embedding
    write_submission(path, images=IMAGES, embedding=values, predictions={"age": np.arange(5)}, meta={"name": "x"})


def test_numpy_reads_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert read["image"].tolist() == IMAGES
        assert read["embedding"].tolist() == np.arange(20.0).reshape(5, 4).tolist()
        assert read["age"].tolist() == list(range(5))
        assert str(read["meta"]) == '{"name": "x"}'


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.npz")
    monkeypatch.setattr("piq_bench.write.submission.BLOCK_VALUES", 3)
    write(tmp_path / "b.npz", np.asfortranarray(np.arange(20, dtype=np.float32).reshape(5, 4)))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_only_what_shrinks_is_compressed(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((400, 64), dtype=np.float32)
    for name, embedding in (("dense.npz", features), ("half-zero.npz", np.maximum(features, 0))):
        write_submission(tmp_path / name, images=[f"m/{i:05}.jpg" for i in range(400)], embedding=embedding)
        with zipfile.ZipFile(tmp_path / name) as archive:
            kind = {member.filename: member.compress_type for member in archive.infolist()}
        assert kind["image.npy"] == zipfile.ZIP_DEFLATED
        assert (kind["embedding.npy"] == zipfile.ZIP_STORED) == (name == "dense.npz")
        with np.load(tmp_path / name) as read:
            assert (read["embedding"] == embedding).all()


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a"])
def test_a_failure_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises((TypeError, ValueError, OSError)):
        write(tmp_path / "out" / name, np.array([[object()] * 4] * 5, dtype=object))
    assert list((tmp_path / "out").iterdir()) == []


def test_another_suffix_or_an_existing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"\.npz or \.parquet"):
        write(tmp_path / "a.csv")
    (tmp_path / "there").mkdir()
    with pytest.raises(BadUsage, match="already exists"):
        write(tmp_path / "there")


def test_a_distance_matrix_has_the_ids_of_its_rows_and_columns(tmp_path: Path) -> None:
    distance = np.arange(6, dtype=np.float32).reshape(2, 3)
    for name in ("a.npz", "a"):
        ids = {"query": IMAGES[:2], "gallery": IMAGES[2:]}
        write_distances(tmp_path / name, **ids, distance=distance, meta={"name": "x"})
        if name == "a.npz":
            with np.load(tmp_path / name) as content:
                arrays = dict(content)
        else:
            arrays = {file.stem: np.load(file) for file in (tmp_path / name).glob("*.npy")}
        assert arrays["distance"].tolist() == distance.tolist()
        assert arrays["query"].tolist() == IMAGES[:2]
        assert arrays["gallery"].tolist() == IMAGES[2:]
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for 3 x 3 images"):
        write_distances(tmp_path / "b.npz", query=IMAGES[:3], gallery=IMAGES[2:], distance=distance)
    with pytest.raises(BadUsage, match="a Parquet file holds no distance matrix"):
        write_distances(tmp_path / "b.parquet", query=IMAGES[:2], gallery=IMAGES[2:], distance=distance)


def test_parquet_written_in_blocks_reads_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.write.submission.BLOCK_VALUES", 8)  # two rows at a time
    write(tmp_path / "a.parquet", np.arange(20, dtype=">f2").reshape(5, 4))
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["image"].to_pylist() == IMAGES
    assert table["embedding"].to_pylist() == np.arange(20.0).reshape(5, 4).tolist()
    assert table["age"].to_pylist() == list(range(5))
    assert table.schema.metadata[b"piq-bench"] == b'{"name": "x"}'


@pytest.mark.parametrize(
    ("embedding", "predictions", "meta", "message"),
    [
        (np.ones((4, 2), np.float32), {}, {}, r"embedding has shape \(4, 2\), but there are 5 images"),
        (np.ones((5, 2), np.float32), {"age": np.arange(6)}, {}, r"age has shape \(6,\)"),
        (np.ones((5, 2), np.float32), {"age": np.zeros(())}, {}, r"age has shape \(\)"),
        (np.ones((5, 2), np.float32), {"image": np.arange(5)}, {}, "cannot be called 'image'"),
        (np.ones((5, 2), np.float32), {}, {"year": float("nan")}, "not JSON compliant"),
    ],
)
def test_a_submission_that_could_not_be_read_back_is_not_written(
    embedding: np.ndarray, predictions: dict[str, np.ndarray], meta: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        write_submission(tmp_path / "a.npz", images=IMAGES, embedding=embedding, predictions=predictions, meta=meta)
    assert list(tmp_path.iterdir()) == []
