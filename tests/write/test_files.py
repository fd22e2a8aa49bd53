"""A place where no file or folder can be made is bad usage, with the place and a remedy."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from piq_bench.errors import BadUsage
from piq_bench.write.files import new_folder, written_whole


@pytest.mark.parametrize("writing", [written_whole, new_folder])
def test_a_place_that_cannot_be_written_is_bad_usage(
    writing: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with pytest.raises(BadUsage) as refusal, writing(tmp_path / "nowhere" / "out"):
        raise AssertionError
    (problem,) = refusal.value.problems
    assert problem.code == "cannot-write" and "nowhere': No such file or directory" in problem.found
    assert "folder" in problem.remedy
