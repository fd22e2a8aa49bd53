"""What each level of disclosure publishes: in every format, the score file, and messages about a broken data set."""

import json
from pathlib import Path
from typing import Any

import builders
import folders
import numpy as np
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.cli.options import DISCLOSURES as CHOICES
from piq_bench.cli.options import FORMATS
from piq_bench.errors import BadDataset, BadSubmission, Problem
from piq_bench.read.dataset import read_benchmark
from piq_bench.report.disclosure import DISCLOSURES, HIDDEN, disclosed, disclosed_json, redacted_problems
from piq_bench.report.json import score_document, score_json
from piq_bench.report.latex import score_latex
from piq_bench.report.markdown import score_markdown
from piq_bench.report.table import score_table
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_submission

LABELS = ("female", "male", "happy", "sad", "angry")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def submission(dataset: Path) -> Path:
    benchmark = read_benchmark(dataset)
    rng = np.random.default_rng(0)
    n = benchmark.test_rows.size
    write_submission(
        dataset.parent / "entry.npz",
        images=benchmark.images[benchmark.test_rows],
        embedding=rng.standard_normal((n, 4)).astype(np.float32),
        predictions={"gender": rng.integers(0, 2, n), "mood": rng.random((n, 3))},
    )
    return dataset.parent / "entry.npz"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("score"), [str(argument) for argument in arguments])


def random_score() -> Score:
    rng = np.random.default_rng(1)
    benchmark = builders.benchmark(rng)
    return score(benchmark, builders.submission(rng, benchmark), n_resamples=5)


def test_all_commands_know_the_same_levels() -> None:
    assert DISCLOSURES == CHOICES == tuple(HIDDEN)


def test_full_disclosure_is_the_score_file_byte_by_byte() -> None:
    result = random_score()
    assert disclosed_json(result, "full") == score_json(result)
    assert disclosed(result, "full") is result


def test_levels_leave_parts_out_and_change_no_number() -> None:
    result = random_score()
    full = score_document(result)
    for level, hidden in (("public", {"confusion"}), ("score", {"confusion", "labels", "baselines", "notes"})):
        document = json.loads(disclosed_json(result, level))
        assert document.pop("disclosure") == level
        assert set(full) - set(document) == hidden
        for key, value in document.items():
            expected: Any = json.loads(json.dumps(full[key]))
            if key == "reid" and level == "score":
                expected.pop("identities_skipped")
            if key == "further_metrics" and level == "score":
                del expected["reid"]["cmc"]
                for task in expected["tasks"].values():
                    del task["average_precision"], task["left_out"]
            assert value == expected


def test_what_a_level_hides_is_not_in_the_record_that_reports_get() -> None:
    public, least = (disclosed(random_score(), level) for level in ("public", "score"))
    assert public.reid is not None
    assert public.reid.by_query is None
    assert not public.reid.by_identity
    assert not public.confusion
    assert public.labels
    assert least.reid is not None
    assert not (least.reid.chance or least.reid.identities_skipped or least.labels or least.notes)
    assert not (least.chance_f1 or least.majority_f1 or least.confusion)
    assert least.attributes.keys() == public.attributes.keys()
    for one in least.attributes.values():
        assert one.values
        assert not (one.left_out or one.average_precision)


def test_no_format_reveals_a_label_or_an_image_at_the_level_score(dataset: Path, submission: Path) -> None:
    benchmark = read_benchmark(dataset)
    for layout in FORMATS:
        target = dataset.parent / f"{layout}.json"
        options = ("--disclosure", "score", "--format", layout, "--json", target, "--bootstrap", 5)
        done = run(submission, "--dataset", dataset, *options)
        assert done.exit_code == 0
        for text in (done.stdout, done.stderr, target.read_text(encoding="utf-8")):
            assert not [name for name in (*LABELS, *benchmark.images, *benchmark.identities) if name in text]


def test_no_format_reveals_an_image_at_the_level_public(dataset: Path, submission: Path) -> None:
    benchmark = read_benchmark(dataset)
    for layout in FORMATS:
        done = run(submission, "--dataset", dataset, "--disclosure", "public", "--format", layout, "--bootstrap", 5)
        assert done.exit_code == 0
        assert not [name for name in benchmark.images if name in done.stdout + done.stderr]


def test_the_digest_is_that_of_the_whole_score(dataset: Path, submission: Path) -> None:
    lines = {
        run(submission, "--dataset", dataset, "--disclosure", level).stdout.splitlines()[-1] for level in DISCLOSURES
    }
    assert len(lines) == 1
    assert lines.pop().startswith("digest     ")


@pytest.mark.parametrize("level", DISCLOSURES)
def test_every_format_takes_every_level(level: str) -> None:
    rng = np.random.default_rng(1)
    benchmark = builders.benchmark(rng)
    shown = disclosed(score(benchmark, builders.submission(rng, benchmark), n_resamples=0), level)
    assert score_table(shown, benchmark)
    assert score_markdown(shown, benchmark)
    assert score_latex(shown, benchmark)


def test_a_broken_data_set_reveals_only_the_broken_rules(tmp_path: Path, submission: Path) -> None:
    broken = folders.write_folder(tmp_path / "broken", folders.changed(3, identity="p1", gender="femail"))
    refused = run(submission, "--dataset", broken, "--disclosure", "score")
    assert refused.exit_code == 4
    assert "ask the organiser" in refused.stderr
    assert "femail" not in refused.stderr
    assert "b/01.jpg" not in refused.stderr
    assert "broken" not in refused.stderr
    assert "femail" in run(submission, "--dataset", broken).stderr


def test_other_errors_and_full_disclosure_are_not_redacted() -> None:
    refusal = BadSubmission("entry.npz", [Problem("code", "image", "found", "remedy")])
    with pytest.raises(BadSubmission, match="found"), redacted_problems("score"):
        raise refusal
    with pytest.raises(BadDataset, match="secret"), redacted_problems("full"):
        raise BadDataset("data", [Problem("code", "image", "secret", "remedy")])
    with pytest.raises(BadDataset, match="3 times") as caught, redacted_problems("public"):
        raise BadDataset("data", [Problem("code", "secret.csv", "secret", "secret", 3)])
    assert "secret" not in str(caught.value)
    assert "code" in str(caught.value)
