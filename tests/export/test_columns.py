"""Columns of a leaderboard: derived from the tasks, short, unique, and filled for every submission."""

import re
import string

import builders
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.api import make_benchmark
from piq_bench.errors import BadDataset
from piq_bench.export.columns import MAX_KEY, columns_of, half_widths, row_of
from piq_bench.records import Benchmark, Task
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score

LABELS = ("a", "b")
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,63}", fullmatch=True).filter(
    lambda name: (
        name not in ("image", "split", "identity", "source", "sequence", "camera", "embedding", "meta")
        and name not in ("phash", "group")
    )
)


def with_tasks(names: list[str], *, reid: bool) -> Benchmark:
    tasks = [Task("reid", "reid", kind="retrieval")] if reid else []
    tasks += [Task(name, "rest", labels=LABELS) for name in names]
    columns = {"image": ["q", "g"], "split": ["query", "gallery"], "identity": ["p", "p"]}
    return make_benchmark({**columns, **{name: ["a", "b"] for name in names}}, tasks)


def scored(n_resamples: int = 10) -> tuple[Benchmark, Score]:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, builders.Size(n_query=20, n_gallery=40))
    return benchmark, score(benchmark, builders.submission(rng, benchmark), n_resamples=n_resamples)


def test_columns_come_from_the_tasks() -> None:
    keys = [column.key for column in columns_of(with_tasks(["hat", "gait"], reid=True))]
    assert keys == ["piq", "reid_macro_rank1", "reid_macro_map", "hat_f1", "gait_f1"]
    assert [column.key for column in columns_of(with_tasks(["hat"], reid=False))] == ["piq", "hat_f1"]


@given(st.lists(NAMES, min_size=1, max_size=6, unique_by=str.casefold), st.booleans())
def test_keys_are_short_plain_and_unique(names: list[str], reid: bool) -> None:
    names = [name for name in names if name.casefold() != "reid"] or ["one"]
    columns = columns_of(with_tasks(names, reid=reid))
    keys = [column.key for column in columns]
    assert len({key.casefold() for key in keys}) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key) and len(key) <= MAX_KEY for key in keys)
    assert all(0 < len(column.title) <= MAX_KEY for column in columns)


def test_long_names_that_begin_alike_stay_apart() -> None:
    names = ["x" * 40 + end for end in string.ascii_lowercase]
    keys = [column.key for column in columns_of(with_tasks(names, reid=False))]
    assert len(set(keys)) == 27 and max(map(len, keys)) == MAX_KEY


@pytest.mark.parametrize("name", ["reid", "x" * 64])
def test_headings_call_macro_numbers_macro_and_keep_the_metric_of_a_long_task(name: str) -> None:
    tasks = [Task(name, "reid", kind="retrieval"), Task("y" * 64, "rest", labels=LABELS)]
    columns = {"image": ["q", "g"], "split": ["query", "gallery"], "identity": ["p", "p"], "y" * 64: ["a", "b"]}
    rank1, mean, f1 = [column.title for column in columns_of(make_benchmark(columns, tasks))][1:]
    assert rank1.endswith(" macro Rank-1") and mean.endswith(" macro mAP") and f1.endswith("y... F1")
    assert max(map(len, (rank1, mean, f1))) == MAX_KEY
    assert name != "reid" or (rank1, mean) == ("reid macro Rank-1", "reid macro mAP")


def test_a_row_holds_every_key_in_per_cent() -> None:
    benchmark, result = scored()
    columns = columns_of(benchmark)
    row = row_of(result, columns)
    assert list(row) == [column.key for column in columns]
    assert result.piq is not None and result.reid is not None
    assert row["piq"] == 100 * result.piq
    assert row["reid_macro_map"] == 100 * (result.reid.values["macro_map"] or 0)
    assert row["mood_f1"] == 100 * (result.f1["mood"] or 0)


def test_all_columns_have_half_widths_or_none_has() -> None:
    benchmark, result = scored()
    columns = columns_of(benchmark)
    widths = half_widths(result, columns)
    assert widths is not None and list(widths) == [column.key for column in columns]
    assert result.intervals is not None and result.intervals.piq is not None
    low, high = result.intervals.piq
    assert widths["piq"] == pytest.approx(50 * (high - low))
    assert half_widths(scored(0)[1], columns) is None


def test_an_undefined_number_is_refused() -> None:
    benchmark, _ = scored()
    rng = np.random.default_rng(1)
    for task in benchmark.classification_tasks:
        benchmark.labels[task.name][:] = -1
    result = score(benchmark, builders.submission(rng, benchmark), n_resamples=0)
    with pytest.raises(BadDataset, match="undefined") as refused:
        row_of(result, columns_of(benchmark))
    assert {problem.where for problem in refused.value.problems} == {"piq", "gender_f1", "age_f1", "mood_f1"}
