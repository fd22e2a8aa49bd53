"""Kills the server once while a script clicks; `python tests/annotate/kill.py` does it many times."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


def test_every_acknowledged_click_is_there_after_a_kill(tmp_path: Path) -> None:
    report = runpy.run_path(str(Path(__file__).with_name("kill.py")))["kill_many"](tmp_path, 1)
    assert (report.kills, report.lost, report.torn) == (1, 0, 0)
    assert report.acknowledged > 0
