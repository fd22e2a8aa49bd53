"""Scores from memory equal those from files to the last bit, with the same error messages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow as pa
import pytest
from click.testing import CliRunner

import piq_bench
from piq_bench.cli import load_command
from piq_bench.errors import BadDataset, BadSubmission, BadUsage
from piq_bench.read.unpack_column import store_column

ENTRY = Path(__file__).parents[1] / "submissions" / "colour-shape" / "submission.npz"
TASKS = (
    piq_bench.Task("who", "reid", kind="retrieval"),
    piq_bench.Task("age", "appearance", labels=("child", "adult")),
    piq_bench.Task("mood", "emotion", labels=("happy", "sad"), multi_label=True),
)
N = 12


def annotations() -> dict[str, list[object]]:
    return {
        "image": [f"{i:02}.jpg" for i in range(N)],
        "split": ["query", "gallery", "gallery"] * 4,
        "identity": [f"p{i // 3}" for i in range(N)],
        "age": [("child", "adult", None, float("nan"))[i % 4] for i in range(N)],
        "mood": [("happy", "happy|sad", "-", "")[i % 4] for i in range(N)],
    }


def predictions() -> dict[str, object]:
    rng = np.random.default_rng(0)
    return {
        "image": [f"{i:02}.jpg" for i in reversed(range(N))],
        "embedding": rng.standard_normal((N, 4)).astype(np.float32),
        "age": np.array(["child", "adult"] * 6, dtype=object),
        "mood": rng.random((N, 2)),
    }


def test_the_arrays_of_a_file_score_the_same_as_the_file() -> None:
    with np.load(ENTRY) as archive:
        arrays = {name: archive[name] for name in archive.files}
    meta = json.loads(str(arrays.pop("meta")))
    order = np.random.default_rng(0).permutation(len(arrays["image"]))
    found = piq_bench.score({name: values[order] for name, values in arrays.items()}, meta=meta, n_resamples=20)
    scored = CliRunner().invoke(load_command("score"), [str(ENTRY), "--format", "json", "--bootstrap", "20"])
    expected = json.loads(scored.stdout)
    assert json.loads(json.dumps(found.to_dict()))["protocol"]["digest"] == expected["protocol"]["digest"]
    assert found.piq == expected["piq"]
    assert piq_bench.score(ENTRY, n_resamples=20).to_dict()["protocol"] == found.to_dict()["protocol"]


def test_labels_in_memory_give_the_same_benchmark_as_a_folder(tmp_path: Path) -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS, name="mine")
    lines = ["image,split,identity,age,mood"]
    rows = zip(*annotations().values(), strict=True)
    lines += [",".join("" if cell is None or cell != cell else str(cell) for cell in row) for row in rows]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "benchmark.toml").write_text(
        'schema = "piq-bench/benchmark/1"\nname = "mine"\nversion = "1"\nlicence = ""\n'
        '[tasks.who]\naspect = "reid"\nkind = "retrieval"\n'
        '[tasks.age]\naspect = "appearance"\nlabels = ["child", "adult"]\n'
        '[tasks.mood]\naspect = "emotion"\nlabels = ["happy", "sad"]\nmulti_label = true\n',
        encoding="utf-8",
    )
    other = piq_bench.read_benchmark(tmp_path)
    found, expected = (piq_bench.score(predictions(), one, n_resamples=10).to_dict() for one in (benchmark, other))
    assert found["benchmark"] == expected["benchmark"]
    assert found["protocol"] == expected["protocol"]


def test_pandas_tables_are_accepted_and_returned() -> None:
    benchmark = piq_bench.make_benchmark(pandas.DataFrame(annotations()), TASKS)
    given = predictions()
    embedding, mood = given.pop("embedding"), given.pop("mood")
    partly = piq_bench.score(pandas.DataFrame(given), benchmark, embedding=embedding, partial=True, n_resamples=0)
    assert partly.piq is None
    result = piq_bench.score({**given, "mood": mood}, benchmark, embedding=embedding, n_resamples=10)
    summary: Any = result.summary()
    assert list(summary.index) == [
        *("PIQ", "reid", "macro_rank1", "macro_map", "map", "rank1", "rank5", "rank10"),
        *("appearance", "age F1", "emotion", "mood F1"),
    ]
    assert summary.loc["PIQ", "score"] == result.piq
    assert (summary["low"] <= summary["high"]).all()
    assert summary.loc["age F1", "chance"] == result.score.chance_f1["age"]
    labels: Any = result.labels()
    assert labels.loc[("age", "child"), "f1"] == result.score.labels["age"]["child"].f1
    attributes: Any = result.attributes()
    assert attributes.loc["age", "accuracy"] == result.score.attributes["age"].values["accuracy"]
    assert attributes.loc["mood", "ma"] == result.score.attributes["mood"].values["ma"]
    assert attributes["ma"].isna().tolist() == [True, False]
    precision = result.score.attributes["mood"].average_precision["sad"]
    assert labels.loc[("mood", "sad"), "average_precision"] == precision
    assert labels.loc["age", "average_precision"].isna().all()
    confusion: Any = result.confusion("age")
    assert confusion.loc["child"].sum() == labels.loc[("age", "child"), "support"]
    assert partly.summary()["low"].isna().all()


def test_a_result_displays_itself_and_escapes_untrusted_text() -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    result = piq_bench.score(predictions(), benchmark, meta={"name": "<script>alert(1)</script>"}, n_resamples=0)
    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()
    assert str(result).startswith("submission <script>")
    assert repr(result) == f"Result(piq={result.piq!r}, submission='<script>alert(1)</script>')"


def test_mistakes_are_refused_with_the_messages_of_files() -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    given = predictions()
    with pytest.raises(BadSubmission, match="did you mean 'mood'"):
        piq_bench.score({**given, "moods": given["mood"]}, benchmark)
    with pytest.raises(BadSubmission, match="image  is missing"):
        piq_bench.score({"age": given["age"]}, benchmark)
    with pytest.raises(BadSubmission, match="there are 11 images"):
        piq_bench.score({**given, "image": given["image"][:-1]}, benchmark)  # type: ignore[index]
    with pytest.raises(BadDataset, match="aduld"):
        piq_bench.make_benchmark({**annotations(), "age": ["aduld"] * N}, TASKS)


@pytest.mark.parametrize(
    ("columns", "tasks", "message"),
    [
        ({"age": ["child"]}, TASKS, r"age  has shape \(1,\)"),
        ({"age": [["child", "adult"]] * N}, TASKS, r"age  has shape \(12, 2\)"),
        ({"identity": ["\udc80"] * N}, TASKS, "surrogates not allowed"),
        ({}, (piq_bench.Task('my "age"', "appearance", labels=("a", "b")),), "tasks.my"),
        ({}, (piq_bench.Task("x]\ny = 1\n[z", "appearance", labels=("a", "b")),), "refused"),
    ],
)
def test_invalid_labels_are_refused_under_the_name_of_the_benchmark(
    columns: dict[str, object], tasks: tuple[piq_bench.Task, ...], message: str
) -> None:
    with pytest.raises(BadDataset, match=message) as refusal:
        piq_bench.make_benchmark({**annotations(), **columns}, tasks, name="mine")
    assert str(refusal.value).startswith("mine: refused")


def test_label_names_may_be_in_any_script() -> None:
    task = piq_bench.Task("mood", "emotion", labels=("\U0001f600", 'a "b"', "\u5973"))
    moods = ["\U0001f600", 'a "b"', "\u5973"] * 4
    benchmark = piq_bench.make_benchmark({**annotations(), "mood": moods}, [task])
    images = annotations()["image"]
    assert piq_bench.score({"image": images, "mood": moods}, benchmark, n_resamples=0).piq == 1.0


def test_missing_values_of_pandas_count_as_not_labelled() -> None:
    plain = pandas.DataFrame(annotations())
    expected = piq_bench.make_benchmark(plain, TASKS)
    for frame in (plain.astype("string"), plain.astype("string").astype("category")):
        assert frame["age"].isna().sum() == 6
        found = piq_bench.make_benchmark(frame, TASKS)
        assert (found.labels["age"] == expected.labels["age"]).all()
        assert found.identities == expected.identities


def test_no_column_writes_outside_its_folder_and_messages_name_no_file() -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    given = predictions()
    with pytest.raises(BadSubmission, match="is no array of this benchmark"):
        piq_bench.score({**given, "../age": given["age"]}, benchmark)
    with pytest.raises(BadSubmission) as refusal:
        piq_bench.score({**given, "age": ["aduld"] * N}, benchmark, meta={"name": "mine"})
    assert str(refusal.value).startswith("mine: refused, 1 problem\n  age  row 0")


def test_options_that_do_not_fit_are_refused_together() -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    with pytest.raises(BadUsage) as refusal:
        piq_bench.score(predictions(), benchmark, ap="?", engine="tpu", n_resamples=-1, seed=-2)
    assert [problem.where for problem in refusal.value.problems] == [
        *("ap", "engine", "n_resamples", "seed"),
    ]
    assert "is 'tpu'" in str(refusal.value)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, piq_bench; print('numpy' in sys.modules, hasattr(piq_bench, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_the_public_names_are_listed_before_they_are_imported() -> None:
    code = "import sys, piq_bench; names = dir(piq_bench); print(*names); assert 'numpy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = done.stdout.split()
    assert {"__version__", "evaluate", "score", "Result", *piq_bench.__all__} <= set(names)
    assert len(names) == len(set(names))
    for name in piq_bench.__all__:
        assert getattr(piq_bench, name).__module__.startswith("piq_bench.")


def test_reading_and_scoring_import_neither_pandas_nor_scikit_learn(tmp_path: Path) -> None:
    stored = tmp_path / "column"
    store_column(stored, pa.chunked_array([pa.array(["a", None, "a"]).dictionary_encode()]))
    options = ["x", str(ENTRY), "--bootstrap", "0", "--format", "json"]
    code = f"""import sys, piq_bench
from pathlib import Path
from piq_bench.read.column import stored_column
stored_column(Path({str(stored)!r}))
piq_bench.read_benchmark(None)
from piq_bench.cli import piq_score
sys.argv = {options}
try: piq_score()
finally: print(sorted({{'pandas', 'sklearn'}} & set(sys.modules)), file=sys.stderr)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def digest(submission: object) -> object:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    return piq_bench.score(submission, benchmark, n_resamples=0).to_dict()["submission"]  # type: ignore[arg-type]


def test_a_frame_may_hold_a_vector_in_each_row() -> None:
    pd = pytest.importorskip("pandas")
    plain = predictions()
    frame = pd.DataFrame({name: list(values) for name, values in plain.items()})  # type: ignore[call-overload]
    assert frame["embedding"].dtype == object
    assert digest(frame) == digest(plain)
    as_objects = dict(plain)
    as_objects["embedding"] = frame["embedding"].to_numpy()
    assert digest(as_objects) == digest(plain)


def test_vectors_of_different_lengths_name_numpy_stack() -> None:
    vectors = np.empty(N, dtype=object)
    vectors[:] = [np.ones(4 + i % 2, dtype=np.float32) for i in range(N)]
    for rows in (vectors, np.array([None, *vectors[1:]], dtype=object)):
        with pytest.raises(BadSubmission, match=r"numpy\.stack"):
            digest(predictions() | {"embedding": rows})


def test_columns_of_a_frame_without_meaning_are_ignored_with_a_warning() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({name: list(values) for name, values in predictions().items()})  # type: ignore[call-overload]
    expected = digest(frame)
    frame["Unnamed: 0"], frame["../x"] = range(N), "y"
    with pytest.warns(UserWarning, match=r"ignored columns .*: '\.\./x', 'Unnamed: 0'$") as warned:
        assert digest(frame) == expected
    assert warned[0].filename == __file__
    frame["Mood"] = frame.pop("mood")
    with pytest.raises(BadSubmission, match="did you mean 'mood'"):
        digest(frame)
    with pytest.raises(BadSubmission, match="unknown-array"):  # the keys of a dictionary are chosen, not left behind
        digest(predictions() | {"caption": ["x"] * N})


def test_a_float64_embedding_is_taken_as_float32_with_a_warning() -> None:
    plain = predictions()
    expected = digest(plain)
    plain["embedding"] = np.asarray(plain["embedding"], dtype=np.float64)
    with pytest.warns(UserWarning, match="float64 and was taken as float32"):
        assert digest(plain) == expected


def test_bfloat16_becomes_float32() -> None:
    torch = pytest.importorskip("torch")
    plain = predictions()
    half = torch.tensor(plain["embedding"]).bfloat16()
    assert digest(plain | {"embedding": half}) == digest(plain | {"embedding": half.float().numpy()})


def matrix(name: str = "distance") -> dict[str, object]:
    images, splits = annotations()["image"], annotations()["split"]
    queries = [image for image, split in zip(images, splits, strict=True) if split == "query"]
    gallery = [image for image, split in zip(images, splits, strict=True) if split == "gallery"]
    values = np.random.default_rng(0).integers(-9, 9, (len(queries), len(gallery))).astype(np.float32)
    return {name: values, "query": queries, "gallery": np.array(gallery, dtype=object)}


@pytest.mark.parametrize("name", ["distance", "similarity"])
@pytest.mark.parametrize("with_tasks", [False, True])
def test_a_matrix_in_memory_scores_as_one_in_a_file(tmp_path: Path, name: str, with_tasks: bool) -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    tasks = {each: values for each, values in predictions().items() if each != "embedding"} if with_tasks else {}
    given = matrix(name) | tasks
    arrays = {each: np.asarray(values) for each, values in given.items()}
    texts = {each: values.astype(str) for each, values in arrays.items() if values.dtype == object}
    np.savez(tmp_path / "entry.npz", **(arrays | texts))  # type: ignore[arg-type]
    options: dict[str, Any] = {"partial": not with_tasks, "n_resamples": 10}
    found = piq_bench.score(given, benchmark, meta={"name": "entry"}, **options).to_dict()
    expected = piq_bench.score(tmp_path / "entry.npz", benchmark, **options).to_dict()
    for part in ("reid", "f1", "submission"):
        assert found[part] == expected[part]
    assert found["protocol"]["digest"] == expected["protocol"]["digest"]  # type: ignore[index]
    assert found["submission"]["distance"] == "given"  # type: ignore[index]
    assert (found["piq"] is not None) == with_tasks
    negated = {**given, {"distance": "similarity", "similarity": "distance"}[name]: -arrays[name]}
    del negated[name]
    assert piq_bench.score(negated, benchmark, **options).to_dict()["reid"] == found["reid"]


def test_a_matrix_in_memory_is_refused_with_the_messages_of_files() -> None:
    benchmark = piq_bench.make_benchmark(annotations(), TASKS)
    unnamed = {each: values for each, values in matrix().items() if each != "gallery"}
    faults: dict[str, dict[str, object]] = {
        "gallery is missing": unnamed,
        "4 ids, but 'distance' has 3 rows": matrix() | {"distance": np.zeros((3, 8), dtype=np.float32)},
        "has dtype <i8": matrix() | {"distance": np.zeros((4, 8), dtype=np.int64)},
        "is submitted beside": matrix() | {"image": annotations()["image"], "embedding": np.ones((N, 2), np.float32)},
        "image is missing": matrix() | {"age": ["child"] * N},
        "'x.jpg'": matrix() | {"query": ["x.jpg", "03.jpg", "06.jpg", "09.jpg"]},
    }
    for text, given in faults.items():
        with pytest.raises(BadSubmission) as refusal:
            piq_bench.score(given, benchmark, partial=True)
        assert text in " ".join(str(refusal.value).split()), str(refusal.value)


def test_a_task_that_is_called_like_a_part_of_a_matrix_stays_a_task() -> None:
    labels = {each: values for each, values in annotations().items() if each in ("image", "split", "identity")}
    tasks = [TASKS[0], piq_bench.Task("distance", "appearance", labels=("near", "far"))]
    benchmark = piq_bench.make_benchmark(labels | {"distance": ["near", "far"] * 6}, tasks)
    given = {"image": labels["image"], "distance": ["near", "far"] * 6, "embedding": np.eye(N, dtype=np.float32)}
    assert piq_bench.score(given, benchmark, n_resamples=0).score.f1 == {"distance": 1.0}
