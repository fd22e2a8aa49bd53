import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from group_builders import Row, sample_image, write_dataset
from PIL import Image

from piq_bench.cli import load_command
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import NO_GROUP, Grouping

# Two people with a near-duplicate of each query, and a stranger.
ROWS = [Row("a.png", "query", "p", "f"), Row("b.png", "query", "q", "g"), Row("c.png", "gallery", "p", "f"),
        Row("d.png", "gallery", "q", "g"), Row("e.png", "gallery", "q", "g"), Row("t.png", "train", "z", "f"),
        Row("x.png", "gallery", "p", "f")]  # fmt: skip
SEEDS = {"a.png": 1, "b.png": 2, "c.png": 1, "d.png": 2, "e.png": 4, "t.png": 1, "x.png": 3}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_dataset(root, ROWS)
    for name, seed in SEEDS.items():
        sample_image(seed).save(root / "images" / name)
    return root


def groups(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("groups"), [*map(str, arguments), "--workers", "1"])


def test_groups_are_written_where_the_data_set_is_read(dataset: Path) -> None:
    result = groups(dataset)
    assert result.exit_code == 0, result.output
    assert "groups of several people" in result.stdout
    assert "written:" in result.stderr
    benchmark = read_benchmark(dataset)
    assert benchmark.groups is not None
    assert benchmark.groups.group.tolist() == [0, 1, 0, 1, NO_GROUP, NO_GROUP, NO_GROUP]
    written = {"groups.csv", "groups.csv.json"}
    assert {path.name for path in dataset.iterdir()} == {"annotations.csv", "benchmark.toml", "images", *written}
    assert "the parameters are in groups.csv.json" in result.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_stale_groups_are_replaced(dataset: Path, suffix: str) -> None:
    path = dataset / f"groups.{suffix}"
    assert groups(dataset, "--threshold", "2", "--out", path).exit_code == 0
    assert groups(dataset, "--out", path).exit_code == 0
    benchmark = read_benchmark(dataset)
    assert benchmark.groups is not None
    assert benchmark.groups.parameters["threshold"] == 6


def test_parameters_are_not_written_over_a_strange_file_or_through_a_link(dataset: Path) -> None:
    beside = dataset / "groups.csv.json"
    beside.write_text("{}", encoding="utf-8")
    refused = groups(dataset)
    assert refused.exit_code == 2
    assert "groups.csv.json' exists and was not written by `piq groups`" in refused.stderr
    assert groups(dataset, "--force").exit_code == 0
    beside.rename(dataset / "elsewhere.json")
    beside.symlink_to("elsewhere.json")
    before = beside.read_bytes()
    assert "groups.csv.json' exists" in groups(dataset).stderr
    assert "is a link" in groups(dataset, "--force").stderr
    assert beside.read_bytes() == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_groups_of_another_tool_are_overwritten_only_by_force(dataset: Path, suffix: str) -> None:
    path = dataset / f"groups.{suffix}"
    given = pa.table({"image": ["a.png", "c.png"], "group": ["one", "one"]})
    pq.write_table(given, path) if suffix == "parquet" else path.write_text("image,group\na.png,one\n")
    before = path.read_bytes()
    refused = groups(dataset, "--out", path)
    assert refused.exit_code == 2
    assert "was not written by `piq groups`" in refused.stderr
    assert "--force" in refused.stderr
    assert path.read_bytes() == before
    damaged = dataset / "damaged.parquet"
    damaged.write_bytes(b"PAR1")
    assert groups(dataset, "--out", damaged).exit_code == 2
    assert groups(dataset, "--out", path, "--force").exit_code == 0
    benchmark = read_benchmark(dataset)
    assert benchmark.groups is not None
    assert benchmark.groups.grouping == Grouping()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_groups_that_were_edited_are_overwritten_only_by_force(dataset: Path, suffix: str) -> None:
    path = dataset / f"groups.{suffix}"
    assert groups(dataset, "--out", path).exit_code == 0
    if suffix == "csv":
        path.write_text(path.read_text(encoding="utf-8").replace(",5,", ",0,"), encoding="utf-8")  # x.png joins a.png
    else:
        table = pq.read_table(path)
        place = table.column_names.index("group")
        changed = pa.array([0, *table.column("group").to_pylist()[1:-1], 0])
        pq.write_table(table.set_column(place, table.schema.field(place), changed), path)
    before = path.read_bytes()
    refused = groups(dataset, "--out", path)
    assert refused.exit_code == 2 and "was changed since" in refused.stderr and path.read_bytes() == before
    assert groups(dataset, "--out", path, "--force").exit_code == 0 and path.read_bytes() != before


def test_a_file_that_appears_while_images_are_hashed_is_kept(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import piq_bench.group.build as module

    build = module.build_groups

    def slow_build(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        (dataset / "groups.csv").write_text("image,group\na.png,mine\n", encoding="utf-8")
        return build(*arguments, **options)

    monkeypatch.setattr(module, "build_groups", slow_build)
    assert groups(dataset).exit_code == 2
    assert (dataset / "groups.csv").read_text(encoding="utf-8").endswith("a.png,mine\n")


def test_a_file_that_only_has_the_name_of_our_hashes_is_kept(dataset: Path) -> None:
    other = dataset / "groups.csv.hashed"
    other.write_text("my notes\n", encoding="utf-8")
    refused = groups(dataset)
    assert refused.exit_code == 2 and "is in the way" in refused.stderr
    assert other.read_text(encoding="utf-8") == "my notes\n"
    other.write_text('{"schema": "piq-bench/groups-cache/1"}\n', encoding="utf-8")
    assert groups(dataset).exit_code == 0 and not other.exists()


def test_options_reach_the_file_and_json_holds_the_table(dataset: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "g.parquet", tmp_path / "g.json"
    result = groups(
        dataset, "--out", out, "--similarity", "0.85", "--mode", "neighbours", "--within-source", "--min-quality", "2",
        "--json", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["grouping"] == {
        "hash": "phash", "threshold": 9, "mode": "neighbours", "within": "source", "min_quality": 2.0,
    }  # fmt: skip
    assert out.exists()
    assert 'must say threshold = 9 and mode = "neighbours"' in result.stderr
    assert not (dataset / "groups.csv").exists()


def test_another_hash_is_read_once_the_data_set_asks_for_it(dataset: Path) -> None:
    result = groups(dataset, "--hash", "dhash", "--threshold", "5")
    assert result.exit_code == 0, result.output
    assert "the bits of dhash depend on the versions of imagehash and Pillow" in " ".join(result.stdout.split())
    assert 'must say hash = "dhash", threshold = 5 and mode = "components"' in result.stderr
    with pytest.raises(BadDataset, match="was made with hash 'dhash'"):
        read_benchmark(dataset)
    with (dataset / "benchmark.toml").open("a", encoding="utf-8") as stream:
        stream.write('[grouping]\nhash = "dhash"\nthreshold = 5\n')
    benchmark = read_benchmark(dataset)
    assert benchmark.groups is not None
    assert benchmark.groups.grouping == Grouping("dhash", 5)
    assert groups(dataset).exit_code == 0  # benchmark.toml says which hash
    again = read_benchmark(dataset)
    assert again.groups is not None
    assert again.groups.parameters == benchmark.groups.parameters


def test_a_folder_of_unreadable_images_is_refused_whatever_is_asked(dataset: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "x.png"):
        (dataset / "images" / name).write_bytes(b"no picture")
    result = groups(dataset, "--keep-going")
    assert result.exit_code == 4
    assert "4 of 6 images cannot be read" in result.stderr
    assert "4 images: 'a.png', 'b.png', 'c.png' and 1 more" in result.stderr
    assert not (dataset / "groups.csv").exists()


def test_a_warning_is_a_gate_only_on_request(dataset: Path) -> None:
    (dataset / "images" / "e.png").write_bytes((dataset / "images" / "d.png").read_bytes())
    plain = groups(dataset)
    assert plain.exit_code == 0
    assert "[queries-lost]" in plain.stdout
    checked = groups(dataset, "--check")
    assert checked.exit_code == 5
    assert "[queries-lost]" in checked.stderr
    assert (dataset / "groups.csv").exists()


def test_unreadable_images_are_listed_and_stop_the_run(dataset: Path) -> None:
    (dataset / "images" / "a.png").write_bytes(b"no picture")
    (dataset / "images" / "x.png").unlink()
    (dataset / "images" / "x.png").symlink_to("/etc/hostname")
    result = groups(dataset, "--json", dataset / "g.json")
    assert result.exit_code == 4
    assert "'a.png'" in result.stderr
    assert "link that leaves the image folder" in result.stderr
    assert not (dataset / "groups.csv").exists()
    assert not (dataset / "g.json").exists()
    going = groups(dataset, "--keep-going")
    assert going.exit_code == 0
    assert "2 unreadable images stay alone in their groups" in going.stdout
    assert read_benchmark(dataset).groups is not None
    assert not list(dataset.glob("*.hashed"))


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (["--threshold", "13"], 2, "from 0 to 12 bits"),
        (["--threshold", "-1"], 2, "from 0 to 12 bits"),
        (["--threshold", "x"], 2, "not a valid integer"),
        (["--similarity", "1"], 2, "at least 0 and below 1"),
        (["--similarity", "0.5"], 2, "from 0 to 12 bits"),
        (["--similarity", "0.9", "--threshold", "6"], 2, "give one of them"),
        (["--out", "groups.txt"], 2, ".csv or .parquet"),
        (["--out", "no/such/folder/groups.csv"], 2, "can be written"),
        (["--limit-pixels", "100"], 4, "raise --limit-pixels"),
        (["--min-quality", "-1"], 2, "-1"),
        (["--min-quality", "nan"], 2, "from 0 to 510"),
    ],
)
def test_impossible_options_are_refused(dataset: Path, arguments: list[str], exit_code: int, expected: str) -> None:
    result = groups(dataset, *arguments)
    assert result.exit_code == exit_code
    assert expected in result.stderr
    assert "Traceback" not in result.output
    assert not (dataset / "groups.csv").exists()


def test_a_data_set_without_images_to_hash_is_refused(dataset: Path, tmp_path: Path) -> None:
    assert groups(tmp_path / "none").exit_code == 4
    bare = tmp_path / "labels.csv"
    bare.write_text("image,split,identity\na.png,query,p\nb.png,gallery,p\n", encoding="utf-8")
    result = groups(bare, "--out", tmp_path / "groups.csv")
    assert result.exit_code == 4
    assert "no image files" in result.stderr


def test_a_market_style_folder_is_hashed_where_it_is(tmp_path: Path) -> None:
    root = tmp_path / "market"
    files = {
        "query/0001_c1s1_000001_00.jpg": 1,
        "bounding_box_test/0001_c2s1_000001_00.jpg": 1,
        "bounding_box_test/-1_c2s1_000002_00.jpg": 1,
        "bounding_box_test/0000_c2s1_000003_00.jpg": 2,
        "bounding_box_train/0002_c1s1_000001_00.jpg": 3,
        "bounding_box_train/0002_c2s1_000001_00.jpg": 4,
    }
    for name, seed in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        sample_image(seed).save(root / name)
    result = groups(root)
    assert result.exit_code == 0, result.output
    benchmark = read_benchmark(root)
    assert benchmark.groups is not None
    grouped = benchmark.images[benchmark.groups.group != NO_GROUP].tolist()
    assert grouped == sorted(name for name, seed in files.items() if seed == 1)


def test_an_interrupted_run_exits_with_130_and_the_next_one_resumes(tmp_path: Path) -> None:
    n = 3000
    root = tmp_path / "data"
    write_dataset(root, [Row(f"{i:04d}.jpg", "gallery" if i else "query", "p", "f") for i in range(n)])
    rng = np.random.Generator(np.random.PCG64(0))
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.save(root / "images" / f"{i:04d}.jpg")
    # Where a shell has started these tests in the background, Ctrl-C is ignored, and a child inherits that.
    program = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "from piq_bench.cli import piq\nif __name__ == '__main__': piq()"
    command = [sys.executable, "-c", program, "groups", str(root)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    cache = root / "groups.csv.hashed"
    with subprocess.Popen(
        [*command, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and lines_of(cache) < 101:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal does: to all processes of the group
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert stdout == ""
    assert (
        stderr == "hashes computed so far are kept in groups.csv.hashed: the next run resumes from there\ninterrupted\n"
    )
    assert cache.exists()
    assert not (root / "groups.csv").exists()
    kept = lines_of(cache) - 1
    assert 100 <= kept < n
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    assert f"{kept:,} images were hashed by an earlier run" in finished.stdout
    assert not cache.exists()
    resumed = (root / "groups.csv").read_bytes()
    assert groups(root).exit_code == 0
    assert (root / "groups.csv").read_bytes() == resumed


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0
