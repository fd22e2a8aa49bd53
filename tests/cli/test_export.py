"""`piq export`: files written, and exit codes of refusals."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from export_builders import dataset, submission

from piq_bench.cli import load_command

pytest.importorskip("yaml")
pytest.importorskip("jinja2")
pytest.importorskip("markdown_it")
COMMANDS = ("codabench", "evalai", "croissant", "hf-eval")
CREATED = ("--url", "https://example.org", "--published", "2026-11-24")


def export(*words: str | Path) -> Result:
    return CliRunner().invoke(load_command("export"), [str(word) for word in words])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_export_fits_80_columns(name: str) -> None:
    shown = export(name, "--help")
    assert shown.exit_code == 0 and max(map(len, shown.stdout.splitlines())) <= 80
    assert name in export("--help").stdout


def test_a_competition_of_the_bundled_benchmark(tmp_path: Path) -> None:
    out = tmp_path / "competition.zip"
    done = export("codabench", "--out", out, "--image", "docker.io/lab/piq:1")
    assert done.exit_code == 0, done.output
    assert "1 phase, 10 columns" in done.stdout
    with zipfile.ZipFile(out) as archive:
        assert "competition.yaml" in archive.namelist()
    again = export("codabench", "--out", out, "--image", "docker.io/lab/piq:1")
    assert again.exit_code == 2 and "--force" in again.stderr and "Traceback" not in again.stderr
    assert export("codabench", "--out", out, "--image", "docker.io/lab/piq:1", "--force").exit_code == 0


def test_a_challenge_of_two_phases(tmp_path: Path) -> None:
    first, second = dataset(tmp_path / "a"), dataset(tmp_path / "b", name="harder")
    dates = [word for day in ("2026-12-01", "2027-01-01", "2027-02-01") for word in ("--date", day)]
    done = export("evalai", "--out", tmp_path / "out", "--dataset", first, "--dataset", second, *dates)
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out" / "starting_kit").iterdir()} == {"phase1", "phase2"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "out"}


def test_usage_is_refused_with_2_and_a_bad_data_set_with_4(tmp_path: Path) -> None:
    good = dataset(tmp_path / "a")
    for words, code in (
        (("evalai", "--out", tmp_path / "nowhere" / "out"), 2),
        (("evalai", "--out", tmp_path / "out", "--date", "2026-12-01"), 2),
        (("evalai", "--out", tmp_path / "out", "--dataset", tmp_path / "nothing"), 4),
        (("codabench", "--out", tmp_path / "out.zip", "--image", "A B"), 2),
        (("codabench", "--out", tmp_path / "out.zip"), 2),
        (("croissant", good, *CREATED), 2),
        (("croissant", tmp_path / "nothing", *CREATED, "--person", "A"), 4),
        (("hf-eval", tmp_path / "nothing.json", "--dataset-id", "a/b", "--out", tmp_path / "out.yaml"), 2),
    ):
        done = export(*words)
        assert done.exit_code == code, (words, done.output)
        assert "Traceback" not in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


def test_the_description_is_written_beside_the_data(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "a")
    done = export("croissant", folder, *CREATED, "--organisation", "A Lab")
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert found["name"] == "tiny" and found["creator"] == [{"@type": "Organization", "name": "A Lab"}]


def test_a_score_goes_to_the_hub_and_to_the_summary_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = dataset(tmp_path / "a")
    entry = submission(tmp_path / "a.npz", folder)
    summary = tmp_path / "summary.md"
    summary.write_text("an earlier step\n", encoding="utf-8")
    words = [str(entry), "--dataset", str(folder), "--bootstrap", "0", "--json", str(tmp_path / "a.json")]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert CliRunner().invoke(load_command("score"), words).exit_code == 0
    assert summary.read_text(encoding="utf-8") == "an earlier step\n"
    assert CliRunner().invoke(load_command("score"), [*words, "--summary"]).exit_code == 0
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("an earlier step\n") and "| **PIQ** |" in text
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert CliRunner().invoke(load_command("score"), [*words, "--summary"]).exit_code == 0
    done = export("hf-eval", tmp_path / "a.json", "--dataset-id", "lab/tiny", "--out", tmp_path / "piq.yaml")
    assert done.exit_code == 0 and "5 numbers" in done.stdout
