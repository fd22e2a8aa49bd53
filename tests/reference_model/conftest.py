"""What all tests of the reference model need."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import training_builders

from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Benchmark

if find_spec("torch") is not None:
    import torch

    # Processes of pytest share the cores, and threads that wait for each other there take five times as long.
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set with pictures; not to be changed."""
    return training_builders.portraits(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def benchmark(folder: Path) -> Benchmark:
    return read_benchmark(folder)
