"""`piq grade` as a command: what it prints for an entry, and what it writes."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import board_builders
import numpy as np
import pytest
from click.testing import CliRunner, Result

from piq_bench.board.entries import read_entry
from piq_bench.board.grade import PLACEHOLDERS, grade
from piq_bench.cli import load_command
from piq_bench.errors import BadSubmission
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark
from piq_bench.report.json import digest_of
from piq_bench.scoring.score import score


def call(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    return board_builders.dataset(tmp_path / "tiny")


def graded(tmp_path: Path, entry: Path, *options: object) -> Result:
    return call("grade", entry, "--dataset", tmp_path / "tiny", "--bootstrap", 20, *options)


def piq_of(tmp_path: Path, entry: Path) -> tuple[float, str]:
    scored = call(
        "score", entry / "submission.npz", "--dataset", tmp_path / "tiny", "--format", "json", "--bootstrap", 20
    )
    document = json.loads(scored.stdout)
    return document["piq"], document["protocol"]["digest"]


def test_a_true_claim_is_graded_and_written(tmp_path: Path, benchmark: Benchmark) -> None:
    piq, digest = piq_of(tmp_path, board_builders.entry(tmp_path / "draft", benchmark))
    claimed = f'[claimed]\npiq = {piq!r}\ndigest = "{digest}"\n'
    entry = board_builders.entry(tmp_path / "all" / "draft", benchmark, claimed=claimed)
    done = graded(tmp_path, entry)
    assert done.exit_code == 0, done.output
    assert f"claim   piq {piq!r} holds" in done.stdout
    assert not (entry / "result.json").exists()
    assert graded(tmp_path, entry, "--write").exit_code == 0
    result = json.loads((entry / "result.json").read_text(encoding="utf-8"))
    assert (result["schema"], result["entry"], result["status"]) == ("piq-bench/result/1", "draft", "scored")
    assert result["score"]["piq"] == piq
    assert all(claim["holds"] for claim in result["claims"])
    assert graded(tmp_path, entry, "--write").exit_code == 0  # again


def test_the_printed_claim_holds_when_copied(tmp_path: Path, benchmark: Benchmark) -> None:
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark)
    done = graded(tmp_path, entry)
    told, _, block = done.stdout.partition("To claim these scores, add to the end of metadata.toml:\n\n")
    assert "digest  " in told
    assert block.startswith("[claimed]\npiq = 0.")
    path = entry / "metadata.toml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + block, encoding="utf-8")
    done = graded(tmp_path, entry)
    assert (done.exit_code, done.stdout.count(" holds\n"), "[claimed]" in done.stdout) == (0, 2, False)
    path.write_text(before + block.replace("0.", "0.0", 1), encoding="utf-8")
    done = graded(tmp_path, entry)
    assert done.exit_code == 5
    assert f"To claim these scores, replace [claimed] in metadata.toml:\n\n{block}" in done.stdout


def test_a_partial_entry_may_claim_its_digest(tmp_path: Path, benchmark: Benchmark) -> None:
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark, partial=True)
    assert '\n\n[claimed]\ndigest = "' in graded(tmp_path, entry).stdout


def test_the_example_of_the_guide_passes_when_copied_and_its_placeholders_are_told(
    tmp_path: Path, benchmark: Benchmark
) -> None:
    guide = (Path(__file__).parents[2] / "submissions" / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark)
    (entry / "metadata.toml").write_text(example, encoding="utf-8")
    done = graded(tmp_path, entry)
    assert done.exit_code == 0, done.output
    (note,) = [line for line in done.stdout.splitlines() if line.startswith("note")]
    assert note.endswith(f"still has the values of the guide's example: {', '.join(PLACEHOLDERS)}")
    (entry / "metadata.toml").write_text(example.replace("my model", "Mine"), encoding="utf-8")
    assert "guide's example: team, authors, code, method.summary\n" in graded(tmp_path, entry).stdout


def test_a_folder_of_entries_is_refused_with_the_command_for_one(tmp_path: Path, benchmark: Benchmark) -> None:
    for name in ("a-graded", "b", "c"):
        board_builders.entry(tmp_path / "all" / name, benchmark)
    (tmp_path / "all" / "a-graded" / "result.json").touch()
    (tmp_path / "all" / "notes").mkdir()
    done = graded(tmp_path, tmp_path / "all")
    assert done.exit_code == 2
    assert "holds 3 entries: 'b', 'c', 'a-graded'" in done.stderr
    assert f"name one of them: piq grade {tmp_path / 'all' / 'b'}" in done.stderr
    assert "missing-metadata" in graded(tmp_path, tmp_path / "all" / "notes").stderr


def test_a_claim_off_by_one_bit_does_not_hold(tmp_path: Path, benchmark: Benchmark) -> None:
    piq, _ = piq_of(tmp_path, board_builders.entry(tmp_path / "draft", benchmark))
    off = math.nextafter(piq, 1.0)
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark, claimed=f"[claimed]\npiq = {off!r}\n")
    done = graded(tmp_path, entry, "--write")
    assert done.exit_code == 5
    assert f"claimed {off!r}, computed {piq!r}" in done.stderr
    assert not (entry / "result.json").exists()


def test_a_copy_is_found_however_its_rows_are_ordered(tmp_path: Path, benchmark: Benchmark) -> None:
    entries = tmp_path / "all"
    first = board_builders.entry(entries / "first", benchmark)
    copy = board_builders.entry(entries / "copy", benchmark)
    with np.load(first / "submission.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    order = np.random.default_rng(1).permutation(len(arrays["image"]))
    shuffled = {name: values if values.ndim == 0 else values[order] for name, values in arrays.items()}
    np.savez(copy / "submission.npz", **shuffled)
    done = graded(tmp_path, copy, "--write")
    assert done.exit_code == 5
    assert "has the predictions of first" in done.stderr
    assert not (copy / "result.json").exists()

    shuffled["embedding"][:2] += 1
    np.savez(copy / "submission.npz", **shuffled)
    done = graded(tmp_path, copy)
    assert done.exit_code == 0
    assert "embedding: 95.8% of the rows are identical to those of first" in done.stdout
    assert "answers: 100.0% of the rows are identical to those of first" in done.stdout


def test_a_copy_with_a_little_noise_causes_a_warning_and_no_refusal(tmp_path: Path, benchmark: Benchmark) -> None:
    first = board_builders.entry(tmp_path / "all" / "first", benchmark)
    noisy = board_builders.entry(tmp_path / "all" / "noisy", benchmark)
    with np.load(first / "submission.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["embedding"] += np.random.default_rng(1).normal(scale=0.01, size=arrays["embedding"].shape)
    np.savez(noisy / "submission.npz", **arrays)
    done = graded(tmp_path, noisy)
    assert done.exit_code == 0
    assert re.search(
        r"note    embedding: the similarities correlate with those of first \(r = (1\.0000|0\.99\d\d)\)", done.stdout
    )


def test_a_confusable_name_causes_a_warning(tmp_path: Path, benchmark: Benchmark) -> None:
    board_builders.entry(tmp_path / "all" / "first", benchmark, name="The Best")
    entry = board_builders.entry(tmp_path / "all" / "second", benchmark, seed=1, name="the\u3000\uff22est")
    done = graded(tmp_path, entry)
    assert done.exit_code == 0
    assert "note    name: equals or resembles the name of first" in done.stdout


def test_a_wrong_digest_names_the_expected_number_of_resamples(tmp_path: Path, benchmark: Benchmark) -> None:
    _, digest = piq_of(tmp_path, board_builders.entry(tmp_path / "draft", benchmark))
    entry = board_builders.entry(tmp_path / "all" / "draft", benchmark, claimed=f'[claimed]\ndigest = "{digest}"\n')
    assert graded(tmp_path, entry).exit_code == 0  # 20 resamples, as in the claim
    done = graded(tmp_path, entry, "--bootstrap", 30)
    assert done.exit_code == 5
    assert "it covers the intervals too: claim what `piq-score --bootstrap 30 --seed 0` tells" in done.stderr
    done = graded(tmp_path, entry, "--bootstrap", 0)
    assert "claim what `piq-score --bootstrap 0` tells" in done.stderr


def test_a_digest_with_the_intervals_of_earlier_versions_still_holds(tmp_path: Path, benchmark: Benchmark) -> None:
    draft = board_builders.entry(tmp_path / "draft", benchmark)
    result = score(benchmark, read_submission(draft / "submission.npz", benchmark))
    assert result.intervals is not None
    assert result.earlier_intervals is not None
    assert result.intervals != result.earlier_intervals
    earlier, now = (digest_of(replace(result, intervals=ends)) for ends in (result.earlier_intervals, result.intervals))
    entry = read_entry(draft)
    for digest, method in ((earlier, None), (now, "expanded percentile bootstrap")):
        claimed = entry.metadata.claimed.model_copy(update={"digest": digest})
        found = grade(benchmark, replace(entry, metadata=entry.metadata.model_copy(update={"claimed": claimed})))
        assert found.passed
        assert found.document["intervals"].get("method") == method
    unclaimed = grade(benchmark, entry).document
    assert unclaimed["protocol"]["digest"] == now


@pytest.mark.parametrize(("level", "hidden"), [("public", {"confusion"}), ("score", {"confusion", "labels", "notes"})])
def test_a_lower_level_of_disclosure_hides_labels(
    level: str, hidden: set[str], tmp_path: Path, benchmark: Benchmark
) -> None:
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark)
    assert graded(tmp_path, entry, "--write", "--disclosure", level).exit_code == 0
    score = json.loads((entry / "result.json").read_text(encoding="utf-8"))["score"]
    assert not hidden & set(score)
    assert {"piq", "aspects", "reid", "f1", "intervals", "protocol"} <= set(score)


def test_files_that_an_entry_cannot_have_are_named_at_once(tmp_path: Path, benchmark: Benchmark) -> None:
    entry = board_builders.entry(tmp_path / "all" / "Entry_1", benchmark)
    (entry / "run.sh").write_text("rm -rf /", encoding="utf-8")
    (entry / "README.md").symlink_to("/etc/passwd")
    (entry / "folder").mkdir()
    (entry / "log.csv").write_bytes(b"x" * (3 << 20))
    (entry / "submission.parquet").write_bytes(b"")
    with pytest.raises(BadSubmission) as refused:
        read_entry(entry)
    message = str(refused.value)
    assert "refused, 6 problems" in message
    for part in ("cannot be an entry's name", "run.sh", "is a link", "is not a regular file", "has 3,145,728 bytes"):
        assert part in message
    assert "holds 2 submissions" in message
    assert graded(tmp_path, entry).exit_code == 3
    assert graded(tmp_path, tmp_path / "none").exit_code == 2


@pytest.mark.parametrize("name", ["board", "index", "con", "com1"])
def test_an_entry_cannot_take_the_place_of_the_leaderboard(name: str, tmp_path: Path, benchmark: Benchmark) -> None:
    with pytest.raises(BadSubmission, match="cannot be an entry's name"):
        read_entry(board_builders.entry(tmp_path / "all" / name, benchmark))


def test_an_entry_of_which_no_query_can_be_scored_is_no_success(tmp_path: Path, benchmark: Benchmark) -> None:
    entry = board_builders.entry(tmp_path / "all" / "entry", benchmark)
    toml, table = tmp_path / "tiny" / "benchmark.toml", tmp_path / "tiny" / "annotations.csv"
    toml.write_text(toml.read_text() + '[retrieval]\nexclude = [["identity", "camera"]]\n', encoding="utf-8")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{lines[0]},camera", *(f"{line},c1" for line in lines[1:])]) + "\n", encoding="utf-8")
    done = graded(tmp_path, entry, "--write")
    assert done.exit_code == 4
    assert "none of 12 queries has a positive left" in done.stderr
    assert done.stdout == "" and not (entry / "result.json").exists()
    checked = call("check", entry / "submission.npz", "--dataset", tmp_path / "tiny")
    assert checked.exit_code == 0  # which needs no labels, so it cannot know
