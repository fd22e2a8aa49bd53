"""Every source gives the submission, and the score, of the features that were put into it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from convert_builders import Case, layumi_content
from folders import market1501_names, shared_data, write_market
from rerank_oracle import plain_distances, plain_rerank
from scipy.io import savemat

from piq_bench.cli import load_command
from piq_bench.convert.submission import convert
from piq_bench.errors import BadSubmission
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.write.submission import write_submission

Writer = Callable[[Path, Case], list[str]]
"""Writes a source into a folder and returns the arguments of the command."""


def npy_with(names: Callable[[Path, list[str]], Path]) -> Writer:
    def write(folder: Path, case: Case) -> list[str]:
        np.save(folder / "features.npy", case.values)
        return [str(folder / "features.npy"), "--names", str(names(folder, case.paths()))]

    return write


def text_names(folder: Path, paths: list[str]) -> Path:
    (folder / "names.txt").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return folder / "names.txt"


def npy_names(folder: Path, paths: list[str]) -> Path:
    np.save(folder / "names.npy", np.array(paths))
    return folder / "names.npy"


def json_names(folder: Path, paths: list[str]) -> Path:
    (folder / "names.json").write_text(json.dumps(paths), encoding="utf-8")
    return folder / "names.json"


def csv_names(folder: Path, paths: list[str]) -> Path:
    pd.DataFrame({"label": range(len(paths)), "path": paths}).to_csv(folder / "names.csv")
    return folder / "names.csv"


def npz(folder: Path, case: Case) -> list[str]:
    np.savez(folder / "f.npz", features=case.values, names=np.array(case.images), pids=np.arange(len(case.images)))
    return [str(folder / "f.npz")]


def submission_folder(folder: Path, case: Case) -> list[str]:
    images = case.test_images
    write_submission(folder / "entry", images=images, embedding=case.vectors(images), meta={"distance": "cosine"})
    return [str(folder / "entry")]


def mat_cells(folder: Path, case: Case) -> list[str]:
    cells = np.empty((len(case.images), 1), dtype=object)
    cells[:, 0] = case.paths()
    savemat(folder / "f.mat", {"feat": case.values, "img_paths": cells, "labels": [1, 2]}, do_compression=True)
    return [str(folder / "f.mat")]


def mat_characters(folder: Path, case: Case) -> list[str]:
    savemat(folder / "f.mat", {"my_matrix": case.values, "my_list": np.array(case.images)})
    return [str(folder / "f.mat")]


def layumi(folder: Path, case: Case) -> list[str]:
    savemat(folder / "pytorch_result.mat", layumi_content(case))
    return [str(folder / "pytorch_result.mat")]


def torch_dict(folder: Path, case: Case) -> list[str]:
    torch = pytest.importorskip("torch")
    torch.save({"features": torch.tensor(case.values), "paths": case.paths(), "epoch": 3}, folder / "f.pt")
    return [str(folder / "f.pt")]


def torch_tensor(folder: Path, case: Case) -> list[str]:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Parameter(torch.tensor(case.values)), folder / "f.pth")
    return [str(folder / "f.pth"), "--names", str(text_names(folder, case.paths()))]


def safetensors_metadata(folder: Path, case: Case) -> list[str]:
    library = pytest.importorskip("safetensors.numpy")
    content = {"features": case.values, "labels": np.arange(3)}
    library.save_file(content, folder / "f.safetensors", metadata={"names": json.dumps(case.paths())})
    return [str(folder / "f.safetensors")]


def safetensors_names(folder: Path, case: Case) -> list[str]:
    library = pytest.importorskip("safetensors.numpy")
    library.save_file({"x": case.values}, folder / "f.bin")
    return [str(folder / "f.bin"), "--names", str(json_names(folder, case.paths()))]


def frame(case: Case) -> pd.DataFrame:
    """Like OpenMetricLearning's, with a path column."""
    n = len(case.images)
    return pd.DataFrame({"label": range(n), "split": "validation", "is_query": True, "path": case.paths()})


def parquet_lists(folder: Path, case: Case) -> list[str]:
    frame(case).assign(embedding=list(case.values)).to_parquet(folder / "f.parquet")
    return [str(folder / "f.parquet")]


def parquet_columns(folder: Path, case: Case) -> list[str]:
    columns = pd.DataFrame(case.values, columns=[str(i) for i in range(case.values.shape[1])])
    pd.concat([frame(case), columns], axis=1).to_parquet(folder / "f.parquet")
    return [str(folder / "f.parquet")]


def csv_lists(folder: Path, case: Case) -> list[str]:
    frame(case).assign(embedding=[vector.tolist() for vector in case.values]).to_csv(folder / "f.csv")
    return [str(folder / "f.csv")]


def csv_columns(folder: Path, case: Case) -> list[str]:
    columns = pd.DataFrame(case.values, columns=[f"x_{i}" for i in range(case.values.shape[1])])
    pd.concat([frame(case), columns[columns.columns[::-1]]], axis=1).to_csv(folder / "f.csv")
    return [str(folder / "f.csv")]


def fast_reid(folder: Path, case: Case) -> list[str]:
    (folder / "features").mkdir()
    for image, vector in zip(case.images, case.values, strict=True):
        np.save(folder / "features" / f"{image.rpartition('/')[2].split('.')[0]}.npy", vector[None])
    return [str(folder / "features")]


WRITERS = {
    "npy and text": npy_with(text_names),
    "npy and npy": npy_with(npy_names),
    "npy and json": npy_with(json_names),
    "npy and csv": npy_with(csv_names),
} | {
    write.__name__: write
    for write in (
        npz,
        submission_folder,
        mat_cells,
        mat_characters,
        layumi,
        torch_dict,
        torch_tensor,
        safetensors_metadata,
        safetensors_names,
        parquet_lists,
        parquet_columns,
        csv_lists,
        csv_columns,
        fast_reid,
    )
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_source_scores_like_its_features(name: str, case: Case, tmp_path: Path) -> None:
    arguments = WRITERS[name](tmp_path, case)
    out, direct = tmp_path / "out.npz", tmp_path / "direct.npz"
    options = ["--dataset", str(case.folder)]
    result = CliRunner().invoke(load_command("convert"), [*arguments, *options, "--out", str(out), "--name", "direct"])
    assert result.exit_code == 0, result.output
    assert f"wrote {out}: 14 images, 5 values each" in result.stdout
    assert ("note: 2 rows are of no query or gallery image" in result.stderr) == (
        name not in ("layumi", "submission_folder")
    )
    assert ("order" in result.stderr) == (name == "layumi")
    images = case.test_images
    meta = {"name": "direct", "benchmark": "market", "distance": "cosine"}
    write_submission(direct, images=images, embedding=case.vectors(images), meta=meta)
    assert out.read_bytes() == direct.read_bytes()
    scores = [score(path, case) for path in (out, direct)]
    assert scores[0] == scores[1]
    assert scores[0]["reid"]["queries"] == 3


def score(path: Path, case: Case) -> dict[str, Any]:
    arguments = [str(path), "--dataset", str(case.folder), "--bootstrap", "0", "--format", "json"]
    result = CliRunner().invoke(load_command("score"), arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return {key: value for key, value in found.items() if key != "file"}


def test_double_precision_is_rounded_with_a_note(case: Case, tmp_path: Path) -> None:
    values = case.values.astype(np.float64) + 1e-9
    np.savez(tmp_path / "f.npz", features=values, names=np.array(case.images))
    out = tmp_path / "out"
    arguments = [str(tmp_path / "f.npz"), "--dataset", str(case.folder), "--out", str(out), "--distance", "euclidean"]
    result = CliRunner().invoke(load_command("convert"), arguments)
    assert "note: values were rounded from float64 to float32" in result.stderr
    read = read_submission(out, case.benchmark)
    assert (read.name, read.distance) == ("f", "euclidean")
    assert read.embedding is not None
    expected = values[[case.images.index(image) for image in case.test_images]].astype(np.float32)
    assert np.asarray(read.embedding).tobytes() == expected.tobytes()


def test_missing_junk_is_no_problem(case: Case, tmp_path: Path) -> None:
    rows = [row for row, image in enumerate(case.images) if "/-1_" not in image]
    names = np.array([case.images[row] for row in rows])
    np.savez(tmp_path / "some.npz", features=case.values[rows], names=names)
    np.savez(tmp_path / "all.npz", features=case.values, names=np.array(case.images))
    scores = []
    for source in ("some", "all"):
        out = tmp_path / f"{source}-out.npz"
        arguments = [str(tmp_path / f"{source}.npz"), "--dataset", str(case.folder), "--out", str(out)]
        result = CliRunner().invoke(load_command("convert"), arguments)
        assert result.exit_code == 0, result.output
        assert ("note: 2 junk images have no features; they take no part" in result.stderr) == (source == "some")
        with np.load(out) as content:
            assert (len(content["image"]) == len(case.test_images)) == (source == "all")  # no row is made up
        scores.append(score(out, case)["reid"])
    assert scores[0] == scores[1]


def test_reranking_writes_distances_with_the_ids_of_rows_and_columns(case: Case, tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", features=case.values, names=np.array(case.images))
    out = tmp_path / "out.npz"
    arguments = [str(tmp_path / "f.npz"), "--dataset", str(case.folder), "--out", str(out)]
    options = ["--rerank", "k-reciprocal", "--k1", "4", "--k2", "2", "--lambda", "0.5"]
    result = CliRunner().invoke(load_command("convert"), [*arguments, *options])
    assert result.exit_code == 0, result.output
    with np.load(out) as content:
        arrays = dict(content)
    assert set(arrays) == {"query", "gallery", "distance", "meta"}
    query, gallery = arrays["query"].tolist(), arrays["gallery"].tolist()
    assert sorted(query + gallery) == case.test_images
    assert all(image.startswith("query/") for image in query)
    assert sum("/-1_" in image for image in gallery) == 2  # junk takes part
    distances = plain_distances(case.vectors(query + gallery), "cosine")
    expected = plain_rerank(distances, 3, k1=4, k2=2, weight=0.5)
    assert arrays["distance"].dtype == np.float32
    assert arrays["distance"] == pytest.approx(expected, rel=1e-5)
    assert "k1 4, k2 2, lambda 0.5" in json.loads(str(arrays["meta"]))["method"]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--k1", "20"], "need --rerank"), (["--rerank", "k-reciprocal", "--out", "a.parquet"], "end --out with .npz")],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], message: str) -> None:
    result = CliRunner().invoke(load_command("convert"), ["f.npz", *options])
    assert result.exit_code == 2
    assert message in result.output


def test_every_name_of_market1501_finds_its_row_by_order_alone(tmp_path: Path) -> None:
    names = market1501_names(shared_data("market1501_names"))
    benchmark = read_benchmark(write_market(tmp_path / "market", names))
    images = [str(image) for image in benchmark.images]
    values = np.stack([np.arange(len(images)) + 1, np.ones(len(images))], axis=1).astype(np.float32)
    case = Case(tmp_path / "market", benchmark, images, values)
    savemat(tmp_path / "pytorch_result.mat", layumi_content(case))
    convert(tmp_path / "pytorch_result.mat", benchmark, tmp_path / "out")
    read = read_submission(tmp_path / "out", benchmark)
    assert read.embedding is not None
    assert np.asarray(read.embedding)[read.order].tobytes() == values[benchmark.test_rows].tobytes()


def test_the_distance_of_a_submission_is_not_changed_silently(case: Case, tmp_path: Path) -> None:
    images, source = case.test_images, tmp_path / "entry.npz"
    write_submission(source, images=images, embedding=case.vectors(images), meta={"distance": "euclidean"})
    with pytest.raises(BadSubmission, match="pass --distance euclidean"):
        convert(source, case.benchmark, tmp_path / "out.npz")
    convert(source, case.benchmark, tmp_path / "out.npz", distance="euclidean")
