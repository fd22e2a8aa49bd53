from pathlib import Path

import pytest
from click.testing import CliRunner
from demo_builders import draw_nothing_but_squares
from PIL import Image

from piq_bench.cli import piq
from piq_bench.read.dataset import read_benchmark

SMALL = ["--images", "120", "--workers", "1"]


def test_a_small_benchmark_with_its_contact_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing_but_squares(monkeypatch)
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    result = CliRunner().invoke(piq, ["demo", str(out), *SMALL, "--seed", "9", "--sheet", str(sheet)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{out}: portrait-demo-120-9, 120 images"
    assert "query and gallery images have a near-duplicate" in lines[1]
    assert lines[2].startswith("  fingerprint ")
    assert "  body: standing, standing, walking_running" in result.stdout
    assert read_benchmark(out).name == "portrait-demo-120-9"
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        (["--preset", "portrait250k"], ["needs-no-images"]),
        (["--no-images"], ["needs-preset"]),
        (["--difficulty", "0.3", "--dimension", "16", "--dtype", "float32"], ["unused-option"] * 3),
        (["--preset", "portrait250k", "--no-images", *SMALL, "--sheet", "s.png"], ["unused-option"] * 3),
        (["--preset", "portrait250k", "--images", "50"], ["needs-no-images", "unused-option"]),
        (["--preset", "films", "--no-images"], ["needs-preset"]),
        (["--preset", "films", *SMALL, "--sheet", "s.png", "--dtype", "float32"], ["unused-option"] * 4),
        (["--images", "119"], ["bad-size"]),
        (["--images", "250001"], ["bad-size"]),
        (["--images", "-3"], ["bad-size"]),
    ],
)
def test_options_that_do_not_fit_are_refused_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], codes: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(piq, ["demo", "out", *options])
    assert result.exit_code == 2
    assert [line.rpartition("[")[2].rstrip("]") for line in result.stderr.splitlines() if "->" in line] == codes
    assert not result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [["--difficulty", "1.2"], ["--dimension", "0"], ["--dtype", "int8"], ["--preset", "imagenet"], ["--workers", "0"],
     ["--seed", "-1"], ["--images", "many"], ["--sheet", "."], ["--sheet", "no/sheet.png"]],
)  # fmt: skip
def test_values_out_of_range_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(piq, ["demo", "out", *options])
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    for preset in ([], ["--preset", "portrait250k", "--no-images"]):
        result = CliRunner().invoke(piq, ["demo", str(tmp_path), *preset])
        assert result.exit_code == 2
        assert "the folder holds 'mine'" in result.stderr
        assert "nothing is ever overwritten" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(piq, ["demo", str(tmp_path / "no" / "out"), *SMALL])
    assert result.exit_code == 2
    assert "No such file or directory" in result.stderr
    assert "[cannot-write]" in result.stderr
