"""The benchmark that all sources are made for."""

from typing import Any

import pytest
from convert_builders import Case, make_case
from unpacking_here import unpack_here

from piq_bench.convert import exchange
from piq_bench.read.unpacking import unpack_apart


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _torch_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads torch once, in the process of the tests; other libraries keep their own process."""

    def unpack(module: str, *arguments: Any, **limits: Any) -> bool:  # noqa: ANN401
        return (unpack_here if module.endswith("torch") else unpack_apart)(module, *arguments, **limits)

    monkeypatch.setattr(exchange, "unpack_apart", unpack)
