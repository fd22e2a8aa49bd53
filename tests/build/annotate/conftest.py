"""The tiny data set, opened, and its pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from annotate_builders import make_dataset

from piq_bench.build.annotate.project import Project, open_project


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def project(dataset: Path) -> Iterator[Project]:
    opened = open_project(dataset)
    yield opened
    opened.close()
