"""Kills the server once while a script clicks; `python tests/build/annotate/killing.py` does it many times."""

from pathlib import Path

import pytest
from build.annotate.killing import kill_many

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def test_every_acknowledged_click_is_there_after_a_kill(tmp_path: Path) -> None:
    report = kill_many(tmp_path, 1)
    assert (report.kills, report.lost, report.torn) == (1, 0, 0)
    assert report.acknowledged > 0
