"""The comment shows an untrusted report as inert text within GitHub's length limit."""

import subprocess
import sys
from pathlib import Path

from piq_bench.board.comment import MARK, comment


def comment_on(folder: Path, report: str) -> str:
    (folder / "report.txt").write_text(report, encoding="utf-8")
    return comment(folder)


def test_a_report_is_inside_a_fence(tmp_path: Path) -> None:
    text = comment_on(tmp_path, "entry   x: scored, PIQ 29.28\ndigest  00\n")
    assert text.startswith(MARK)
    assert "\n```text\nentry   x: scored, PIQ 29.28\ndigest  00\n```\n" in text


def test_a_fence_in_the_report_does_not_end_it(tmp_path: Path) -> None:
    text = comment_on(tmp_path, "`````\n@everyone <img src=x>\n")
    fence = "`" * 6
    assert f"\n{fence}text\n`````\n@everyone <img src=x>\n{fence}\n" in text


def test_control_and_bidirectional_characters_are_escaped(tmp_path: Path) -> None:
    text = comment_on(tmp_path, "a\u202eb \x1b[31m\x00")
    assert r"a\u202eb \x1b[31m\x00" in text


def test_long_reports_are_cut(tmp_path: Path) -> None:
    text = comment_on(tmp_path, "a line\n" * 100_000)
    assert len(text) < 65_000
    assert "and more in the log" in text
    assert "is not shown" in comment_on(tmp_path, "x" * (2 << 20))


def test_without_a_report_it_says_so(tmp_path: Path) -> None:
    assert "left no report" in comment(tmp_path)
    (tmp_path / "report.txt").symlink_to("/etc/passwd")
    assert "left no report" in comment(tmp_path)


def test_the_standard_library_is_enough(tmp_path: Path) -> None:
    comment_on(tmp_path, "done\n")
    command = [sys.executable, "-S", "-m", "piq_bench.board.comment", str(tmp_path)]  # -S: no installed packages
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout == comment(tmp_path)
