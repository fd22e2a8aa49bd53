"""Two small data sets, and an EvalAI bundle with a phase for each; shared by the tests of one module."""

from pathlib import Path

import pytest
from export_builders import dataset, plan

from piq_bench.export.evalai import write_evalai


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def first(home: Path) -> Path:
    return dataset(home / "first")


@pytest.fixture(scope="module")
def second(home: Path) -> Path:
    return dataset(home / "second", name="harder", n_people=8)


@pytest.fixture(scope="module")
def bundle(home: Path, first: Path, second: Path) -> Path:
    write_evalai(home / "bundle", plan(first, second))
    return home / "bundle"
