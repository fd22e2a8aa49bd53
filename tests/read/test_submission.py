"""Valid submissions are read in all their forms, and only their values matter."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from submission_builders import BENCHMARK, N, arrays, as_folder, as_parquet, at, changed, check, save, without

from piq_bench.errors import BadSubmission, LimitExceeded
from piq_bench.read.container import Limits
from piq_bench.read.mapped import is_mapped
from piq_bench.read.submission import read_submission
from piq_bench.read.unpack_parquet import unpack
from piq_bench.records import Benchmark
from piq_bench.write.submission import write_submission


def test_the_unchanged_submission_is_valid(dataset: Path, tmp_path: Path) -> None:
    save(tmp_path / "entry.npz", arrays(), compressed=True)
    result = check(tmp_path / "entry.npz", dataset)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("valid\n")


def test_all_problems_come_at_once(dataset: Path, tmp_path: Path) -> None:
    values = arrays()
    values["image"][3] = "m/2.jpg"
    values["embedding"][1] = np.nan
    values["age"] = np.arange(N)
    values["mood"][0] = 7
    values["extra"] = np.ones(3)
    save(tmp_path / "entry.npz", values)
    result = check(tmp_path / "entry.npz", dataset)
    assert "refused, 6 problems" in result.stderr
    for code in (
        "unknown-array", "duplicate-image", "missing-image", "not-finite", "label-out-of-range", "not-a-probability"
    ):  # fmt: skip
        assert f"[{code}]" in result.stderr


def test_an_embedding_is_refused_where_there_is_no_reid(tmp_path: Path) -> None:
    (tmp_path / "benchmark.toml").write_text(
        BENCHMARK.replace('[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n', ""), encoding="utf-8"
    )
    lines = ["image,split", *(f"m/{i}.jpg,gallery" for i in range(N))]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    save(tmp_path / "entry.npz", arrays())
    refused = check(tmp_path / "entry.npz", tmp_path)
    assert "no re-id task" in refused.stderr and refused.exit_code == 3
    assert check(without("embedding")(tmp_path), tmp_path).exit_code == 0


def test_partial_needs_at_least_one_answer(dataset: Path, tmp_path: Path) -> None:
    assert check(without("mood")(tmp_path), dataset, "--partial").exit_code == 0
    np.savez(tmp_path / "bare.npz", image=arrays()["image"])
    refused = check(tmp_path / "bare.npz", dataset, "--partial")
    assert refused.exit_code == 3
    assert "[nothing-to-score]" in refused.stderr


def test_more_memory_than_allowed_is_a_limit(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.read.npz.MAX_MEMORY_BYTES", 64)
    save(tmp_path / "entry.npz", arrays())
    result = check(tmp_path / "entry.npz", dataset)
    assert result.exit_code == 6
    assert "pass a folder" in result.stderr


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (np.array(["old", "child"] * 4), [2, 0]),
        (np.array([2, 0] * 4, dtype=np.uint8), [2, 0]),
        (np.array([[0.1, 0.5, 0.5], [0.3, 0.1, 0.2]] * 4), [1, 0]),  # the first of equal scores wins
        (np.array([[-5.0, -7.0, -1.0], [0.0, 0.0, 0.0]] * 4, dtype=np.float16), [2, 0]),
    ],
)
def test_single_labels_come_as_names_indices_or_scores(
    benchmark: Benchmark, tmp_path: Path, age: np.ndarray, expected: list[int]
) -> None:
    save(tmp_path / "entry.npz", arrays() | {"age": age})
    assert read_submission(tmp_path / "entry.npz", benchmark).predictions["age"].tolist() == expected * 4


def test_floats_are_kept_as_scores_in_the_order_of_the_benchmark_and_decisions_are_not(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    values = arrays()
    expected = values["mood"].copy()
    order = np.random.default_rng(1).permutation(N)
    save(tmp_path / "entry.npz", {name: array[order] if array.ndim else array for name, array in values.items()})
    scores = read_submission(tmp_path / "entry.npz", benchmark).scores
    assert list(scores) == ["mood"]
    assert scores["mood"].dtype == np.float32
    assert (scores["mood"] == expected).all()
    save(tmp_path / "entry.npz", values | {"mood": values["mood"] >= 0.5, "age": np.eye(3)[[0, 1, 2, 1] * 2]})
    assert list(read_submission(tmp_path / "entry.npz", benchmark).scores) == ["age"]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_a_probability_of_one_half_means_yes(benchmark: Benchmark, tmp_path: Path, dtype: str) -> None:
    below = np.nextafter(np.array(0.5, dtype), np.array(0, dtype))
    mood = np.array([[0.5, below]] * N, dtype=dtype)
    save(tmp_path / "entry.npz", arrays() | {"mood": mood})
    assert read_submission(tmp_path / "entry.npz", benchmark).predictions["mood"].tolist() == [[True, False]] * N


def aligned(path: Path, benchmark: Benchmark) -> tuple[object, ...]:
    read = read_submission(path, benchmark)
    assert read.embedding is not None
    labels = {name: values.tolist() for name, values in read.predictions.items()}
    return read.content, read.embedding[read.order].tolist(), labels, read.name, read.distance


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(N)), half=st.booleans(), suffix=st.sampled_from(["", ".npz"]))
@example(order=[3, 7, 0, 5, 1, 6, 2, 4], half=False, suffix=".parquet")  # each starts a process
@example(order=[5, 0, 6, 2, 7, 4, 1, 3], half=True, suffix=".parquet")
def test_row_order_format_byte_order_and_memory_order_change_nothing(
    order: list[int], half: bool, suffix: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    values = arrays()
    if half:
        values["embedding"] = values["embedding"].astype(np.float16)
    save(tmp_path / "plain.npz", values)
    plain = aligned(tmp_path / "plain.npz", benchmark)
    shuffled = {name: array if name == "meta" else array[order] for name, array in values.items()}
    other = dict(shuffled)
    other["embedding"] = np.asfortranarray(other["embedding"].astype(other["embedding"].dtype.newbyteorder(">")))
    other["image"] = np.char.encode(other["image"], "utf-8")
    save(tmp_path / "other.npz", other, compressed=True)
    assert aligned(tmp_path / "other.npz", benchmark) == plain
    path = tmp_path / f"written{suffix}"
    write_submission(
        path,
        images=[str(image) for image in shuffled["image"]],
        embedding=shuffled["embedding"],
        predictions={"age": shuffled["age"], "mood": shuffled["mood"]},
        meta=json.loads(str(values["meta"])),
    )
    assert aligned(path, benchmark) == plain
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_every_value_changes_the_content_digest(benchmark: Benchmark, tmp_path: Path) -> None:
    digests = set()
    for name, change in (
        ("meta", lambda v: v),
        ("embedding", at(0, [1, 2, 3, 4])),
        ("age", at(0, "old")),
        ("mood", at(0, 0.25)),
        ("image", lambda v: v[::-1]),
    ):
        digests.add(read_submission(changed(name, change)(tmp_path), benchmark).content)
    assert len(digests) == 5


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_and_nothing_else(
    data: st.DataObject, benchmark: Benchmark, tmp_path: Path
) -> None:
    path = tmp_path / "entry.npz"
    save(path, arrays())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        read_submission(path, benchmark)
    except BadSubmission as refusal:
        assert refusal.problems


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_benchmark_of_many_tasks_has_many_arrays(suffix: str, tmp_path: Path) -> None:
    names = [f"attribute{i}" for i in range(120)]
    tasks = "".join(f'[tasks.{name}]\naspect = "body"\nlabels = ["no", "yes"]\n' for name in names)
    (tmp_path / "benchmark.toml").write_text(BENCHMARK + tasks, encoding="utf-8")
    lines = ["image,split", *(f"m/{i}.jpg,gallery" for i in range(N))]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    values = arrays()
    predictions = {"age": values["age"], "mood": values["mood"]} | {name: np.arange(N) % 2 for name in names}
    path = tmp_path / f"entry{suffix}"
    write_submission(path, images=values["image"].tolist(), embedding=values["embedding"], predictions=predictions)
    assert check(path, tmp_path).exit_code == 0


def test_a_name_that_no_terminal_can_show_is_escaped(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    del values["meta"]
    path = tmp_path / os.fsdecode(b"a\xff\x1b.npz")
    with path.open("wb") as stream:
        kwargs: dict[str, Any] = dict(values)
        np.savez(stream, **kwargs)
    assert read_submission(path, benchmark).name == "a\\udcff\\x1b"


def damaged_parquet(folder: Path, rng: random.Random) -> Path:
    path = as_parquet(lambda columns: None)(folder)
    content = bytearray(path.read_bytes())
    for _ in range(3):
        content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("seed", range(8))
def test_damaged_parquet_is_read_or_refused_and_nothing_else(seed: int, benchmark: Benchmark, tmp_path: Path) -> None:
    try:
        read_submission(damaged_parquet(tmp_path, random.Random(seed)), benchmark)
    except BadSubmission as refusal:
        assert refusal.problems


@pytest.mark.apart
def test_a_crash_of_the_parquet_library_is_a_refusal(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.unpacking.CHILD", "import os; os.abort()")
    with pytest.raises(BadSubmission, match="crashed"):
        read_submission(as_parquet(lambda columns: None)(tmp_path), benchmark)


def test_a_parquet_file_that_takes_too_much_memory_is_a_limit(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.unpack_parquet.MAX_MEMORY_BYTES", 8 * N)
    path = as_parquet(lambda columns: None)(tmp_path)
    with pytest.raises(LimitExceeded, match="pass a folder"):
        unpack(path, Limits(N, {"image": 1, "embedding": 99, "age": 9, "mood": 9, "meta": 0}))


@pytest.mark.apart
def test_our_own_bug_while_unpacking_shows_its_traceback(
    benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.unpacking.CHILD", "raise KeyError('ours')")
    with pytest.raises(RuntimeError, match="KeyError: 'ours'"):
        read_submission(as_parquet(lambda columns: None)(tmp_path), benchmark)


def test_a_folder_keeps_its_embedding_on_disk(benchmark: Benchmark, tmp_path: Path) -> None:
    values = arrays()
    write_submission(
        tmp_path / "entry",
        images=[str(image) for image in values["image"]],
        embedding=values["embedding"],
        predictions={"age": values["age"], "mood": values["mood"]},
    )
    read = read_submission(tmp_path / "entry", benchmark)
    assert read.embedding is not None and is_mapped(read.embedding)
    assert read.name == "entry"


def test_a_float64_embedding_is_taken_as_float32_with_a_note(benchmark: Benchmark, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    wide = rng.standard_normal((N, 5)) / 3  # not exact in float32
    expected = aligned(save(tmp_path / "narrow.npz", arrays() | {"embedding": wide.astype(np.float32)}), benchmark)
    order = rng.permutation(N)
    for name in ("entry.npz", "entry", "entry.parquet"):
        values: dict[str, Any] = {
            key: array[order] for key, array in (arrays() | {"embedding": wide}).items() if key != "meta"
        }
        meta = json.loads(str(arrays()["meta"]))
        write_submission(tmp_path / name, images=values.pop("image"), embedding=values.pop("embedding"),
                         predictions=values, meta=meta)  # fmt: skip
        notes: list[str] = []
        found = read_submission(tmp_path / name, benchmark, tell=notes.append)
        assert notes == ["the embedding is float64 and was taken as float32"]
        assert found.embedding is not None and found.embedding.dtype == np.float32
        assert aligned(tmp_path / name, benchmark) == expected  # also the digest of the content


def test_a_big_endian_float64_embedding_in_column_order_is_the_same(benchmark: Benchmark, tmp_path: Path) -> None:
    wide = arrays()["embedding"].astype(np.float64) / 3
    plain = aligned(save(tmp_path / "plain.npz", arrays() | {"embedding": wide}), benchmark)
    other = np.asfortranarray(wide.astype(">f8"))
    assert aligned(save(tmp_path / "other.npz", arrays() | {"embedding": other}), benchmark) == plain


def test_a_float64_embedding_that_does_not_fit_into_memory_is_refused(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("piq_bench.read.submission.MAX_MEMORY_BYTES", N * 4 * 4 - 1)
    result = check(changed("embedding", lambda v: v.astype(float))(tmp_path), dataset)
    assert result.exit_code == 3
    assert "<f8" in result.stderr and "float32" in result.stderr


def test_columns_of_a_parquet_file_without_meaning_change_nothing(dataset: Path, tmp_path: Path) -> None:
    import pandas as pd

    as_parquet(lambda columns: None)(tmp_path)
    plain = check(tmp_path / "entry.parquet", dataset).stdout
    frame = pd.read_parquet(tmp_path / "entry.parquet")
    frame["split"], frame["when"], frame["box"] = "gallery", pd.Timestamp(0), [[1, 2, 3, 4]] * N
    frame.sample(frac=1, random_state=1).to_parquet(tmp_path / "more.parquet")  # writes the index as a column
    result = check(tmp_path / "more.parquet", dataset)
    assert result.exit_code == 0, result.output
    content = [line for line in plain.splitlines() if line.startswith("content")]
    assert content == [line for line in result.stdout.splitlines() if line.startswith("content")]
    ignored = "ignored columns that are not of this benchmark: '__index_level_0__', 'box', 'split' and 1 more"
    assert result.stderr == f"note: {ignored}\n"


@pytest.mark.parametrize("form", ["folder", "npz"])
def test_meta_may_begin_with_a_byte_order_mark(form: str, benchmark: Benchmark, tmp_path: Path) -> None:
    text = "\ufeff" + json.dumps({"name": "marked", "benchmark": "tiny"})
    if form == "folder":
        path = as_folder(lambda folder: (folder / "meta.json").write_text(text, encoding="utf-8"))(tmp_path)
    else:
        path = save(tmp_path / "entry.npz", arrays() | {"meta": np.array(text)})
    assert read_submission(path, benchmark).name == "marked"
