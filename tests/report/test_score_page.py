"""The HTML page of a score as the command writes it: complete, small, inert, and limited to its disclosure level."""

import re
from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest
from click.testing import CliRunner
from hostile_builders import LARGER, hostile_score_page, page_of
from PIL import Image

from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark, Task
from piq_bench.report.disclosure import DISCLOSURES
from piq_bench.report.score_tables import MOST_IN_MATRIX, MOST_LABELS

pytest.importorskip("jinja2")
ENTRY = Path(__file__).parents[2] / "submissions" / "colour-shape" / "submission.npz"


def random_page(level: str = "full") -> tuple[str, Benchmark]:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, LARGER)
    return page_of(benchmark, builders.submission(rng, benchmark), level), benchmark


def test_a_page_has_all_sections_and_counts() -> None:
    text, benchmark = random_page()
    for title in (
        "PIQ if one part were perfect", "Where PIQ loses points", "near-duplicates kept", "(CMC)",
        "Average precision by", "with many images", "Worst queries", "Best queries", "Labels", "Confusion",
    ):  # fmt: skip
        assert title in text
    assert text.count('<figure class="probe">') == 12
    assert all(task.name in text for task in benchmark.tasks)


@pytest.mark.parametrize("level", DISCLOSURES)
def test_a_level_shows_no_more_than_it_may(level: str) -> None:
    text, benchmark = random_page(level)
    images = [image for image in benchmark.images if image in text]
    # A note says which people of the data set cannot be scored.
    text = re.sub("leave the macro mean: [^<]*", "", text[text.index("<body>") :])
    people = [name for name in benchmark.identities if re.search(rf"\b{name}\b", text)]
    labels = [name for task in benchmark.tasks for name in task.labels if re.search(rf"\b{name}\b", text)]
    assert bool(images) == bool(people) == ("Confusion" in text) == ("circle" in text) == (level == "full")
    assert bool(labels) == ("<th>chance</th>" in text) == (level != "score")
    assert "PIQ if one part were perfect" in text


def test_the_command_applies_the_level_to_the_page(tmp_path: Path) -> None:
    benchmark = read_benchmark(None)
    sizes = []
    for level in DISCLOSURES:
        page = tmp_path / f"{level}.html"
        options = ["--bootstrap", "5", "--disclosure", level, "--html", str(page)]
        assert CliRunner().invoke(load_command("score"), [str(ENTRY), *options]).exit_code == 0
        text = page.read_text(encoding="utf-8")
        sizes.append(len(text))
        assert any(image in text for image in benchmark.images) == (level == "full")
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < 150_000


def test_pictures_are_inside_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    benchmark = replace(builders.benchmark(rng, LARGER), root=tmp_path)
    for image in benchmark.images:
        (tmp_path / "images" / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (128, 256), tuple(rng.integers(0, 256, 3).tolist())).save(tmp_path / "images" / image)
    submission = builders.submission(rng, benchmark)
    text = page_of(benchmark, submission)
    addresses = re.findall(r' src="([^"]*)"', text)
    assert len(addresses) > 80
    assert all(re.fullmatch(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", address) for address in addresses)
    assert "<img" not in page_of(benchmark, submission, "public")


def test_nothing_is_loaded_and_every_picture_is_described() -> None:
    text, _ = random_page()
    assert not re.search(r"\b(srcset|onload|onerror|action)=|url\(|@import|<script|<link|<iframe", text)
    assert all(target.startswith('"#') for target in re.findall(r"\bhref=(..)", text))
    assert text.count("<svg") == text.count('role="img"') == text.count("aria-label=")
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")


def test_a_strangers_texts_are_escaped_and_cut() -> None:
    hostile = '<script>alert("1")</script>\'\u202e\x1b[31m' + 10_000 * "x"
    text = hostile_score_page(hostile, '"><img src=x onerror=alert(1)>.jpg')
    assert "<script" not in text
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert max(len(run) for run in re.findall("x+", text)) < 1000
    assert len(text) < 200_000


def test_many_labels_are_cut_to_the_most_frequent() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng, LARGER)
    labels = tuple(f"label{i}" for i in range(200))
    truth = np.where(rng.random(benchmark.split.size) < 0.5, 7, rng.integers(0, 200, benchmark.split.size))
    benchmark = replace(
        benchmark,
        tasks=(Task("kind", "appearance", labels=labels),),
        labels={"kind": truth},
    )
    submission = replace(
        builders.submission(rng, benchmark), predictions={"kind": truth[benchmark.test_rows]}, embedding=None
    )
    text = page_of(benchmark, submission)
    assert f"and {200 - MOST_LABELS} rarer labels" in text
    assert f"{200 - MOST_IN_MATRIX + 1} others" in text
    n_test = benchmark.test_rows.size
    assert sum(map(int, re.findall(r"<small>(\d+)<", text))) == n_test
