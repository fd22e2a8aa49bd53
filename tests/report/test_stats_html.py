"""The HTML page of a data set: its numbers are right, nothing is loaded, and untrusted text stays inert."""

import re
import sys
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.cli import load_command
from piq_bench.describe.stats import describe, images_by_source
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import NO_IDENTITY, SPLITS, Benchmark, Finding, Grouping, Groups
from piq_bench.report.stats_html import MOST_COLUMNS, stats_html

pytest.importorskip("jinja2")
HOSTILE = '<script>alert("1")</script>\'"><img src=x onerror=alert(2)>\u202egpj' + 10_000 * "x"


class Page(HTMLParser):
    """Tags, attributes and texts; every tag must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page_of(benchmark: Benchmark, **changes: Any) -> str:  # noqa: ANN401
    return stats_html(replace(describe(benchmark), **changes), benchmark)


def with_sweep(benchmark: Benchmark, sweep: object) -> Benchmark:
    assert benchmark.groups is not None
    return replace(benchmark, groups=replace(benchmark.groups, parameters={"sweep": sweep}))


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_images_by_source_are_counted_person_by_person(seed: int) -> None:
    benchmark = builders.benchmark(np.random.default_rng(seed))
    assert benchmark.source is not None
    for number, split in enumerate(SPLITS):
        found = images_by_source(benchmark, split)
        rows = [i for i in range(benchmark.split.size) if benchmark.split[i] == number and benchmark.identity[i] >= 0]
        images = Counter(benchmark.identity[i] for i in rows)
        people = sorted(images, key=lambda person: (-images[person], person))
        assert found.sizes == tuple(images[person] for person in people)
        expected = Counter((benchmark.source[i], people.index(benchmark.identity[i])) for i in rows)
        assert expected == {
            (source, person): n for source, own in zip(found.sources, found.counts, strict=True) for person, n in own
        }
        totals = [sum(n for _, n in own) for own in found.counts]
        assert totals == sorted(totals, reverse=True)


def test_the_columns_of_people_are_as_tall_as_their_images() -> None:
    """Heights in a chart 260 units tall, whose tallest column is the first person's."""
    benchmark = replace(builders.benchmark(np.random.default_rng(1)), source=None)
    text = page_of(benchmark)
    charts = re.findall(r'<path class="area" style="--hue: \d+" d="([^"]+)"', text)
    splits = [split for split in describe(benchmark).splits.values() if split.sizes]
    assert len(charts) == len(splits)
    for path, split in zip(charts, splits, strict=True):
        heights = [float(height) for height in re.findall(r"v([\d.]+)", path)]
        assert heights == pytest.approx([260 * size / split.sizes[0] for size in split.sizes], abs=0.01)


def test_the_bundled_data_set_has_a_page_with_all_figures() -> None:
    benchmark = read_benchmark(None)
    text = page_of(benchmark)
    page = Page(text)
    texts = " ".join(page.texts)
    for title in ("LTS_k over k", "Images per person", "Images per label", "Effect of the threshold", "expression"):
        assert title in texts
    assert not {"script", "img", "link", "iframe", "object", "image", "use"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick"} & {name for name, _ in page.attributes}
    assert "url(" not in text
    assert text.count("<svg") == text.count('role="img"')
    assert len(text) < 100_000


def test_many_people_are_thinned_out_and_the_page_says_so() -> None:
    rng = np.random.default_rng(0)
    size = builders.Size(n_train=2, n_query=2, n_gallery=3000, n_identities=2500)
    benchmark = replace(builders.benchmark(rng, size, mode=None), groups=None)
    text = page_of(benchmark)
    n_people = np.unique(benchmark.identity[(benchmark.split == 2) & (benchmark.identity != NO_IDENTITY)]).size
    assert n_people > MOST_COLUMNS
    assert f"{MOST_COLUMNS} of {n_people} people, evenly spaced" in text


def test_a_strangers_texts_stay_texts_and_are_cut() -> None:
    benchmark = builders.benchmark(np.random.default_rng(2))
    tasks = tuple(
        replace(task, labels=(HOSTILE, *task.labels[1:])) if task.labels else task for task in benchmark.tasks
    )
    source = np.array([HOSTILE] * benchmark.split.size, dtype=object)
    hostile = replace(benchmark, name=HOSTILE, version=HOSTILE, tasks=tasks, source=source)
    text = page_of(hostile, findings=(Finding("odd", "warning", HOSTILE),))
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert "<script" not in text
    assert "\u202e" not in text
    assert max(len(run) for run in re.findall("x+", text)) <= 1000
    assert any(part.startswith('<script>alert("1")') for part in page.texts)
    assert len(text) < 100_000


@pytest.mark.parametrize(
    "sweep",
    [
        None,
        "text",
        [],
        [{"threshold": 0}],
        [HOSTILE],
        [{"threshold": HOSTILE, "groups": 1, "grouped_images": 1, "largest": 1}],
        [{"threshold": 0, "groups": 1, "grouped_images": 1, "largest": True}],
        [{"threshold": 0, "groups": 1, "grouped_images": 2, "largest": -1}],
        [{"threshold": 0, "groups": 1, "grouped_images": 2, "largest": 2}] * 65,
    ],
)
def test_an_unexpected_header_of_the_groups_file_is_not_shown(sweep: object) -> None:
    text = page_of(with_sweep(builders.benchmark(np.random.default_rng(3)), sweep))
    assert "Effect of the threshold" not in text
    assert "Near-duplicates" in text


def test_thresholds_are_drawn_as_shares_of_the_test_images() -> None:
    levels = [{"threshold": t, "groups": 1, "grouped_images": n, "largest": 2} for t, n in ((0, 8), (2, 16))]
    benchmark = with_sweep(builders.benchmark(np.random.default_rng(3)), levels)
    assert benchmark.test_rows.size == 32
    assert "M0.0 195.0L640.0 130.0" in page_of(benchmark)  # 8 and 16 of 32 images: 3/4 and 1/2 of 260 from the top


@pytest.mark.parametrize("groups", [None, "empty"])
def test_a_bare_table_has_a_page(groups: str | None) -> None:
    benchmark = builders.benchmark(np.random.default_rng(4), mode=None)
    nobody = np.full(benchmark.split.size, NO_IDENTITY)
    made = Groups(Grouping(), np.zeros(nobody.size, dtype=np.uint64), nobody) if groups else None
    page = Page(page_of(replace(benchmark, identity=nobody, identities=(), source=None, groups=made, tasks=())))
    assert "LTS_k over k" not in " ".join(page.texts)
    assert "Images per person" not in page.texts


def test_lts_curves_are_those_of_the_definition() -> None:
    """Two of three images belong to the first of two people: LTS_k is 1 / (2 k) up to k = 2/3, then 1 / k."""
    benchmark = builders.benchmark(np.random.default_rng(5), mode=None)
    identity = np.full(benchmark.split.size, NO_IDENTITY)
    identity[np.flatnonzero(benchmark.split == 2)[:3]] = [0, 0, 1]
    text = page_of(replace(benchmark, identity=identity))
    path = re.findall(r'<path class="curve style2" d="(M0?[^"]+)"/>\n', text)[0]
    points = [tuple(map(float, point.split())) for point in path[1:].split("L")]
    shares = [Fraction(i, 50) for i in range(1, 51)]
    expected = [1 / (2 * k) if k <= Fraction(2, 3) else 1 / k for k in shares]
    assert [x for x, _ in points] == pytest.approx([640 * k for k in map(float, shares)], abs=0.06)
    assert [y for _, y in points] == pytest.approx([260 - 260 * float(v) / 25 for v in expected], abs=0.06)


def test_piq_stats_writes_it_or_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> tuple[int, str]:
        done = CliRunner().invoke(load_command("stats"), ["--no-files", "--html", str(tmp_path / "out.html")])
        return done.exit_code, done.stderr

    assert run() == (0, "")
    Page((tmp_path / "out.html").read_text(encoding="utf-8"))
    (tmp_path / "out.html").unlink()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, message = run()
    assert code == 2
    assert "pip install 'piq-bench[report]'" in message
    assert not (tmp_path / "out.html").exists()
