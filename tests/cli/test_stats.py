"""`piq-stats` as a user runs it: output, files and exit codes."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from folders import changed, market1501_names, shared_data, write_folder, write_market

from piq_bench.cli.stats import stats_command
from piq_bench.read.dataset import inspect_dataset


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(stats_command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)  # no traceback
    return result


def test_the_bundled_benchmark_is_the_default() -> None:
    result = run()
    assert result.exit_code == 0
    assert "portrait-mini" in result.stdout
    assert result.stderr == ""


def test_the_environment_may_name_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIQ_DATASET", str(write_folder(tmp_path)))
    assert "data set    tiny 1" in run().stdout


def test_the_data_set_may_be_named_as_in_other_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path)
    monkeypatch.setenv("PIQ_DATASET", str(tmp_path / "nowhere"))
    assert "data set    tiny 1" in run("--dataset", folder).stdout
    twice = run(folder, "--dataset", folder)
    assert twice.exit_code == 2 and "name one data set" in twice.stderr


def test_printed_and_written_json_are_equal(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set")
    result = run(
        folder, "--format", "json", "--json", tmp_path / "stats.json", "--k", "0.2", "--k", "0.50", "--k", ".5"
    )
    assert result.exit_code == 0
    assert (tmp_path / "stats.json").read_text(encoding="utf-8") == result.stdout
    assert list(json.loads(result.stdout)["splits"]["train"]["lts"]) == ["0.2", "0.5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "stats.json"]


@pytest.mark.parametrize("layout", ["table", "markdown", "latex"])
def test_every_format_shows_the_shares_asked_for(tmp_path: Path, layout: str) -> None:
    result = run(write_folder(tmp_path), "--format", layout, "--k", "0.07")
    assert result.exit_code == 0
    assert "0.07" in result.stdout.replace("\\", "")
    assert "Images and identities" in result.stdout


@pytest.mark.parametrize(
    "share", ["0", "1.01", "-0.2", "nan", "inf", "1/5", "1e-1", "0,2", "", "0.2.0", "0." + "1" * 30]
)
def test_an_invalid_share_is_a_usage_error(share: str) -> None:
    result = run("--k", share)
    assert result.exit_code == 2
    assert "not a decimal number above 0 and at most 1" in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_an_output_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent" / "stats.json"):
        result = run("--json", path)
        assert result.exit_code == 2
        assert result.stdout == ""


def test_broken_integrity_is_described_and_ends_with_4(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", changed(5, identity="p1"))
    result = run(folder, "--json", tmp_path / "stats.json")
    assert result.exit_code == 4
    assert "error: identity-overlap" in result.stdout
    assert "[identity-overlap]" in result.stderr
    findings = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["findings"]
    assert (findings[0]["code"], findings[0]["severity"]) == ("identity-overlap", "error")


def test_image_files_are_checked_unless_switched_off(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "images").mkdir()
    assert "7 of 7 images have no file" in " ".join(run(folder).stdout.split())
    assert "have no file" not in run(folder, "--no-files").stdout


def test_the_real_names_of_market1501_give_table_3(tmp_path: Path) -> None:
    folder = write_market(tmp_path / "market1501", market1501_names(shared_data("market1501_names")))
    inspection = inspect_dataset(folder)
    assert (inspection.benchmark.layout, inspection.notes, inspection.integrity) == ("market1501", (), ())
    result = run(folder, "--json", tmp_path / "stats.json")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["identities,", "LTS_0.2", "0.3995", "0.7667", "0.4467"] in lines
    assert ["train", "12936", "751", "12936", "0", "0", "0"] in lines
    assert ["query", "3368", "750", "3368", "0", "0", "0"] in lines
    assert ["gallery", "19732", "750", "13115", "0", "3819", "2798"] in lines
    document = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    assert {name: split["lts"]["0.2"] for name, split in document["splits"].items()} == {
        "train": float(Fraction(60) / (Fraction("0.2") * 751)),
        "query": float(Fraction(115) / (Fraction("0.2") * 750)),
        "gallery": float(Fraction(67) / (Fraction("0.2") * 750)),
    }
    codes = [finding["code"] for finding in document["findings"]]
    assert codes == ["empty-image-file", "unused-rule-column", "no-groups"]  # the column is sequence
    assert "36036 of 36036 images are empty files" in document["findings"][0]["text"]


@pytest.mark.parametrize("name", ["cmu_faces", "pets09_s2l1"])
def test_real_data_are_described(name: str, tmp_path: Path) -> None:
    result = run(shared_data(name), "--json", tmp_path / "stats.json")
    assert result.exit_code == 0
    codes = {found["code"] for found in json.loads((tmp_path / "stats.json").read_text("utf-8"))["findings"]}
    assert not codes & {"missing-image-file", "empty-image-file", "no-image-files"}
