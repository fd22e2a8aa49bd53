"""Faiss is tried in a process of its own: whatever it does there, this process lives and knows why not to use it."""

from pathlib import Path

import pytest

from piq_bench.retrieve import faiss_probe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(faiss_probe, "_file", lambda: tmp_path / "new" / "faiss.json")
    return tmp_path / "new" / "faiss.json"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("pass", ""),
        ("import os; os.abort()", "fails on this GPU (exit status -6)"),
        ("raise RuntimeError('no kernel image is available')", "RuntimeError: no kernel image is available"),
        ("import sys; sys.exit('gives wrong products')", "fails on this GPU (gives wrong products)"),
    ],
)
def test_each_way_to_fail_has_its_reason(program: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_probe, "PROGRAM", program)
    found = faiss_probe.why_not(["NVIDIA H200 (9, 0)"], "13000")
    assert reason in found
    assert bool(found) == bool(reason)


def test_the_answer_is_kept_for_this_driver_wheel_and_card(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    tries = []

    def tried() -> str:
        tries.append(1)
        return faiss_probe.WORKS

    monkeypatch.setattr(faiss_probe, "_tried", tried)
    for cards, driver in ((["A"], "1"), (["A"], "1"), (["B"], "1"), (["A"], "2"), (["A"], "1")):
        assert faiss_probe.why_not(cards, driver) == ""
    assert len(tries) == 3
    monkeypatch.setattr(faiss_probe, "_wheels", lambda: ["faiss-gpu-cu12 99"])
    faiss_probe.why_not(["A"], "1")
    assert len(tries) == 4
    cache.write_text("[1, 2")  # a damaged file is no answer
    faiss_probe.why_not(["A"], "1")
    assert len(tries) == 5


def test_no_answer_in_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_probe, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(faiss_probe, "SECONDS", 0.2)
    assert "gave no answer" in faiss_probe.why_not(["A"], "1")
    monkeypatch.setattr(faiss_probe, "PROGRAM", "pass")
    monkeypatch.setattr(faiss_probe, "SECONDS", 60.0)
    assert faiss_probe.why_not(["A"], "1") == ""


def test_a_place_that_cannot_be_written_loses_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(faiss_probe, "PROGRAM", "pass")
    for place in (tmp_path / "file" / "faiss.json", None):
        monkeypatch.setattr(faiss_probe, "_file", lambda place=place: place)
        assert faiss_probe.why_not(["A"], "1") == ""
