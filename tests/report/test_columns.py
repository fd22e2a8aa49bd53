"""Every printed number stands under its own title: a score in which no two numbers are alike, in all formats."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import count

import builders
import numpy as np
import pytest

from piq_bench.records import Benchmark, Grouping
from piq_bench.report.compare_json import compare_json
from piq_bench.report.compare_latex import compare_latex
from piq_bench.report.compare_markdown import compare_markdown
from piq_bench.report.compare_table import compare_table
from piq_bench.report.json import score_json
from piq_bench.report.latex import score_latex
from piq_bench.report.markdown import score_markdown
from piq_bench.report.result import Result
from piq_bench.report.table import score_table
from piq_bench.scoring.compare import Comparison, compare, tallied
from piq_bench.scoring.records import AttributeScore, Intervals, LabelScore, Protocol, ReidScore, Score

NAMES = ("map", "rank1", "rank5", "rank10", "minp")
TASKS = {"gender": ("female", "male"), "age": ("child", "adult", "old"), "mood": ("happy", "sad", "angry")}
ASPECTS = {"reid": [], "appearance": ["gender", "age"], "emotion": ["mood"]}
Cells = dict[str, list[str]]


def different(first: int = 1000) -> Iterator[float]:
    """Fractions of which no two have the same four decimals."""
    return (number / 10_000 for number in count(first, 7))


@pytest.fixture(scope="module")
def made() -> tuple[Score, Benchmark]:
    value = different()
    number = count(11)

    def pair() -> tuple[float, float]:
        return next(value), next(value)

    def reid(names: tuple[str, ...] = NAMES) -> dict[str, float | None]:
        return {f"{kind}{name}": next(value) for kind in ("macro_", "") for name in names}

    score = Score(
        piq=next(value),
        aspects={name: next(value) for name in ASPECTS},
        reid=ReidScore(
            values=reid(),
            without_exclusion=reid(),
            chance={"macro_map": next(value), "macro_rank1": next(value)},
            queries=next(number),
            queries_skipped=next(number),
            identities=next(number),
            identities_skipped=("Zoë",),
            queries_unlabelled=next(number),
            further=reid(("rank20",)),
            further_without_exclusion=reid(("rank20",)),
        ),
        f1={name: next(value) for name in TASKS},
        labels={
            task: {
                name: LabelScore(
                    next(value), next(value), next(value), support=next(number), predicted=next(number), hits=3
                )
                for name in names
            }
            for task, names in TASKS.items()
        },
        confusion={"gender": ((1, 2), (3, 4))},
        chance_f1={name: next(value) for name in TASKS},
        majority_f1={name: next(value) for name in TASKS},
        intervals=Intervals(
            method="a method",
            level=0.95,
            resamples=77,
            seed=5,
            piq=pair(),
            aspects={name: pair() for name in ASPECTS},
            reid={f"{kind}{name}": pair() for kind in ("macro_", "") for name in NAMES},
            f1={name: pair() for name in TASKS},
        ),
        notes=("a note on Zoë",),
        submission={"name": "Ångström 人", "content": "c" * 64, "images": 31, "dimension": 5, "distance": "cosine"},
        benchmark={"name": "naïve", "version": "2", "fingerprint": "f" * 64},
        protocol=Protocol(1, "non-interpolated", Grouping(), ("group",)),
        engine="cpu (numpy)",
        file={"sha256": "0" * 64, "bytes": 9},
        attributes={name: AttributeScore({}, {}, {}) for name in TASKS},
    )
    return score, builders.benchmark(np.random.default_rng(0))


def percent(value: float | None) -> str:
    assert value is not None
    return f"{100 * value:.2f}"


def span(ends: tuple[float, float] | None) -> str:
    assert ends is not None
    return f"{percent(ends[0])} - {percent(ends[1])}"


def main_table(score: Score) -> Cells:
    """Score, interval, chance and majority by name, as they have to be printed."""
    ends, reid = score.intervals, score.reid
    assert ends is not None and reid is not None
    cells = {"PIQ": [percent(score.piq), span(ends.piq)]}
    for aspect, tasks in ASPECTS.items():
        cells[aspect] = [percent(score.aspects[aspect]), span(ends.aspects[aspect])]
        if aspect == "reid":
            for key, title in (("macro_rank1", "macro Rank-1"), ("macro_map", "macro mAP")):
                cells[title] = [percent(reid.values[key]), span(ends.reid[key]), percent(reid.chance[key])]
        for task in tasks:
            values = score.f1[task], score.chance_f1[task], score.majority_f1[task]
            f1, chance, majority = map(percent, values)
            cells[f"{task} F1"] = [f1, span(ends.f1[task]), chance, majority]
    return cells


def retrieval_table(score: Score) -> Cells:
    """Macro and plain, then both with near-duplicates, by metric."""
    reid = score.reid
    assert reid is not None and reid.without_exclusion is not None and reid.further_without_exclusion is not None
    values, kept = {**reid.values, **reid.further}, {**reid.without_exclusion, **reid.further_without_exclusion}
    titles = {"map": "mAP", "rank1": "Rank-1", "rank5": "Rank-5", "rank10": "Rank-10", "rank20": "Rank-20"}
    return {
        title: [percent(part[key]) for part in (values, kept) for key in (f"macro_{name}", name)]
        for name, title in (titles | {"minp": "mINP"}).items()
    }


def printed(line: str) -> list[str]:
    return re.split(r" {2,}", line.strip())


def test_the_table_prints_each_number_under_its_title(made: tuple[Score, Benchmark]) -> None:
    score, benchmark = made
    lines = [printed(line) for line in score_table(score, benchmark).splitlines()]
    assert ["in per cent", "score", "95% interval", "chance", "majority"] in lines
    for name, cells in (main_table(score) | retrieval_table(score)).items():
        assert [name, *cells] in lines, name
    assert any(line[0] == "re-id, in per cent" and line[1:3] == ["macro", "plain"] for line in lines)
    for task, names in TASKS.items():
        assert [task, "precision", "recall", "F1", "images", "predicted"] in lines
        for name in names:
            label = score.labels[task][name]
            shares = map(percent, (label.precision, label.recall, label.f1))
            assert [name, *shares, str(label.support), str(label.predicted)] in lines


def test_markdown_prints_each_number_under_its_title(made: tuple[Score, Benchmark]) -> None:
    score, benchmark = made
    text = score_markdown(score, benchmark).replace("&nbsp;", "").replace("**", "").replace("\\", "")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    heads = (["", "score, %", "interval, %", "chance, %", "majority, %"], ["re-id", "macro, %", "plain, %"])
    places = [lines.index(head) for head in (*heads, ["re-id with near-duplicates kept", "macro, %", "plain, %"])]
    for name, cells in main_table(score).items():
        assert [name, *cells, *[""] * (4 - len(cells))] in lines[places[0] : places[1]]
    for name, (macro, plain, macro_kept, plain_kept) in retrieval_table(score).items():
        assert [name, macro, plain] in lines[places[1] : places[2]]
        assert [name, macro_kept, plain_kept] in lines[places[2] :]


def test_latex_and_frames_and_notebooks_hold_each_number_in_its_column(made: tuple[Score, Benchmark]) -> None:
    score, benchmark = made
    rows = [line.removesuffix(r" \\").split(" & ") for line in score_latex(score, benchmark).splitlines()]
    (titles,) = (row for row in rows if row[0] == "Method")
    values, ends = rows[rows.index(titles) + 2 :][:2]
    cells = main_table(score)
    names = {"macro mAP": "macro mAP", "macro R1": "macro Rank-1", "PIQ": "PIQ"}
    names |= {task: f"{task} F1" for task in TASKS}
    assert set(titles) == {"Method", *names}
    for title, value, end in zip(titles[1:], values[1:], ends[1:], strict=True):
        assert [value, end] == [cells[names[title]][0], rf"\tiny {cells[names[title]][1]}"]
    frame = Result(score, benchmark).summary()
    html = Result(score, benchmark)._repr_html_()
    for name, (value, interval, *guesses) in cells.items():
        key = {"macro Rank-1": "macro_rank1", "macro mAP": "macro_map"}.get(name, name)
        row = frame.to_dict("index")[key]
        assert [percent(row["score"]), span((row["low"], row["high"]))] == [value, interval]
        found = [percent(guess) for guess in (row["chance"], row["majority"]) if not np.isnan(guess)]
        assert found == guesses
        assert "</td><td>".join([name, value, interval, *guesses, *[""] * (2 - len(guesses))]) in html
    assert "<th>score</th><th>interval</th><th>chance</th><th>majority</th>" in html


def test_the_score_file_has_each_number_under_its_key(made: tuple[Score, Benchmark]) -> None:
    score, _ = made
    document = json.loads(score_json(score))
    reid = score.reid
    assert reid is not None and score.intervals is not None
    assert document["piq"] == score.piq
    assert document["aspects"] == score.aspects
    assert document["f1"] == score.f1
    assert document["baselines"] == {
        "chance": {"reid": reid.chance, "f1": score.chance_f1},
        "majority": {"f1": score.majority_f1},
    }
    assert document["reid"] == {
        **reid.values,
        "queries": 11,
        "queries_skipped": 12,
        "identities": 13,
        "identities_skipped": ["Zoë"],
        "queries_unlabelled": 14,
        "ap": "non-interpolated",
        "without_exclusion": reid.without_exclusion,
    }
    assert document["further_metrics"]["reid"] == {
        **reid.further,
        "without_exclusion": reid.further_without_exclusion,
        "cmc": None,  # without the scores of queries
    }
    assert document["intervals"] == json.loads(json.dumps(asdict(score.intervals)))
    assert document["labels"] == {
        task: {name: asdict(label) for name, label in labels.items()} for task, labels in score.labels.items()
    }
    assert document["notes"] == ["a note on Zoë"]


def test_the_digest_can_be_counted_again_from_the_file_with_json_and_hashlib_alone(
    made: tuple[Score, Benchmark],
) -> None:
    document = json.loads(score_json(made[0]))
    digest = document["protocol"].pop("digest")
    parts = {}
    for key, value in document.items():
        if key == "software":
            break
        parts[key] = value
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert "Ångström 人" in text
    assert digest == hashlib.sha256(text.encode()).hexdigest()


def compared(*, with_embedding: bool) -> Comparison:
    rng = np.random.default_rng(3)
    benchmark = builders.benchmark(rng, builders.Size(n_query=20, n_gallery=40))
    submissions = [builders.submission(rng, benchmark) for _ in range(2)]
    if not with_embedding:
        submissions = [replace(one, embedding=None) for one in submissions]
    named = [replace(one, name=name) for one, name in zip(submissions, ("one", "other"), strict=True)]
    return compare(benchmark, [tallied(benchmark, one) for one in named], n_resamples=20, n_swaps=20)


@pytest.mark.parametrize("with_embedding", [True, False])
def test_a_comparison_prints_the_first_the_second_and_their_difference(with_embedding: bool) -> None:
    comparison = compared(with_embedding=with_embedding)
    (pair,) = comparison.pairs
    assert (pair.identities is None) == (not with_embedding)
    assert {one.metric.partition(".")[0] for one in pair.differences} >= {"f1"}
    assert any("rank1" in one.metric for one in pair.differences) == with_embedding
    lines = [printed(line) for line in compare_table(comparison).splitlines()]
    assert ["first", "one"] in lines and ["second", "other"] in lines
    markdown = compare_markdown(comparison).replace("\\", "")
    latex = compare_latex(comparison)
    titles = {"piq": "PIQ", "reid.macro_rank1": "macro Rank-1", "reid.macro_map": "macro mAP"}
    for one in pair.differences:
        kind, _, name = one.metric.partition(".")
        title = titles.get(one.metric) or (f"{name} F1" if kind == "f1" else name)
        change = one.second - one.first
        cells = [title, percent(one.first), percent(one.second), f"{100 * change:+.2f}"]
        (line,) = (line for line in lines if line[0] == title)
        assert [cell.split(" ")[0].rstrip("*") for cell in line[1:4]] == cells[1:]
        assert re.search(r" *\| *".join(map(re.escape, cells)), markdown.replace("*", "")), one.metric
        assert re.search(r" *& *".join(map(re.escape, cells)), latex), one.metric
    written = json.loads(compare_json(comparison))["pairs"][0]
    assert [(one["first"], one["second"]) for one in written["differences"]] == [
        (one.first, one.second) for one in pair.differences
    ]
    if pair.identities is not None:
        higher, same, lower = pair.identities
        assert written["identities"] == {"higher": higher, "same": same, "lower": lower}
