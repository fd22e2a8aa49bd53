"""Groups of any tool: who is excluded, against a count in plain Python, and what is refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from group_builders import Row, balanced_hashes, benchmark_of
from hypothesis import given, settings
from hypothesis import strategies as st

import piq_bench
from piq_bench.cli.compare import read_origin
from piq_bench.describe.stats import describe
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import inspect_dataset
from piq_bench.read.groups import read_groups
from piq_bench.records import GIVEN, NO_GROUP, Benchmark, Grouping, Groups
from piq_bench.report.json import score_json
from piq_bench.report.rows import summary
from piq_bench.report.stats_rows import sections
from piq_bench.retrieve.candidates import find_candidates

TASKS = [piq_bench.Task("who", "reid", kind="retrieval")]
HEAD = 'schema = "piq-bench/benchmark/1"\nname = "x"\nversion = "1"\n[tasks.who]\naspect = "reid"\nkind = "retrieval"\n'
N = 16
IMAGES = [f"{i:02d}.jpg" for i in range(N)]
SPLIT = ["query", "gallery", "gallery", "train"] * 4
IDENTITY = [f"t{i}" if i % 4 == 3 else f"p{i // 8}" for i in range(N)]
GROUP = ["a", "a", "", "", "b", "b", "", ""] * 2
names = st.lists(st.sampled_from(["", "", "a", "b", "c", "7", "07"]), min_size=N, max_size=N)


def made(group: Sequence[object]) -> Benchmark:
    annotations = {"image": IMAGES, "split": SPLIT, "identity": IDENTITY, "group": group}
    return piq_bench.make_benchmark(annotations, TASKS)


def excluded_plainly(group: Sequence[str]) -> dict[str, list[str]]:
    """For each query, the gallery images of the same group, from the definition."""
    return {
        IMAGES[q]: [IMAGES[g] for g in range(N) if SPLIT[g] == "gallery" and group[q] != "" and group[g] == group[q]]
        for q in range(N)
        if SPLIT[q] == "query"
    }


def embedding(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N, 3)).round(1).astype(np.float32)


def document(benchmark: Benchmark) -> dict[str, object]:
    rows = [i for i in range(N) if SPLIT[i] != "train"]
    found = piq_bench.score({"image": [IMAGES[i] for i in rows]}, benchmark, embedding=embedding()[rows], n_resamples=5)
    plain: dict[str, object] = json.loads(json.dumps(found.to_dict()))
    return plain


def write_folder(root: Path, groups: str | None, toml: str = HEAD) -> Path:
    root.mkdir(exist_ok=True)
    (root / "benchmark.toml").write_text(toml, encoding="utf-8")
    rows = [",".join(row) for row in zip(IMAGES, SPLIT, IDENTITY, strict=True)]
    (root / "annotations.csv").write_text("\n".join(["image,split,identity", *rows]) + "\n", encoding="utf-8")
    if groups is not None:
        (root / "groups.csv").write_text(groups, encoding="utf-8")
    return root


@settings(max_examples=40, deadline=None)
@given(names)
def test_excluded_are_the_gallery_images_of_the_querys_group(group: list[str]) -> None:
    benchmark = made(group)
    found = find_candidates(benchmark)
    excluded = {
        benchmark.images[q]: benchmark.images[found.gallery[found.duplicates[i]]].tolist()
        for i, q in enumerate(found.query.tolist())
    }
    assert excluded == excluded_plainly(group)


@settings(max_examples=15, deadline=None)
@given(names, st.permutations(range(N)), st.sampled_from([str, lambda i: f"shot {i}/Ä", lambda i: -i]))
def test_names_of_groups_and_the_order_of_rows_change_no_bit_of_the_score(
    group: list[str], order: list[int], rename: object
) -> None:
    assert callable(rename)
    group[2] = group[10] = ""  # a positive is left for each person
    new = {name: rename(i) for i, name in enumerate(sorted(set(group) - {""}), 3)} | {"": None}
    renamed = [new[name] for name in group]
    shuffled = piq_bench.make_benchmark(
        {"image": [IMAGES[i] for i in order], "split": [SPLIT[i] for i in order],
         "identity": [IDENTITY[i] for i in order], "group": [renamed[i] for i in order]}, TASKS
    )  # fmt: skip
    one, other = document(made(group)), document(shuffled)
    assert one["reid"] == other["reid"]
    assert one["protocol"] == other["protocol"]  # with the digest of everything above it


def test_the_score_says_that_the_groups_are_given() -> None:
    benchmark = made(GROUP)
    found = document(benchmark)
    protocol = found["protocol"]
    assert isinstance(protocol, dict)
    assert protocol["grouping"] == {"hash": "given", "threshold": None, "mode": "given"}
    assert protocol["exclude"] == ["group"]
    rows = [i for i in range(N) if SPLIT[i] != "train"]
    result = piq_bench.score({"image": [IMAGES[i] for i in rows]}, benchmark, embedding=embedding()[rows])
    assert dict(summary(result.score))["grouping"] == "near-duplicates: groups given with the data set"
    titles = [section.title for section in sections(describe(benchmark))]
    assert "Near-duplicates (groups given with the data set)" in titles
    assert document(made([""] * N))["benchmark"] != found["benchmark"]


def test_unlisted_images_and_empty_cells_are_alone_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    text = "tool,group,image\nx,shot 1,00.jpg\ny,shot 1,01.jpg\n,,04.jpg\n,,05.jpg\nz,only one,02.jpg\n"
    benchmark = piq_bench.read_benchmark(write_folder(tmp_path, text))
    assert benchmark.groups is not None
    assert benchmark.groups.grouping == GIVEN
    assert benchmark.groups.group.tolist() == [0, 0, *[NO_GROUP] * 14]
    assert benchmark.groups.parameters["parameters_from"] == "given"
    assert not benchmark.groups.phash.any()
    named = made(["q", "q", *[""] * 14])
    assert document(benchmark)["reid"] == document(named)["reid"]


def test_parquet_of_pandas_with_numbers_for_groups_is_read(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write_folder(tmp_path, None)
    table = pandas.DataFrame({"image": IMAGES[:3], "group": [5, 5, -3], "similarity": [0.9, 0.9, 1.0]})
    table.to_parquet(tmp_path / "groups.parquet")
    benchmark = piq_bench.read_benchmark(tmp_path)
    assert benchmark.groups is not None
    assert benchmark.groups.group.tolist() == [0, 0, *[NO_GROUP] * 14]
    table.astype({"group": float}).to_parquet(tmp_path / "groups.parquet")
    assert "column 'group' is of type 'double'" in refused(tmp_path)["column-type"]


def test_a_mode_of_the_data_set_does_not_apply_to_given_groups(tmp_path: Path) -> None:
    toml = HEAD + '[grouping]\nmode = "neighbours"\n'
    benchmark = piq_bench.read_benchmark(write_folder(tmp_path, "image,group\n00.jpg,a\n01.jpg,a\n", toml))
    assert benchmark.groups is not None
    assert (benchmark.groups.grouping, benchmark.groups.pairs) == (GIVEN, None)
    assert (benchmark.grouping.hash, benchmark.grouping.mode) == ("phash", "neighbours")


def test_what_changes_nothing_is_passed_over_with_a_note(tmp_path: Path) -> None:
    text = "image,group\n00.jpg,-1\n01.jpg,-1\n03.jpg,-1\n00.jpg,-1\n"
    inspection = inspect_dataset(write_folder(tmp_path, text))
    assert {note.code: note.found for note in inspection.notes} == {
        "training-image": "1 training images are passed over: '03.jpg'",
        "duplicate-image": "1 rows repeat an image with the same group",
        "group-looks-missing": "2 images are near-duplicates, in one group called '-1'; if that name means no group, "
        "leave the cell of an image without a group empty",
    }
    assert inspection.benchmark.groups is not None
    assert inspection.benchmark.groups.group.tolist() == [0, 0, *[NO_GROUP] * 14]


def refused(root: Path) -> Mapping[str, str]:
    with pytest.raises(BadDataset) as caught:
        piq_bench.read_benchmark(root)
    return {problem.code: f"{problem.where}: {problem.found} -> {problem.remedy}" for problem in caught.value.problems}


def test_everything_that_moves_a_score_is_refused_at_once(tmp_path: Path) -> None:
    text = "image,group\n00.jpg,a\n01.jpg,a\n00.jpg,b\n00.jpg,\nimages/04.JPG,a\n5.jpg,a\n06.jpg, a\n08.jpg,a\x1b\n"
    problems = refused(write_folder(tmp_path, text))
    assert set(problems) == {"unknown-image", "image-in-two-groups", "bad-group"}
    assert problems["unknown-image"].startswith(
        "groups.csv: 2 images are not in the data set: 'images/04.JPG', '5.jpg'"
    )
    assert "did you mean '04.jpg'" in problems["unknown-image"]
    assert "row 3 ('00.jpg'): group is 'b', but 'a' in row 1, and 1 more rows" in problems["image-in-two-groups"]
    assert "row 7 ('06.jpg'): group is ' a': it has spaces at its ends, and 1 more rows" in problems["bad-group"]
    assert "\x1b" not in str(problems)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("image\n00.jpg\n", "missing-column", "no column 'group' -> the required columns are image, group"),
        ("group,name\na,00.jpg\n", "missing-column", "no column 'image'"),
        ("image,group\n", "no-rows", "no rows"),
        ("image,group\n0O.jpg,a\n", "unknown-image", "did you mean"),
        ("image,group\nzzzzzzzzzzzz,a\n", "unknown-image", "remove these rows"),
    ],
)
def test_a_table_without_its_content_is_refused(tmp_path: Path, text: str, code: str, says: str) -> None:
    problems = refused(write_folder(tmp_path, text))
    assert set(problems) == {code}
    assert says in problems[code]


HASHED_ROWS = [Row(f"{i:02d}", "query" if i % 3 == 0 else "gallery", "p") for i in range(12)]


def read_table_of(path: Path, text: str, grouping: Grouping) -> Groups:
    path.write_text(text, encoding="utf-8")
    benchmark = benchmark_of(HASHED_ROWS, grouping=grouping)
    return read_groups(path, benchmark.images, benchmark.split, grouping)[0]


@pytest.mark.parametrize("mode", ["components", "neighbours"])
def test_with_a_column_of_hashes_the_grouping_is_that_of_the_data_set_whatever_groups_are_called(
    tmp_path: Path, mode: str
) -> None:
    grouping = Grouping(threshold=8, mode="neighbours" if mode == "neighbours" else "components")
    hashes = balanced_hashes(12, seed=1)
    number = [0, 0, 0, 3, 4, 4, 6, 0, 8, 9, 10, 9]
    rows = [f"{row.image},{value:016x}" for row, value in zip(HASHED_ROWS, hashes.tolist(), strict=True)]
    numbered = "\n".join(["image,phash,group", *(f"{row},{n}" for row, n in zip(rows, number, strict=True))])
    called = "\n".join(["image,phash,group", *(f"{row},g {9 - n}" for row, n in zip(rows, number, strict=True))][::-1])
    called = "image,phash,group\n" + called.rsplit("\n", 1)[0]
    one, other = (read_table_of(tmp_path / "groups.csv", text + "\n", grouping) for text in (numbered, called))
    assert one.grouping == other.grouping == grouping
    assert one.group.tolist() == other.group.tolist()
    assert one.group.tolist() == [0, 0, 0, NO_GROUP, 4, 4, NO_GROUP, 0, NO_GROUP, 9, NO_GROUP, 9]
    assert one.phash.tolist() == other.phash.tolist() == hashes.tolist()
    if mode == "neighbours":
        assert one.pairs is not None
        assert other.pairs is not None
        assert one.pairs.tolist() == other.pairs.tolist()


def test_hashes_of_some_images_only_are_refused_with_two_ways_out(tmp_path: Path) -> None:
    text = "image,phash,group,bytes_sha256\n00,,a,\n00,0123456789abcdef,a,\n01,XYZ,a,no hash\n"
    for mode in ("components", "neighbours"):
        grouping = Grouping(mode="neighbours" if mode == "neighbours" else "components")
        with pytest.raises(BadDataset) as caught:
            read_table_of(tmp_path / "groups.csv", text, grouping)
        problems = {problem.code: f"{problem.found} -> {problem.remedy}" for problem in caught.value.problems}
        assert set(problems) == {"bad-phash", "bad-bytes-sha256", "missing-image", "duplicate-image"}
        assert "phash is 'XYZ'" in problems["bad-phash"]
        assert "10 query or gallery images are missing" in problems["missing-image"]
        for code in ("bad-phash", "missing-image"):
            assert "or remove the column phash: the groups are then given" in problems[code]


def test_a_column_of_another_hash_does_not_matter(tmp_path: Path) -> None:
    groups = read_table_of(tmp_path / "groups.csv", "image,phash,group\n00,xyz,a\n01,,a\n", Grouping(hash="dhash"))
    assert groups.grouping == GIVEN


def test_groups_beside_a_bare_table_are_read(tmp_path: Path) -> None:
    write_folder(tmp_path, "image,group\n00.jpg,a\n01.jpg,a\n")
    (tmp_path / "benchmark.toml").unlink()
    benchmark = piq_bench.read_benchmark(tmp_path / "annotations.csv")
    assert benchmark.groups is not None
    assert benchmark.groups.group.tolist() == [0, 0, *[NO_GROUP] * 14]
    (tmp_path / "labels.csv").write_text("image,age\nx.jpg,1\ny.jpg,2\n", encoding="utf-8")
    assert inspect_dataset(tmp_path / "labels.csv").benchmark.groups is None  # without a split there is no test set


def test_a_group_in_memory_must_be_one_per_image() -> None:
    with pytest.raises(BadDataset, match="group"):
        made(["a"] * 3)
    with pytest.raises(BadDataset, match="control characters"):
        made(["a\n"] * N)


def test_a_score_file_with_given_groups_is_read_back_to_compare_with(tmp_path: Path) -> None:
    rows = [i for i in range(N) if SPLIT[i] != "train"]
    benchmark = made(GROUP)
    found = piq_bench.score({"image": [IMAGES[i] for i in rows]}, benchmark, embedding=embedding()[rows])
    path = tmp_path / "score.json"
    path.write_text(score_json(found.score), encoding="utf-8")
    assert read_origin(path) == (found.score.benchmark["fingerprint"], found.score.protocol)
