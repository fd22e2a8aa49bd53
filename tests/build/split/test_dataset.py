"""A split folder: only the column split changes, groups fit the test set, and refusals change nothing."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image
from unpacking_here import unpack_here

from piq_bench.build.split.dataset import split_dataset
from piq_bench.build.split.divide import Shares
from piq_bench.build.split.table import write_split
from piq_bench.cli.split import split_command
from piq_bench.errors import BadDataset, BadUsage
from piq_bench.group.build import build_groups, write_groups
from piq_bench.read import unpacking
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import SPLITS, TRAIN

TOML = """schema = "piq-bench/benchmark/1"
name = "small"
version = "1"
licence = ""
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.age]
aspect = "appearance"
labels = ["child", "old"]
"""
PEOPLE, EACH = 8, 6


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as `piq collect`, an annotator and `piq groups` leave it; images come in pairs of near-duplicates."""
    folder = tmp_path_factory.mktemp("data") / "small"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = ["image,split,identity,note,source,age"]
    for index in range(PEOPLE * EACH + 12):
        person = f"p{index // EACH}" if index < PEOPLE * EACH else ""
        rows.append(
            f'{index:03d}.png,gallery,{person},"said ""no"", twice",film{index % 3},{"old" if index % 2 else ""}'
        )
        if index % 2 == 0:
            picture = np.kron(rng.integers(0, 256, (8, 4)).astype(np.uint8), np.ones((8, 8), np.uint8))
        Image.fromarray(picture).save(folder / "images" / f"{index:03d}.png")
    rows[1:] = rows[:0:-1]  # not in order of names
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "benchmark.toml").write_text(TOML, encoding="utf-8")
    report = build_groups(read_benchmark(folder, with_groups=False), folder / "images", workers=1)
    write_groups(folder / "groups.csv", report)
    return folder


@pytest.fixture
def dataset(grouped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grouped, tmp_path / "small"))


def cells(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "annotations.csv").read_text(encoding="utf-8"))))


def test_every_cell_but_the_split_keeps_its_text_and_place(dataset: Path) -> None:
    before = cells(dataset)
    split_dataset(dataset, Shares(), force=False)
    after = cells(dataset)
    assert [{**row, "split": ""} for row in after] == [{**row, "split": ""} for row in before]
    assert {row["split"] for row in after} == set(SPLITS)


def test_the_result_is_a_valid_benchmark_whose_groups_are_those_of_all_images(dataset: Path) -> None:
    whole = read_benchmark(dataset)
    divided = split_dataset(dataset, Shares(), force=False)
    benchmark = read_benchmark(dataset)  # refuses people in train and test, and queries without gallery images
    assert benchmark.groups is not None and whole.groups is not None
    test = benchmark.split != TRAIN
    assert np.array_equal(benchmark.groups.group[test], whole.groups.group[test])
    pairs = benchmark.split[0::2], benchmark.split[1::2]
    assert np.array_equal(pairs[0] == TRAIN, pairs[1] == TRAIN)
    assert (divided.n_people, divided.n_train, divided.n_queried) == (8, 5, 3)


def test_a_second_split_uses_the_groups_of_all_images_and_gives_the_same_bytes(dataset: Path) -> None:
    split_dataset(dataset, Shares(), force=False)
    first = {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()}
    with pytest.raises(BadUsage, match="split already, into 'gallery', 'query', 'train'"):
        split_dataset(dataset, Shares(), force=False)
    split_dataset(dataset, Shares(seed=4), force=True)
    assert (dataset / "annotations.csv").read_bytes() != first["annotations.csv"]
    split_dataset(dataset, Shares(), force=True)
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == first


def test_groups_of_another_tool_bind_as_well_and_stay_as_they_are(dataset: Path) -> None:
    (dataset / "groups.csv.json").unlink()
    text = "image,group\n" + "".join(f"{index:03d}.png,g\n" for index in range(5 * EACH))
    (dataset / "groups.csv").write_text(text, encoding="utf-8")
    split_dataset(dataset, Shares(), force=False)
    assert (dataset / "groups.csv").read_text(encoding="utf-8") == text
    assert len({row["split"] == "train" for row in cells(dataset) if row["image"] < f"{5 * EACH:03d}.png"}) == 1
    read_benchmark(dataset)


def test_a_table_without_a_split_gets_one_and_parquet_keeps_its_types(dataset: Path) -> None:
    rows = cells(dataset)
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "split"}
    table = pa.table({**columns, "weight": pa.array(range(len(rows)), pa.int16())})
    (dataset / "annotations.csv").unlink()
    pq.write_table(table, dataset / "annotations.parquet")
    split_dataset(dataset, Shares(), force=False)
    after = pq.read_table(dataset / "annotations.parquet")
    assert after.column_names == ["image", "split", *table.column_names[1:]]
    assert after.drop_columns("split").equals(table)
    read_benchmark(dataset)


def test_a_damaged_column_that_nothing_else_reads_is_refused(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.read.table.unpack_apart", unpack_here)
    monkeypatch.setattr("piq_bench.build.split.table.unpack_apart", unpack_here)
    path = dataset / "annotations.parquet"
    rows = cells(dataset)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    weights = pa.array([row / 7 for row in range(len(rows))])
    pq.write_table(pa.table({**columns, "weight": weights}), path, compression="gzip", use_dictionary=False)
    chunk = pq.read_metadata(path).row_group(0).column(len(columns))
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset : chunk.data_page_offset + chunk.total_compressed_size] = bytes(
        chunk.total_compressed_size
    )
    path.write_bytes(content)
    (dataset / "annotations.csv").unlink()
    with pytest.raises(BadDataset, match="cannot be unpacked"):
        split_dataset(dataset, Shares(), force=True)
    assert path.read_bytes() == content


@pytest.mark.apart
def test_a_table_that_ends_the_process_that_splits_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "annotations.parquet"
    pq.write_table(pa.table({"image": ["a"]}), path)
    before = path.read_bytes()
    monkeypatch.setattr(unpacking, "CHILD", "import os; os.abort()")
    with pytest.raises(BadDataset, match="crashed while unpacking it"):
        write_split(path, {"a": TRAIN})
    assert path.read_bytes() == before


def test_what_cannot_be_split_is_refused_and_nothing_changes(dataset: Path) -> None:
    before = {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()}
    with pytest.raises(BadDataset, match="or films that shall stay whole, tie all 8 people together"):
        split_dataset(dataset, Shares(whole_films=True), force=False)
    assert {path.name: path.read_bytes() for path in dataset.iterdir() if path.is_file()} == before
    text = (dataset / "annotations.csv").read_text(encoding="utf-8")
    (dataset / "annotations.csv").write_text(text.replace(",source,", ",origin,"), encoding="utf-8")
    with pytest.raises(BadUsage, match="no column 'source'"):
        split_dataset(dataset, Shares(whole_films=True), force=False)
    with pytest.raises(BadUsage, match=r"no annotations\.csv"):
        split_dataset(dataset / "images", Shares(), force=False)


def test_the_command_prints_the_tables_of_the_result(dataset: Path) -> None:
    done = CliRunner().invoke(split_command, [str(dataset)])
    assert done.exit_code == 0 and not done.stderr
    assert "Images and identities" in done.stdout
    assert "of 8 people 5 are in train and 3 in the test set, 3 of these with queries" in done.stdout
    (dataset / "groups.csv").unlink()
    (dataset / "groups-all.csv").unlink()
    again = CliRunner().invoke(split_command, [str(dataset), "--force"])
    assert again.exit_code == 0 and "no near-duplicate groups are known" in again.stderr
