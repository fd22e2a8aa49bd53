import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from folders import write_market

from piq_bench.cli import load_command

MARKET = {
    "bounding_box_train": ["0002_c1s1_000451_03.jpg"],
    "query": ["0001_c1s1_001051_00.jpg"],
    "bounding_box_test": ["0001_c2s1_000301_01.jpg", "0003_c2s1_000301_01.jpg"],
}


@pytest.mark.parametrize("name", ["a.npz", "a.parquet", "a"])
def test_a_template_is_valid_and_scores(name: str, tmp_path: Path) -> None:
    out = str(tmp_path / name)
    written = CliRunner().invoke(load_command("template"), ["--out", out, "--dimension", "5"])
    assert written.exit_code == 0, written.output
    assert "piq check" in written.stdout
    assert CliRunner().invoke(load_command("check"), [out]).exit_code == 0
    assert CliRunner().invoke(load_command("score"), [out, "--bootstrap", "10"]).exit_code == 0


def test_the_command_to_try_next_works_as_it_is_printed(tmp_path: Path) -> None:
    folder = write_market(tmp_path / "Market 1501", MARKET)
    written = CliRunner().invoke(load_command("template"), ["--dataset", str(folder), "--out", str(tmp_path / "a b")])
    program, command, *arguments = shlex.split(written.stdout.partition("; try: ")[2])
    checked = CliRunner().invoke(load_command(command), arguments)
    assert (program, checked.exit_code) == ("piq", 0), checked.output
    assert ["benchmark", "Market", "1501"] in [line.split() for line in checked.stdout.splitlines()]  # no version
    scored = CliRunner().invoke(load_command("score"), [*arguments, "--bootstrap", "0"])
    assert "benchmark  Market 1501, fingerprint" in scored.stdout


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = str(tmp_path / f"{name}.npz")
        CliRunner().invoke(load_command("template"), ["--out", out, "--seed", seed])
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for out in (tmp_path / "nowhere" / "a.npz", tmp_path / "a.txt", tmp_path):
        result = CliRunner().invoke(load_command("template"), ["--out", str(out)])
        assert result.exit_code == 2
        assert "Traceback" not in result.output
