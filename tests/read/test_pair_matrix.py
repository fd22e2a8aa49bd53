"""Submissions with a matrix of distances or similarities, and submissions without rows for junk images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.errors import BadSubmission, LimitExceeded
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.mapped import is_mapped
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.report.json import score_document
from piq_bench.scoring.score import score

Arrays = dict[str, np.ndarray]

QUERIES = [f"q/{i}.jpg" for i in range(4)]
GALLERY = [f"g/{i}.jpg" for i in range(9)]
JUNK = "g/8.jpg"
TOML = """\
schema = "piq-bench/benchmark/1"
name = "pairs"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[retrieval]
junk = ["-1"]
exclude = []
"""
NO_GROUPS = ("the data set has no near-duplicate groups: scored without exclusion; see `piq groups`",)
AGE = '[tasks.age]\naspect = "appearance"\nlabels = ["young", "old"]\n'


def make(folder: Path, toml: str = TOML, junk_age: str = "") -> Benchmark:
    folder.mkdir(exist_ok=True)
    (folder / "benchmark.toml").write_text(toml, encoding="utf-8")
    lines = ["image,split,identity,age", *(f"{image},query,p{i % 3},young" for i, image in enumerate(QUERIES))]
    lines += [f"{image},gallery,p{i % 3},old" for i, image in enumerate(GALLERY[:-1])]
    lines.append(f"{JUNK},gallery,-1,{junk_age}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_benchmark(folder)


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return make(tmp_path / "data")


def arrays(name: str = "distance") -> Arrays:
    values = np.random.default_rng(0).integers(-20, 20, (len(QUERIES), len(GALLERY))).astype(np.float32)
    return {name: values, "query": np.array(QUERIES), "gallery": np.array(GALLERY)}


def in_npz(folder: Path, values: Arrays) -> Path:
    np.savez(folder / "entry.npz", **values)  # type: ignore[arg-type]
    return folder / "entry.npz"


def in_folder(folder: Path, values: Arrays) -> Path:
    path = folder / "entry"
    path.mkdir()
    for name, array in values.items():
        np.save(path / f"{name}.npy", array)
    return path


def reid_of(benchmark: Benchmark, path: Path, *, partial: bool = False) -> object:
    return score_document(score(benchmark, read_submission(path, benchmark, partial=partial), n_resamples=0))["reid"]


def refusal(benchmark: Benchmark, path: Path, *, partial: bool = False) -> str:
    with pytest.raises(BadSubmission) as caught:
        read_submission(path, benchmark, partial=partial)
    return str(caught.value)


def test_a_folder_stays_on_disk_and_scores_like_a_file(benchmark: Benchmark, tmp_path: Path) -> None:
    packed, spread = in_npz(tmp_path, arrays()), in_folder(tmp_path, arrays())
    one, other = read_submission(packed, benchmark), read_submission(spread, benchmark)
    assert one.matrix is not None and other.matrix is not None
    assert is_mapped(other.matrix.values) and not is_mapped(one.matrix.values)
    assert one.content == other.content
    assert reid_of(benchmark, packed) == reid_of(benchmark, spread)
    assert one.has_retrieval and one.embedding is None


def test_columns_in_memory_order_are_read_too(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    one = read_submission(in_npz(tmp_path, values), benchmark)
    other = read_submission(
        in_folder(tmp_path, values | {"distance": np.asfortranarray(values["distance"])}), benchmark
    )
    assert one.content == other.content


def test_a_large_matrix_stored_by_columns_is_refused(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.pair_matrix.MAX_TURNED_BYTES", 8)
    values = arrays()
    path = in_folder(tmp_path, values | {"distance": np.asfortranarray(values["distance"])})
    assert "numpy.ascontiguousarray(distance, dtype=numpy.float32) [bad-order]" in refusal(benchmark, path)


def test_only_values_matter(benchmark: Benchmark, tmp_path: Path) -> None:
    values, rng = arrays(), np.random.default_rng(1)
    plain = read_submission(in_npz(tmp_path, values), benchmark)
    rows, columns = rng.permutation(4), rng.permutation(9)
    shuffled = {
        "distance": values["distance"][rows][:, columns].astype(">f4"),
        "query": values["query"][rows].astype("S"),
        "gallery": values["gallery"][columns],
    }
    other = read_submission(in_npz(tmp_path, shuffled), benchmark)
    assert other.content == plain.content
    assert score(benchmark, other, n_resamples=0).reid == score(benchmark, plain, n_resamples=0).reid
    for change in (
        {"distance": values["distance"] + np.float32(1)},
        {"query": values["query"][::-1]},
        {"gallery": values["gallery"][rng.permutation(9)]},
    ):
        assert read_submission(in_npz(tmp_path, values | change), benchmark).content != plain.content
    similar = {"similarity": values["distance"], "query": values["query"], "gallery": values["gallery"]}
    assert read_submission(in_npz(tmp_path, similar), benchmark).content != plain.content


def test_a_similarity_is_minus_a_distance(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    one = reid_of(benchmark, in_npz(tmp_path, values))
    similar = {"similarity": -values["distance"], "query": values["query"], "gallery": values["gallery"]}
    assert reid_of(benchmark, in_npz(tmp_path, similar)) == one
    similar["similarity"] = values["distance"]
    assert reid_of(benchmark, in_npz(tmp_path, similar)) != one


def test_float64_is_rounded_and_the_score_says_so(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    values["distance"] = values["distance"] + np.float32(0.1)
    plain = read_submission(in_npz(tmp_path, values), benchmark)
    close = values["distance"].astype(np.float64) * (1 + 1e-12 * np.random.default_rng(0).random((4, 9)))
    rounded = read_submission(in_npz(tmp_path, values | {"distance": close}), benchmark)
    assert rounded.content == plain.content
    found = score(benchmark, rounded, n_resamples=0)
    assert "float64 values are rounded to float32" in found.notes
    assert found.reid == score(benchmark, plain, n_resamples=0).reid
    assert score(benchmark, plain, n_resamples=0).notes == NO_GROUPS


def test_junk_needs_no_column(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    one = reid_of(benchmark, in_npz(tmp_path, values))
    values |= {"distance": values["distance"][:, :-1], "gallery": values["gallery"][:-1]}
    assert reid_of(benchmark, in_npz(tmp_path, values)) == one


@pytest.mark.parametrize("write", [in_npz, in_folder])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_junk_needs_no_row(
    write: Callable[[Path, Arrays], Path], distance: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    images = np.array(GALLERY + QUERIES)
    embedding = np.random.default_rng(0).standard_normal((images.size, 3)).astype(np.float32)
    meta = np.array(json.dumps({"distance": distance}))
    kept = images != JUNK
    (tmp_path / "all").mkdir()
    whole = write(tmp_path / "all", {"image": images, "embedding": embedding})
    less = write(tmp_path, {"image": images[kept], "embedding": embedding[kept]})
    if write is in_npz:
        np.savez(whole, image=images, embedding=embedding, meta=meta)
        np.savez(less, image=images[kept], embedding=embedding[kept], meta=meta)
    assert reid_of(benchmark, less) == reid_of(benchmark, whole)
    found = read_submission(less, benchmark)
    assert found.content == read_submission(less, benchmark).content
    assert found.content != read_submission(whole, benchmark).content
    assert score(benchmark, found, n_resamples=0).notes == NO_GROUPS


def test_images_that_are_no_junk_are_all_needed(benchmark: Benchmark, tmp_path: Path) -> None:
    images = np.array(GALLERY + QUERIES)[1:]
    path = in_npz(tmp_path, {"image": images, "embedding": np.ones((images.size, 2), np.float32)})
    assert "1 gallery image is missing: 'g/0.jpg'" in refusal(benchmark, path)


def test_an_array_must_have_a_row_for_each_id_that_is_there(benchmark: Benchmark, tmp_path: Path) -> None:
    images = np.array(GALLERY[:-1] + QUERIES)
    path = in_npz(tmp_path, {"image": images, "embedding": np.ones((13, 2), np.float32)})
    assert "13 rows, but there are 12 image ids" in refusal(benchmark, path)


def test_junk_that_is_annotated_for_a_submitted_task_needs_a_row(tmp_path: Path) -> None:
    images = np.array(GALLERY[:-1] + QUERIES)
    values = {"image": images, "age": np.zeros(images.size, np.int64), "embedding": np.eye(images.size, dtype="f4")}
    annotated = make(tmp_path / "annotated", TOML + AGE, junk_age="old")
    path = in_npz(tmp_path, values)
    assert f"1 gallery image is missing: '{JUNK}'" in refusal(annotated, path)
    unlabelled = make(tmp_path / "unlabelled", TOML + AGE)
    assert score(unlabelled, read_submission(path, unlabelled), n_resamples=0).piq is not None
    path = in_npz(tmp_path, {name: values[name] for name in ("image", "embedding")})
    assert read_submission(path, annotated, partial=True).has_retrieval


def test_a_matrix_beside_answers_to_tasks(tmp_path: Path) -> None:
    benchmark = make(tmp_path / "data", TOML + AGE)
    images = np.array(GALLERY + QUERIES)
    path = in_npz(tmp_path, arrays() | {"image": images, "age": np.array(["old"] * 9 + ["young"] * 4)})
    found = score(benchmark, read_submission(path, benchmark), n_resamples=0)
    assert found.piq is not None and found.f1["age"] == 1.0
    without_image = in_npz(tmp_path, arrays() | {"age": np.array(["old"] * 13)})
    assert "[missing-array]" in refusal(benchmark, without_image)
    alone = in_npz(tmp_path, arrays())
    assert "age" in refusal(benchmark, alone)
    assert read_submission(alone, benchmark, partial=True).predictions == {}


def at(row: int, column: int, value: float) -> np.ndarray:
    values = arrays()["distance"]
    values[row, column] = value
    return values


FAULTS: list[tuple[Arrays, list[str]]] = [
    ({"distance": at(1, 2, np.nan)}, ["row 1 ('q/1.jpg'): column 2 ('g/2.jpg') is NaN", "[not-finite]"]),
    ({"distance": at(3, 0, -np.inf)}, ["row 3 ('q/3.jpg'): column 0 ('g/0.jpg') is Inf"]),
    ({"distance": np.full((4, 9), 1e300)}, ["1e+300, too large for float32, and 8 more", "; and 1 more rows"]),
    ({"distance": np.ones(9, np.float32)}, ["has shape (9,)", "(n_query, n_gallery)"]),
    ({"distance": np.ones((4, 9), np.int32)}, ["has dtype <i4", "[bad-dtype]"]),
    ({"distance": np.ones((9, 4), np.float32)}, ["4 ids, but 'distance' has 9 rows", "has 4 columns"]),
    ({"distance": np.ones((4, 5000), np.float32)}, ["5000 columns, but at most", "(n_query, n_gallery)"]),
    ({"query": np.array([*QUERIES[:3], "q/2.jpg"])}, ["is already in row 2", "1 query image is missing: 'q/3.jpg'"]),
    ({"query": np.array([*QUERIES[:3], "g/1.jpg"])}, ["row 3 ('g/1.jpg'): is a gallery image", "every query image"]),
    ({"gallery": np.array(["Q", *GALLERY[1:]])}, ["row 0 ('Q'): is unknown", "1 gallery image is missing"]),
    ({"query": np.arange(4)}, ["which is not text"]),
    ({"query": np.array([QUERIES])}, ["expected one id per image"]),
    ({"similarity": np.ones((4, 9), np.float32)}, ["similarity", "is submitted beside 'distance'", "[ambiguous]"]),
    (
        {"embedding": np.ones((13, 2), np.float32), "image": np.array(GALLERY + QUERIES)},
        ["distance", "is submitted beside 'embedding'", "[ambiguous]"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fragments"), FAULTS)
def test_faults_are_named(change: Arrays, fragments: list[str], benchmark: Benchmark, tmp_path: Path) -> None:
    text = refusal(benchmark, in_npz(tmp_path, arrays() | change))
    for fragment in fragments:
        assert fragment in text


@pytest.mark.parametrize("name", ["query", "gallery"])
def test_a_matrix_needs_both_ids(name: str, benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    del values[name]
    text = refusal(benchmark, in_npz(tmp_path, values))
    part = "rows" if name == "query" else "columns"
    assert f"add the image ids of the {part} of 'distance' [missing-array]" in text


def test_ids_alone_are_no_answer(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    del values["distance"]
    for partial in (False, True):
        text = refusal(benchmark, in_npz(tmp_path, values), partial=partial)
        assert "names the rows of a matrix, but there is none" in text


def test_all_problems_come_at_once(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays() | {"distance": at(0, 0, np.nan), "extra": np.ones(3), "query": np.array(["?", *QUERIES[1:]])}
    text = refusal(benchmark, in_npz(tmp_path, values))
    assert "refused, 4 problems" in text
    assert all(f"[{code}]" in text for code in ("not-finite", "unknown-array", "unknown-image", "missing-image"))


def test_a_parquet_file_has_no_place_for_a_matrix(benchmark: Benchmark, tmp_path: Path) -> None:
    pq.write_table(pa.table({"query": QUERIES, "distance": arrays()["distance"].tolist()}), tmp_path / "e.parquet")
    assert "pass a .npz file or a folder" in refusal(benchmark, tmp_path / "e.parquet")


def test_a_matrix_larger_than_memory_is_a_limit_in_a_file_only(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("npz", "npy_folder"):
        monkeypatch.setattr(f"piq_bench.read.{module}.MAX_MEMORY_BYTES", 100)
    with pytest.raises(LimitExceeded, match=r"its gallery.npy|its distance.npy"):
        read_submission(in_npz(tmp_path, arrays()), benchmark)
    monkeypatch.setattr("piq_bench.read.npy_folder.MAX_MEMORY_BYTES", 1000)
    values = arrays() | {"distance": np.zeros((4, 9), np.float32)}
    assert read_submission(in_folder(tmp_path, values), benchmark).has_retrieval


def test_tasks_keep_their_names(tmp_path: Path) -> None:
    toml = TOML + AGE.replace("tasks.age", "tasks.distance")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "benchmark.toml").write_text(toml, encoding="utf-8")
    rows = [f"q/0.jpg,query,p,{'old'}", "g/0.jpg,gallery,p,young"]
    (folder / "annotations.csv").write_text(
        "\n".join(["image,split,identity,distance", *rows]) + "\n", encoding="utf-8"
    )
    benchmark = read_benchmark(folder)
    values = {"image": np.array(["q/0.jpg", "g/0.jpg"]), "distance": np.array(["old", "old"])}
    found = read_submission(in_npz(tmp_path, values), benchmark, partial=True)
    assert found.matrix is None and set(found.predictions) == {"distance"}


def run(command: str, *arguments: str | Path) -> Result:
    return CliRunner().invoke(load_command(command), [str(each) for each in arguments])


def test_commands_take_a_matrix(benchmark: Benchmark, tmp_path: Path) -> None:
    one, other = in_npz(tmp_path, arrays()), in_folder(tmp_path, arrays("similarity"))
    data = tmp_path / "data"
    checked = run("check", one, "--dataset", data)
    assert checked.exit_code == 0 and "distance     4 x 9 values, float32" in checked.stdout, checked.output
    document = json.loads(run("check", other, "--dataset", data, "--format", "json").stdout)
    assert document["similarity"] == {"shape": [4, 9], "dtype": "float32"} and document["embedding"] is None
    page = tmp_path / "page.html"
    scored = run("score", one, "--dataset", data, "--html", page, "--format", "json")
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["submission"]["distance"] == "given"
    assert "g/0.jpg" in page.read_text(encoding="utf-8")
    compared = run("compare", one, other, "--dataset", data)
    assert compared.exit_code == 0, compared.output
