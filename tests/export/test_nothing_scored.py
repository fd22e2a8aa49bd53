"""The programs of hosts do not succeed where no query can be scored: no score, another exit code, and the reason."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from export_builders import TOML, dataset, submission

from piq_bench.export.codabench_program import main
from piq_bench.export.columns import columns_of
from piq_bench.export.evalai_program import EvaluationError, evaluate
from piq_bench.export.host import SETTINGS, Settings, settings_json
from piq_bench.read.dataset import read_benchmark

ONE_CAMERA = TOML + '[retrieval]\nexclude = [["identity", "camera"]]\n'
REASON = "none of 6 queries has a positive left"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a host gives its program: reference data, an upload and the settings."""
    (tmp_path / "in" / "res").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    reference = dataset(tmp_path / "in" / "ref", toml=TOML)
    submission(tmp_path / "in" / "res" / "entry.npz", reference)
    (reference / "benchmark.toml").write_text(ONE_CAMERA.format(name="tiny"), encoding="utf-8")
    table = reference / "annotations.csv"
    first, *lines = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([f"{first},camera", *(f"{line},c1" for line in lines)]) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(host: Path, disclosure: str) -> Settings:
    return Settings(disclosure, 0, tuple(column.key for column in columns_of(read_benchmark(host / "in" / "ref"))))


@pytest.mark.parametrize("disclosure", ["full", "score"])
def test_codabench_gets_no_scores_and_an_exit_code(disclosure: str, host: Path) -> None:
    (host / SETTINGS).write_text(settings_json(settings(host, disclosure)), encoding="utf-8")
    done = CliRunner().invoke(main, ["in", "out"])
    assert done.exit_code == 4, done.output
    assert list((host / "out").iterdir()) == []
    assert "nothing-scored" in done.stderr
    assert (REASON in done.stderr) == (disclosure == "full")  # on a hidden test set the organiser alone may know


@pytest.mark.parametrize("disclosure", ["full", "score"])
def test_evalai_gets_an_error(disclosure: str, host: Path) -> None:
    with pytest.raises(EvaluationError, match="nothing-scored") as failed:
        evaluate(host / "in" / "ref", host / "in" / "res" / "entry.npz", "split", settings(host, disclosure))
    assert (REASON in str(failed.value)) == (disclosure == "full")
