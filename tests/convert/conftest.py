"""The benchmark that all sources are made for."""

import pytest
from convert_builders import Case, make_case


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("data"))
