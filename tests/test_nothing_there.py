"""Data sets in which something has no case: no identities, a label or a task without an image, hashes that collide."""

import json
from dataclasses import replace

import builders
import numpy as np
import pytest

from piq_bench.describe.stats import describe
from piq_bench.records import NO_IDENTITY, NOT_ANNOTATED, Benchmark, Submission
from piq_bench.report.json import score_json
from piq_bench.report.latex import score_latex
from piq_bench.report.markdown import score_markdown
from piq_bench.report.score_html import score_html
from piq_bench.report.table import score_table
from piq_bench.retrieve import similarity as module
from piq_bench.retrieve.similarity import Similarity
from piq_bench.scoring.compare import compare, tallied
from piq_bench.scoring.score import score

FORMATS = (score_table, score_markdown, score_latex, score_html)


def case(seed: int = 0, *, mode: str | None = "components") -> tuple[Benchmark, Submission]:
    rng = np.random.default_rng(seed)
    benchmark = builders.benchmark(rng, builders.Size(n_query=20, n_gallery=60), mode=mode)  # type: ignore[arg-type]
    return benchmark, builders.submission(rng, benchmark)


@pytest.mark.parametrize("mode", ["components", "neighbours", None])
def test_a_test_set_without_identities_still_scores_its_attributes(mode: str | None) -> None:
    benchmark, submission = case(mode=mode)
    identity = np.where(benchmark.split == 0, benchmark.identity, NO_IDENTITY)
    nobody = replace(benchmark, identity=identity, junk=np.zeros(identity.size, dtype=bool))
    result = score(nobody, submission, n_resamples=30)
    assert result.f1 == score(benchmark, submission, n_resamples=0).f1
    assert result.piq is None
    assert result.reid is not None and result.intervals is not None
    assert set(result.reid.values.values()) == {None} == set(result.reid.chance.values())
    assert (result.reid.queries, result.reid.queries_skipped, result.reid.identities) == (0, 0, 0)
    assert result.reid.queries_unlabelled == 20
    assert "20 query images have no identity and are no re-id queries" in result.notes
    low, high = result.intervals.f1["gender"] or (1.0, 0.0)
    assert low < high
    assert result.intervals.piq is None
    for layout in FORMATS:
        assert layout(result, nobody)
    assert json.loads(score_json(result))["reid"]["macro_map"] is None
    other = builders.submission(np.random.default_rng(1), nobody)
    (pair,) = compare(nobody, [tallied(nobody, one) for one in (submission, other)], n_resamples=9, n_swaps=9).pairs
    assert {"f1.gender", "f1.age", "f1.mood"} <= {one.metric for one in pair.differences}
    stats = describe(nobody)
    assert (stats.splits["query"].identities, stats.splits["query"].lts) == (0, dict.fromkeys(stats.ks))


def test_a_label_without_an_image_leaves_the_mean_of_its_task() -> None:
    benchmark, submission = case(2)
    age, mood = benchmark.labels["age"].copy(), benchmark.labels["mood"].copy()
    age[age == 2], mood[:, 1] = 0, np.where(mood[:, 1] == NOT_ANNOTATED, NOT_ANNOTATED, 0)
    fewer = replace(benchmark, labels={**benchmark.labels, "age": age, "mood": mood})
    result = score(fewer, submission, n_resamples=20)
    for task, empty in (("age", "old"), ("mood", "sad")):
        labels = result.labels[task]
        assert (labels[empty].support, labels[empty].recall) == (0, None)
        rest = [label.f1 for name, label in labels.items() if name != empty]
        assert result.f1[task] == pytest.approx(sum(rest) / len(rest), rel=1e-12)
        assert result.attributes[task].left_out[{"age": "balanced_accuracy", "mood": "ma"}[task]] == 1
    assert score_table(result, fewer).count("(no image)") == 2
    assert describe(fewer).labels["age"]["gallery"].labels["old"] == 0


def test_a_task_without_any_image_has_no_score_and_leaves_no_piq() -> None:
    benchmark, submission = case(3)
    nothing = {name: np.full_like(benchmark.labels[name], NOT_ANNOTATED) for name in ("gender", "mood")}
    result = score(empty := replace(benchmark, labels={**benchmark.labels, **nothing}), submission, n_resamples=20)
    assert (result.f1["gender"], result.f1["mood"], result.piq) == (None, None, None)
    assert result.f1["age"] is not None
    assert (result.aspects["appearance"], result.aspects["emotion"]) == (None, None)
    assert (result.chance_f1["gender"], result.majority_f1["mood"]) == (None, None)
    assert any(note == "PIQ is not reported: a task has nothing to be scored on" for note in result.notes)
    assert result.intervals is not None
    assert (result.intervals.f1["gender"], result.intervals.aspects["emotion"], result.intervals.piq) == (None,) * 3
    for layout in FORMATS:
        assert layout(result, empty)
    file = json.loads(score_json(result))
    assert file["f1"]["gender"] is None and file["baselines"]["chance"]["f1"]["gender"] is None
    both = [tallied(empty, submission), tallied(empty, builders.submission(np.random.default_rng(4), empty))]
    (pair,) = compare(empty, both, n_resamples=9, n_swaps=9).pairs
    metrics = {one.metric for one in pair.differences}
    assert "f1.age" in metrics
    assert not metrics & {"f1.gender", "f1.mood", "piq"}


@pytest.mark.parametrize("block", [1, 40, 1 << 20])
def test_rows_of_equal_hash_are_twins_only_if_they_are_equal(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark, _ = case(5)
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((benchmark.test_rows.size, 4)).astype(np.float32)
    rows[10:20] = rows[0]
    rows[30:40] = rows[31]
    measured = module._measure_block

    def colliding(vectors, bits, multiplier, norm, hashed) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        measured(vectors, bits, multiplier, norm, hashed)
        hashed[:] = 7

    monkeypatch.setattr(module, "_measure_block", colliding)
    monkeypatch.setattr(module, "BLOCK_VALUES", block)
    twin = Similarity.of(builders.submission(rng, benchmark, rows)).twin
    assert (rows[twin] == rows).all()
    assert (twin[10:20] == 0).all()
    assert (np.delete(twin, range(10, 20)) == np.delete(np.arange(twin.size), range(10, 20))).all()
