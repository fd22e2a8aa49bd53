"""A template asks for what the benchmark asks for, and no more."""

from dataclasses import replace
from pathlib import Path

import builders
import numpy as np

from piq_bench.write.template import write_template


def test_a_benchmark_without_people_gets_a_template_without_embeddings(tmp_path: Path) -> None:
    whole = builders.benchmark(np.random.default_rng(0))
    attributes = replace(whole, tasks=tuple(whole.classification_tasks))
    write_template(tmp_path / "whole.npz", whole, dimension=3, seed=0)
    write_template(tmp_path / "attributes.npz", attributes, dimension=3, seed=0)
    with np.load(tmp_path / "whole.npz") as one, np.load(tmp_path / "attributes.npz") as other:
        assert {*one.files} - {*other.files} == {"embedding"}
        assert one["embedding"].shape == (whole.test_rows.size, 3)
