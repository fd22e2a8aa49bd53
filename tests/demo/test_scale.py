from pathlib import Path

import numpy as np
import pytest

from piq_bench.demo.film import Frame, shoot
from piq_bench.demo.scale import N_STEPS, build_scale_set, embeddings, noise, predictions, signal, synthetic_hashes
from piq_bench.demo.sizes import Sizes
from piq_bench.errors import BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission

TINY = Sizes(
    train=120,
    query=40,
    gallery=200,
    train_unlabelled=60,
    gallery_unlabelled=110,
    train_identities=8,
    query_identities=9,
    gallery_identities=10,
    train_films=3,
    test_films=3,
    longest_track=16,
)


@pytest.fixture(scope="module")
def test_frames() -> list[Frame]:
    return [frame for frame in shoot(0, TINY) if frame.split != "train"]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_set_and_its_submission_fit_together(tmp_path: Path, dtype: str) -> None:
    steps: list[int] = []
    built = build_scale_set(tmp_path / "set", dimension=24, dtype=dtype, sizes=TINY, advance=steps.append)
    assert sum(steps) == N_STEPS
    benchmark = read_benchmark(tmp_path / "set")
    assert (benchmark.name, len(benchmark.images), built.n_images) == (built.name, 360, 360)
    assert [int((benchmark.split == split).sum()) for split in range(3)] == [120, 40, 200]
    assert benchmark.groups is not None
    submission = read_submission(tmp_path / "set" / "submission", benchmark)
    assert submission.embedding is not None
    assert submission.embedding.shape == (240, 24)
    assert submission.embedding.dtype == np.dtype(dtype)
    assert set(submission.predictions) == {task.name for task in benchmark.classification_tasks}
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "annotations.parquet",
        "benchmark.toml",
        "groups.parquet",
        "submission",
    ]


def test_equal_seeds_give_equal_submissions(tmp_path: Path) -> None:
    sets = [build_scale_set(tmp_path / name, seed=2, dimension=8, sizes=TINY) for name in "ab"]
    assert sets[0].fingerprint == sets[1].fingerprint
    for name in ("embedding.npy", "arm.npy", "expression.npy", "image.npy"):
        one, other = ((tmp_path / folder / "submission" / name).read_bytes() for folder in "ab")
        assert one == other
    assert build_scale_set(tmp_path / "c", seed=3, dimension=8, sizes=TINY).fingerprint != sets[0].fingerprint


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_scale_set(tmp_path / "set", dimension=8, sizes=TINY, advance=fail)
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BadUsage, match="the folder holds 'mine'"):
        build_scale_set(tmp_path, dimension=8, sizes=TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_hashes_look_like_those_of_frames(test_frames: list[Frame]) -> None:
    hashes = [int(value) for value in synthetic_hashes(0, test_frames).phash]
    assert {value.bit_count() for value in hashes} == {32}  # as phash, which splits 64 values at their median
    steady: set[int] = set()
    jittered: set[int] = set()
    for one, other, before, after in zip(test_frames, test_frames[1:], hashes, hashes[1:], strict=False):
        if one.track.name == other.track.name:
            (jittered if one.track.jitter else steady).add((before ^ after).bit_count())
    assert steady == {0, 2, 4, 6}
    assert min(jittered) == 6
    assert max(jittered) == 14


def test_noise_is_centred_even_and_of_variance_one() -> None:
    values = noise(100_000, "anything", 1)
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1.0, abs=0.01)
    assert np.abs(values).max() <= 131070 / 37837.227 + 1e-9
    assert np.mean(np.abs(values) < 1) == pytest.approx(0.67, abs=0.02)  # nearly normal: 0.683


def mean_cosines(frames: list[Frame], difficulty: float) -> tuple[float, float]:
    """Mean cosine between images of one person from different films, and between images of different people."""
    rows = np.concatenate([block for _, block in embeddings(0, frames, difficulty, 256)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    person = np.array([frame.track.person.number for frame in frames])
    film = np.array([frame.track.film for frame in frames])
    cosines = rows @ rows.T
    same = (person[:, None] == person) & (film[:, None] != film)
    return float(cosines[same].mean()), float(cosines[person[:, None] != person].mean())


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
def test_images_of_a_person_are_as_similar_as_the_difficulty_says(test_frames: list[Frame], difficulty: float) -> None:
    same, other = mean_cosines(test_frames, difficulty)
    assert same - other == pytest.approx(signal(difficulty) + 0.15, abs=0.04)  # and people look like their kind
    assert abs(other) < 0.05


def test_predictions_are_right_as_often_as_the_difficulty_says(test_frames: list[Frame]) -> None:
    perfect, blind = predictions(0, test_frames, 0.0), predictions(0, test_frames, 1.0)
    bodies = ("standing", "walking_running", "sitting", "bending_squatting", "lying")
    truth = [bodies.index(frame.track.body) for frame in test_frames]
    assert perfect["body"].tolist() == truth
    assert np.mean(blind["body"] == truth) == pytest.approx(1 / 5, abs=0.09)  # 240 images, standard deviation 0.026
    assert [row.sum() for row in perfect["expression"]] == [len(frame.track.expression) for frame in test_frames]
    assert perfect["expression"].dtype == np.bool_
    assert np.mean(perfect["expression"] ^ blind["expression"]) == pytest.approx(0.25, abs=0.04)


def test_blocks_do_not_change_an_embedding(test_frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate([block for _, block in embeddings(0, test_frames, 0.4, 16)])
    monkeypatch.setattr("piq_bench.demo.scale.ROWS_PER_STEP", 7)
    blocks = list(embeddings(0, test_frames, 0.4, 16))
    assert [start for start, _ in blocks] == list(range(0, 240, 7))
    assert (np.concatenate([block for _, block in blocks]) == whole).all()
