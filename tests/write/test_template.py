"""A template asks for what the benchmark asks for, and no more; its values are those of a documented generator."""

from dataclasses import replace
from pathlib import Path

import builders
import numpy as np
import pytest

from piq_bench.write.template import write_template


def test_a_benchmark_without_people_gets_a_template_without_embeddings(tmp_path: Path) -> None:
    whole = builders.benchmark(np.random.default_rng(0))
    attributes = replace(whole, tasks=tuple(whole.classification_tasks))
    write_template(tmp_path / "whole.npz", whole, dimension=3, seed=0)
    write_template(tmp_path / "attributes.npz", attributes, dimension=3, seed=0)
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "attributes.npz") as other:
        assert {*one.files} - {*other.files} == {"embedding"}
        assert one["embedding"].shape == (whole.test_rows.size, 3)


@pytest.mark.parametrize("block", [1, 7, 1 << 22])
def test_values_are_the_upper_bits_of_a_generator(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = builders.benchmark(np.random.default_rng(0))
    monkeypatch.setattr("piq_bench.write.template.BLOCK_VALUES", block)
    write_template(tmp_path / "a.npz", benchmark, dimension=3, seed=5)
    source = np.random.PCG64(5)
    with np.load(tmp_path / "a.npz") as written:
        for row in written["embedding"].tolist():
            assert row == [(int(source.random_raw()) >> 44) / 2**19 - 1 + 2**-20 for _ in range(3)]
        for task in benchmark.classification_tasks:
            for answer in written[task.name].tolist():
                chance = [(int(source.random_raw()) >> 44) / 2**20 for _ in task.labels]
                assert answer == (chance if task.multi_label else task.labels[chance.index(max(chance))])
