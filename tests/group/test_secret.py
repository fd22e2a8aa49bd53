"""A secret lasts, belongs to one user, and is believed only where it is one."""

import os
import stat
from pathlib import Path

import click
import pytest

from piq_bench.group.secret import FILE, N_BYTES, user_secret


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "new" / "settings"
    monkeypatch.setattr(click, "get_app_dir", lambda name: str(folder))
    return folder


def test_the_secret_is_drawn_once_and_stays(settings: Path) -> None:
    first = user_secret()
    assert len(first) == N_BYTES and first == user_secret() == (settings / FILE).read_bytes()
    (settings / FILE).unlink()
    assert user_secret() != first


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_user_may_read_it(settings: Path) -> None:
    user_secret()
    assert stat.S_IMODE((settings / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"x" * (N_BYTES - 1), b"x" * (N_BYTES + 1)])
def test_what_is_no_secret_is_neither_believed_nor_replaced(settings: Path, content: bytes) -> None:
    settings.mkdir(parents=True)
    (settings / FILE).write_bytes(content)
    first = user_secret()
    assert len(first) == N_BYTES and first != user_secret()
    assert (settings / FILE).read_bytes() == content


def test_where_nothing_can_be_stored_a_secret_lasts_for_a_call(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.parent.write_text("in the way", encoding="utf-8")
    assert len(user_secret()) == N_BYTES and user_secret() != user_secret()
    monkeypatch.setattr(click, "get_app_dir", lambda name: "~/settings")
    monkeypatch.chdir(settings.parent.parent)
    assert user_secret() != user_secret() and not Path("~").exists()
