"""The page of a comparison: one scale for all pairs, a dot for each person, and the people who change most."""

import re
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
from PIL import Image

from piq_bench.records import Benchmark
from piq_bench.report.compare_html import N_CHANGES, compare_html
from piq_bench.report.rows import percent
from piq_bench.scoring.compare import Comparison, compare, tallied
from piq_bench.scoring.score import score

pytest.importorskip("jinja2")


def compared(folder: Path | None = None) -> tuple[Comparison, Benchmark]:
    rng = np.random.default_rng(4)
    benchmark = builders.benchmark(rng, builders.Size(n_query=30, n_gallery=60, n_identities=12))
    if folder is not None:
        benchmark = replace(benchmark, root=folder)
        for image in benchmark.images:
            (folder / "images" / image).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 40)).save(folder / "images" / image)
    systems = [tallied(benchmark, builders.submission(rng, benchmark)) for _ in range(3)]
    return compare(benchmark, systems, n_resamples=5, n_swaps=9), benchmark


def test_each_person_is_a_dot_with_the_precision_of_both_scores() -> None:
    rng = np.random.default_rng(4)
    benchmark = builders.benchmark(rng, builders.Size(n_query=30, n_gallery=60, n_identities=12))
    submissions = [builders.submission(rng, benchmark) for _ in range(2)]
    (pair,) = compare(benchmark, [tallied(benchmark, one) for one in submissions], n_resamples=5, n_swaps=9).pairs
    first, second = (score(benchmark, one, n_resamples=0).reid for one in submissions)
    assert first is not None and second is not None
    found = {benchmark.identities[one.identity]: (one.first, one.second) for one in pair.people}
    assert found == {name: (value, second.by_identity[name]) for name, value in first.by_identity.items()}


def test_all_pairs_share_one_scale_and_changes_are_the_largest_first() -> None:
    comparison, benchmark = compared()
    text = compare_html(comparison, benchmark)
    scales = re.findall(r'<th class="text">(-[\d.]+ to \+[\d.]+)</th>', text)
    assert len(scales) == 3 and len(set(scales)) == 1
    assert text.count("<circle") == sum(len(pair.people) for pair in comparison.pairs)
    part = text.split("<section>")[1]
    changes = [one.second - one.first for one in comparison.pairs[0].people]
    gains = sorted((change for change in changes if change > 0), reverse=True)[:N_CHANGES]
    losses = sorted(change for change in changes if change < 0)[:N_CHANGES]
    shown = re.findall(r"<figcaption><b>([+-][\d.]+)</b><br>([\d.]+) to ([\d.]+)<br>", part)
    assert [change for change, _, _ in shown] == [f"{100 * change:+.2f}" for change in gains + losses]
    pairs = {(percent(one.first), percent(one.second)) for one in comparison.pairs[0].people}
    assert {(one, other) for _, one, other in shown} <= pairs
    assert "There are no pictures" in text
    assert "Person by person" not in compare_html(comparison)


def test_pictures_of_people_are_their_queries(tmp_path: Path) -> None:
    comparison, benchmark = compared(tmp_path)
    text = compare_html(comparison, benchmark)
    shown = set(re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', text))
    assert shown and shown <= {str(image) for image in benchmark.images[benchmark.split == 1]}
    assert "There are no pictures" not in text
