"""`piq collect`: what it accepts and what it says."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from video_builders import lines, walkers, write_video

from piq_bench.cli.collect import collect_command


def test_a_film_without_tracks_is_refused_with_the_way_to_make_them(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "a.mp4").touch()
    done = CliRunner().invoke(collect_command, [str(tmp_path / "a.mp4"), "--out", str(tmp_path / "ds")])
    assert done.exit_code == 2 and "run a multi-object tracker" in done.stderr


def test_without_pyav_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.build.collect.video.find_spec", lambda name: None)
    done = CliRunner().invoke(collect_command, ["a.mp4", "--out", str(tmp_path / "ds")])
    assert done.exit_code == 2 and "pip install 'piq-bench[video]'" in done.stderr


def test_several_files_follow_one_option_as_a_shell_expands_them(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "t").mkdir()
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", walkers(8))
        (tmp_path / "t" / f"{name}.txt").write_text("\n".join(lines(7)), encoding="utf-8")
    films = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    tracks = [str(tmp_path / "t" / name) for name in ("a.txt", "b.txt")]
    out = tmp_path / "ds"
    done = CliRunner().invoke(collect_command, [*films, "--tracks", *tracks, "--every", "7", "--out", str(out)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"wrote {out}: 4 portraits of 2 sources; try: piq groups {out}" in done.stdout
