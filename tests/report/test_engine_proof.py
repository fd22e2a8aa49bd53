"""The large job of the selftest, counted by the definition in plain Python, and the engines that it is given to."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from piq_bench.records import FloatArray, IntArray
from piq_bench.report import engine_proof
from piq_bench.report.engine_proof import POINTS, counted, counts_digest
from piq_bench.retrieve import cpu, plain
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.engines import COMPILED_PAIRS, GPU_PAIRS, choose
from piq_bench.retrieve.ragged import Ragged
from piq_bench.retrieve.similarity import Similarity

N_QUERIES, N_GALLERY = 30, 400


@pytest.mark.parametrize("distance", engine_proof.DISTANCES)
def test_all_engines_count_what_the_definition_says(distance: engine_proof.Distance) -> None:
    seen: dict[str, int] = {}

    def by_definition(
        similarity: Similarity,
        queries: IntArray,
        gallery: IntArray,
        points: FloatArray,
        excluded: Ragged,
        point_start: IntArray,
        *,
        advance: Callable[[int], None],
    ) -> Counts:
        seen["near"] = 0
        above, tied = [], []
        for query, row in enumerate(similarity.exact_table(queries, gallery).tolist()):
            others = [value for place, value in enumerate(row) if place not in set(excluded[query].tolist())]
            assert len(others) == N_GALLERY - POINTS
            for point in points[point_start[query] : point_start[query + 1]].tolist():
                above.append(sum(value > point for value in others))
                tied.append(sum(value == point for value in others))
                seen["near"] += sum(value != point and abs(value - point) < 1e-6 * abs(point) for value in others)
        return Counts(np.array(above, np.int32), np.array(tied, np.int32))

    expected = counted(by_definition, distance, N_QUERIES, N_GALLERY)
    assert expected.tied.any() and seen["near"] > 100  # ranks that float32 cannot decide
    for engine in (plain.count_ranks, cpu.count_ranks):
        counts = counted(engine, distance, N_QUERIES, N_GALLERY)
        assert counts.above.tolist() == expected.above.tolist()
        assert counts.tied.tolist() == expected.tied.tolist()


def test_the_compiled_engine_gives_the_official_counts_of_a_job_that_auto_gives_it() -> None:
    assert choose("cpu", COMPILED_PAIRS) == (cpu.count_ranks, cpu.ENGINE)
    assert [n * engine_proof.N_GALLERY for n in engine_proof.OFFICIAL] == [COMPILED_PAIRS, GPU_PAIRS]
    assert counts_digest(cpu.count_ranks, 2_000) == engine_proof.OFFICIAL[2_000]


def test_an_engine_that_miscounts_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any, **options: Any) -> Counts:  # noqa: ANN401
        counts = plain.count_ranks(*given, **options)
        counts.above[7] += 1
        return counts

    monkeypatch.setattr(engine_proof, "N_GALLERY", N_GALLERY)
    monkeypatch.setattr(engine_proof, "COMPILED_PAIRS", N_QUERIES * N_GALLERY)
    monkeypatch.setattr(engine_proof, "GPU_PAIRS", N_QUERIES * N_GALLERY)
    right = counts_digest(plain.count_ranks, N_QUERIES)
    monkeypatch.setattr(engine_proof, "OFFICIAL", {N_QUERIES: right})
    for engine, passed in ((plain.count_ranks, True), (wrong, False)):
        monkeypatch.setattr(engine_proof, "choose", lambda name, n_pairs, engine=engine: (engine, "engine"))
        assert [proof.passed for proof in engine_proof.prove_engines("auto")] == [passed]
