"""The HTML page of a score: lost points add up, nothing is loaded, and untrusted text stays inert."""

import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import builders
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.cli import load_command
from piq_bench.records import Benchmark
from piq_bench.report.lost_points import points_lost
from piq_bench.report.score_html import score_html
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score

pytest.importorskip("jinja2")
HOSTILE = '<script>alert("1")</script>\'"><img src=x onerror=alert(2)>'
ENTRY = Path(__file__).parents[2] / "submissions" / "colour-shape" / "submission.npz"


def scored(seed: int, *, n_resamples: int = 5) -> tuple[Score, Benchmark]:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng)
    return score(benchmark, builders.submission(rng, benchmark), n_resamples=n_resamples), benchmark


class Page(HTMLParser):
    """Tags and attributes, and whether every tag is closed in order."""

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
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_lost_points_add_up_to_the_gap_between_piq_and_1(seed: int) -> None:
    result, benchmark = scored(seed, n_resamples=0)
    losses = points_lost(result, benchmark)
    if result.piq is None:
        assert losses == []
        return
    assert sum(loss.points for loss in losses) == pytest.approx(100 * (1 - result.piq), abs=1e-9)
    assert all(one.points >= other.points >= 0 for one, other in pairwise(losses))


def test_average_precisions_of_people_make_the_macro_mean() -> None:
    result, benchmark = scored(3)
    assert result.reid is not None
    values = list(result.reid.by_identity.values())
    assert len(values) == result.reid.identities
    assert sum(values) / len(values) == pytest.approx(result.reid.values["macro_map"], abs=1e-12)
    assert Page(score_html(result, benchmark)).tags.count("circle") == len(values)


def test_a_page_is_whole_loads_nothing_and_describes_its_plots() -> None:
    result, benchmark = scored(1)
    page = Page(score_html(result, benchmark))
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not {"src", "onload", "onclick"} & {name for name, _ in page.attributes}
    targets = {value for name, value in page.attributes if name == "id"}
    assert {value for name, value in page.attributes if name == "href"} == {f"#{target}" for target in targets}
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert len(labels) == page.tags.count("svg")
    assert all(labels)
    for task in result.confusion:
        assert task in page.texts
    assert "Attributes" in page.texts
    assert {"mA", "Rank-20"} <= set(page.texts)


def test_a_strangers_texts_stay_texts() -> None:
    result, benchmark = scored(2)
    hostile = replace(
        result,
        submission={**result.submission, "name": HOSTILE},
        notes=(HOSTILE,),
        benchmark={**result.benchmark, "name": HOSTILE},
    )
    text = score_html(hostile, benchmark)
    page = Page(text)
    assert not {"script", "img"} & set(page.tags)
    assert HOSTILE in "".join(page.texts)
    assert "<script" not in text


def test_a_partial_score_has_a_page() -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    submission = replace(builders.submission(rng, benchmark), embedding=None)
    page = Page(score_html(score(benchmark, submission, n_resamples=0), benchmark))
    assert "Where PIQ loses points" not in page.texts
    assert "circle" not in page.tags


def test_piq_score_writes_it_or_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> tuple[int, str]:
        options = [str(ENTRY), "--html", str(tmp_path / "out.html"), "--bootstrap", "5"]
        done = CliRunner().invoke(load_command("score"), options)
        return done.exit_code, done.stderr

    assert run() == (0, "")
    assert len((tmp_path / "out.html").read_bytes()) < 150_000
    (tmp_path / "out.html").unlink()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, message = run()
    assert code == 2
    assert "pip install 'piq-bench[report]'" in message
    assert not (tmp_path / "out.html").exists()
