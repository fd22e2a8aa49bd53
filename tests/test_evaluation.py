"""`piq_bench.evaluate` against plain copies of the evaluators in use, the oracles, and `piq_bench.score`."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import oracles
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import piq_bench
from piq_bench.errors import BadDataset, BadSubmission, BadUsage

IntArray = np.ndarray[Any, np.dtype[np.int64]]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def problem(seed: int, n_query: int = 12, n_gallery: int = 60, n_people: int = 5) -> SimpleNamespace:
    """Random features, people and cameras; every person is in the gallery."""
    rng = np.random.default_rng(seed)
    return SimpleNamespace(
        query=rng.standard_normal((n_query, 8)).astype(np.float32),
        gallery=rng.standard_normal((n_gallery, 8)).astype(np.float32),
        q_pids=rng.integers(1, n_people + 1, n_query),
        g_pids=np.concatenate([np.arange(1, n_people + 1), rng.integers(1, n_people + 1, n_gallery - n_people)]),
        q_camids=rng.integers(0, 3, n_query),
        g_camids=rng.integers(0, 3, n_gallery),
        # every distance once, so that no ranking depends on the order of ties
        distmat=rng.permutation(n_query * n_gallery).reshape(n_query, n_gallery).astype(np.float32) / 64,
    )


def reid(result: piq_bench.Result) -> dict[str, float | None]:
    assert result.score.reid is not None
    return dict(result.score.reid.values)


def eval_market1501(
    distmat: FloatArray, q_pids: IntArray, g_pids: IntArray, q_camids: IntArray, g_camids: IntArray
) -> tuple[list[float], float]:
    """The rule of torchreid's function of this name: CMC at ranks 1 to 10, and mAP."""
    cmcs, precisions = [], []
    for q in range(len(q_pids)):
        order = sorted(range(len(g_pids)), key=lambda g: distmat[q][g])
        kept = [g for g in order if not (g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q])]
        hits = [bool(g_pids[g] == q_pids[q]) for g in kept]
        if not any(hits):
            continue
        cmcs.append([any(hits[: k + 1]) for k in range(10)])
        precisions.append(sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / sum(hits))
    return [sum(each) / len(cmcs) for each in zip(*cmcs, strict=True)], sum(precisions) / len(precisions)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n_people=st.integers(1, 12))
def test_the_arguments_of_torchreid(seed: int, n_people: int) -> None:
    data = problem(seed, n_people=n_people)
    arguments = data.q_pids, data.g_pids, data.q_camids, data.g_camids
    try:
        result = piq_bench.evaluate(data.distmat, None, *arguments, distance="given", n_resamples=0)
    except BadDataset:  # no positive at another camera
        with pytest.raises(ZeroDivisionError):
            eval_market1501(data.distmat, *arguments)
        return
    cmc, mean = eval_market1501(data.distmat, *arguments)
    found = reid(result)
    assert found["map"] == pytest.approx(mean, rel=1e-12)
    assert [found[f"rank{k}"] for k in (1, 5, 10)] == pytest.approx([cmc[k - 1] for k in (1, 5, 10)], rel=1e-12)


def layumi(mat: dict[str, np.ndarray]) -> tuple[float, float]:
    """The rule of evaluate_gpu.py in layumi's Person_reID_baseline_pytorch: Rank-1 and mAP."""
    first, precisions = [], []
    for feature, label, camera in zip(mat["query_f"], mat["query_label"][0], mat["query_cam"][0], strict=True):
        values = mat["gallery_f"] @ feature
        labels, cameras = mat["gallery_label"][0], mat["gallery_cam"][0]
        order = [
            g for g in np.argsort(-values) if labels[g] != -1 and not (labels[g] == label and cameras[g] == camera)
        ]
        places = [place for place, g in enumerate(order) if labels[g] == label]
        if not places:
            continue
        first.append(places[0] == 0)
        total = 0.0
        for i, place in enumerate(places):
            before = i / place if place else 1.0
            total += (before + (i + 1) / (place + 1)) / 2 / len(places)
        precisions.append(total)
    return float(np.mean(first)), float(np.mean(precisions))


@pytest.mark.parametrize("seed", range(5))
def test_the_file_of_layumi(seed: int) -> None:
    data = problem(seed)
    unit: Callable[[np.ndarray], np.ndarray] = lambda f: f / np.linalg.norm(f, axis=1, keepdims=True)  # noqa: E731
    labels = data.g_pids.copy()
    labels[-10:-5], labels[-5:] = -1, 0
    mat = {  # as scipy.io.loadmat gives pytorch_result.mat
        "query_f": unit(data.query), "query_label": data.q_pids[None, :], "query_cam": data.q_camids[None, :],
        "gallery_f": unit(data.gallery), "gallery_label": labels[None, :], "gallery_cam": data.g_camids[None, :],
    }  # fmt: skip
    result = piq_bench.evaluate(
        mat["query_f"], mat["gallery_f"], mat["query_label"], mat["gallery_label"], mat["query_cam"],
        mat["gallery_cam"], junk=[-1], distractors=[0], ap="market1501", n_resamples=0,
    )  # fmt: skip
    rank1, mean = layumi(mat)
    assert reid(result)["rank1"] == pytest.approx(rank1, rel=1e-12)
    assert reid(result)["map"] == pytest.approx(mean, rel=1e-6)
    assert result.benchmark.junk.sum() == 5 and result.benchmark.distractor.sum() == 5
    assert not any("look like missing" in note for note in result.score.notes)


@pytest.mark.parametrize("seed", range(3))
def test_the_table_of_oml(seed: int) -> None:
    """An image may be query and gallery image at once, and never finds itself or its own sequence."""
    rng = np.random.default_rng(seed)
    n = 40
    table = pd.DataFrame({"label": rng.integers(0, 5, n), "sequence": [f"s{i}" for i in rng.integers(0, 15, n)]})
    table["is_query"], table["is_gallery"] = rng.random(n) < 0.5, rng.random(n) < 0.9
    embeddings = rng.integers(-4, 5, (n, 3)).astype(np.float32)
    query, gallery = table[table["is_query"]], table[table["is_gallery"]]
    result = piq_bench.evaluate(
        embeddings[query.index], embeddings[gallery.index], query["label"], gallery["label"],
        query["sequence"], gallery["sequence"], groups=(query.index, gallery.index), exclude=["camera", "group"],
        distance="euclidean", n_resamples=0,
    )  # fmt: skip
    label, sequence = table["label"].tolist(), table["sequence"].tolist()
    queries = []
    for q in query.index.tolist():
        candidates = [
            (oracles.similarity(embeddings[q], embeddings[g], "euclidean"), label[g] == label[q])
            for g in gallery.index.tolist()
            if g != q and sequence[g] != sequence[q]
        ]
        queries.append((str(label[q]), candidates))
    expected = oracles.reid(queries)
    assert {name: reid(result)[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_numbers_are_those_of_a_submission_to_the_last_bit(distance: str, dtype: type) -> None:
    data = problem(3, n_query=40, n_gallery=200, n_people=15)
    query, gallery = data.query.astype(dtype), data.gallery.astype(dtype)
    gallery[:30] = query[:30]  # ties
    labels = {
        "image": [f"a{i:03}" for i in range(40)] + [f"b{i:03}" for i in range(200)],
        "split": ["query"] * 40 + ["gallery"] * 200,
        "identity": [str(p) for p in (*data.q_pids, *data.g_pids)],
        "camera": [str(c) for c in (*data.q_camids, *data.g_camids)],
    }
    benchmark = piq_bench.make_benchmark(labels, [piq_bench.Task("reid", "reid", kind="retrieval")])
    by_file = piq_bench.score(
        {"image": labels["image"]}, benchmark, embedding=np.concatenate([query, gallery]),
        meta={"distance": distance}, exclude=["identity+camera"],
    ).to_dict()  # fmt: skip
    here = piq_bench.evaluate(
        query, gallery, data.q_pids, data.g_pids, data.q_camids, data.g_camids, distance=distance
    ).to_dict()
    for part in ("piq", "reid", "intervals", "aspects", "protocol"):
        a, b = by_file[part], here[part]
        if isinstance(a, dict) and isinstance(b, dict):
            a, b = ({key: value for key, value in each.items() if key != "digest"} for each in (a, b))
        assert a == b
    intervals = here["intervals"]
    assert isinstance(intervals, dict) and intervals["resamples"] == 1000


def test_distances_score_like_the_features_they_came_from() -> None:
    data = problem(4)
    query, gallery = np.round(data.query), np.round(data.gallery)  # squared distances are exact, and many tie
    squared = ((query[:, None].astype(np.float64) - gallery[None]) ** 2).sum(axis=2)
    rest = data.q_pids, data.g_pids, data.q_camids, data.g_camids
    by_features = piq_bench.evaluate(query, gallery, *rest, distance="euclidean", n_resamples=20)
    for dtype in (np.float16, np.float32, np.int64):
        by_matrix = piq_bench.evaluate(squared.astype(dtype), None, *rest, distance="given", n_resamples=20)
        assert by_matrix.to_dict()["reid"] == by_features.to_dict()["reid"]
        assert by_matrix.to_dict()["intervals"] == by_features.to_dict()["intervals"]
        assert by_matrix.score.notes == by_features.score.notes


def test_tensors_lists_and_tables_are_taken() -> None:
    torch = pytest.importorskip("torch")
    data = problem(5)
    plain = piq_bench.evaluate(data.query, data.gallery, data.q_pids, data.g_pids, n_resamples=0)
    for convert in (torch.from_numpy, lambda values: values.tolist(), pd.DataFrame):
        query, gallery = convert(data.query), convert(data.gallery)
        found = piq_bench.evaluate(query, gallery, data.q_pids.tolist(), torch.from_numpy(data.g_pids), n_resamples=0)
        assert reid(found) == reid(plain)
        assert found.score.submission["content"] == plain.score.submission["content"]
    half = torch.from_numpy(data.query).bfloat16(), torch.from_numpy(data.gallery).bfloat16()
    short = reid(piq_bench.evaluate(half[0], half[1], data.q_pids, data.g_pids, n_resamples=0))
    full = reid(piq_bench.evaluate(half[0].float(), half[1].float(), data.q_pids, data.g_pids, n_resamples=0))
    assert short == full
    grad = torch.from_numpy(data.query).requires_grad_()
    assert reid(piq_bench.evaluate(grad, data.gallery, data.q_pids, data.g_pids, n_resamples=0)) == reid(plain)


def test_rounded_values_are_noted() -> None:
    data = problem(6)
    rest = data.q_pids, data.g_pids
    plain = piq_bench.evaluate(data.query, data.gallery, *rest, n_resamples=0)
    double = piq_bench.evaluate(data.query.astype(np.float64), data.gallery, *rest, n_resamples=0)
    assert reid(double) == reid(plain)
    note = "float64 values are rounded to float32"
    assert note in double.score.notes and note not in plain.score.notes


def test_what_excludes_by_default_and_on_request() -> None:
    data = problem(7)
    ids, cams = (data.q_pids, data.g_pids), (data.q_camids, data.g_camids)
    groups = np.arange(12) % 6, np.arange(60)
    features = data.query, data.gallery

    def rules(*arguments: Any, **options: Any) -> tuple[str, ...]:  # noqa: ANN401
        return piq_bench.evaluate(*features, *arguments, **options, n_resamples=0).score.protocol.exclude

    assert rules(*ids) == ()
    assert rules(*ids, *cams) == ("identity+camera",)
    assert rules(*ids, *cams, groups=groups) == ("group", "identity+camera")
    assert rules(*ids, groups=groups) == ("group",)
    assert rules(*ids, *cams, exclude=()) == ()
    assert rules(*ids, *cams, exclude=["camera"]) == ("camera",)
    with pytest.raises(BadUsage, match="group"):
        rules(*ids, exclude=["group"])


def test_groups_exclude_near_duplicates() -> None:
    rng = np.random.default_rng(8)
    data = problem(8)
    query, gallery = (rng.integers(-2, 3, (n, 3)).astype(np.float32) for n in (12, 60))
    q_groups, g_groups = rng.integers(0, 9, 12).astype(object), rng.integers(0, 9, 60).astype(object)
    q_groups[:4], g_groups[:20] = None, np.nan
    result = piq_bench.evaluate(
        query, gallery, data.q_pids, data.g_pids, groups=(q_groups, g_groups), distance="euclidean", n_resamples=0
    )
    queries = [
        (
            str(data.q_pids[q]),
            [
                (oracles.similarity(query[q], gallery[g], "euclidean"), bool(data.g_pids[g] == data.q_pids[q]))
                for g in range(60)
                if q_groups[q] is None or q_groups[q] != g_groups[g]
            ],
        )
        for q in range(12)
    ]
    expected = oracles.reid(queries)
    assert {name: reid(result)[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert result.score.reid is not None and result.score.reid.without_exclusion is not None
    assert "groups given with the data set" in str(result)


def test_names_of_people_are_compared_as_texts() -> None:
    data = problem(9)
    plain = piq_bench.evaluate(data.query, data.gallery, data.q_pids, data.g_pids, n_resamples=0)
    for ids in (
        (data.q_pids.astype(np.float64), data.g_pids),
        ([str(each) for each in data.q_pids], data.g_pids.astype(np.uint8)),
        (data.q_pids.astype(object), data.g_pids.astype("S3")),
    ):
        assert reid(piq_bench.evaluate(data.query, data.gallery, *ids, n_resamples=0)) == reid(plain)
    unknown = [None, float("nan"), "", *data.q_pids[3:].tolist()]
    found = piq_bench.evaluate(data.query, data.gallery, unknown, data.g_pids, n_resamples=0)
    assert found.score.reid is not None and found.score.reid.queries_unlabelled == 3


@pytest.mark.parametrize("form", ["float", "bytes", "text", "array", "tensor", "set", "alone"])
def test_junk_and_distractors_are_compared_as_the_ids_are(form: str) -> None:
    data = problem(12)
    data.g_pids[20:30], data.g_pids[30:40] = -1, 0
    ids = data.q_pids, data.g_pids
    forms: dict[str, Callable[[int], Any]] = {
        "float": lambda name: [float(name)],
        "bytes": lambda name: [str(name).encode()],
        "text": str,
        "array": lambda name: np.array([float(name)]),
        "tensor": lambda name: pytest.importorskip("torch").tensor([name]),
        "set": lambda name: {name},
        "alone": int,
    }
    plain = piq_bench.evaluate(data.query, data.gallery, *ids, junk=[-1], distractors=[0], n_resamples=0)
    result = piq_bench.evaluate(
        data.query, data.gallery, *ids, junk=forms[form](-1), distractors=forms[form](0), n_resamples=0
    )
    assert result.benchmark.junk.sum() == 10 and result.benchmark.distractor.sum() == 10
    assert reid(result) == reid(plain)


def test_a_missing_name_among_texts_is_no_person_and_never_junk() -> None:
    data = problem(13)
    names: tuple[list[Any], list[Any]] = ["", *(f"p{p}" for p in data.q_pids[1:])], [f"p{p}" for p in data.g_pids]
    plain = piq_bench.evaluate(data.query, data.gallery, *names, n_resamples=0)
    for missing in (float("nan"), None):
        names[0][0] = missing
        found = piq_bench.evaluate(data.query, data.gallery, *names, junk=[missing], n_resamples=0)
        assert found.score.reid is not None and found.score.reid.queries_unlabelled == 1
        assert reid(found) == reid(plain) and not found.benchmark.junk.any()
    mixed = [7, "p", 7.0, None, *names[0][4:]], ["7", "p", *names[1][2:]]
    assert piq_bench.evaluate(data.query, data.gallery, *mixed, n_resamples=0).benchmark.identities[0] == "7"


def test_the_summary_shows_the_means() -> None:
    data = problem(10)
    result = piq_bench.evaluate(data.query, data.gallery, data.q_pids, data.g_pids)
    summary = result.summary()
    low, value, high = (summary[column].to_dict()["macro_map"] for column in ("low", "score", "high"))
    assert low <= value <= high
    assert [summary["score"].to_dict()[name] for name in ("map", "rank1", "rank5", "rank10")] == [
        reid(result)[name] for name in ("map", "rank1", "rank5", "rank10")
    ]


def test_a_person_who_is_called_minus_one_is_doubted() -> None:
    data = problem(11)
    data.q_pids[0] = -1
    result = piq_bench.evaluate(data.query, data.gallery, data.q_pids, data.g_pids, n_resamples=0)
    assert any("'-1'" in note for note in result.score.notes)


REFUSED: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"distance": "hamming"}, BadUsage, ["is 'hamming'", "one of cosine, euclidean, given"]),
    ({"gallery": None}, BadUsage, ["gallery", "is None, but distance is 'cosine'", "pass distance='given'"]),
    ({"distance": "given"}, BadUsage, ["pass None as gallery"]),
    ({"query": np.ones(8)}, BadUsage, ["query", "has shape (8,)"]),
    ({"query": np.ones((12, 7))}, BadUsage, ["has 8 values per image, but query has 7"]),
    ({"query": np.array([["a"] * 8] * 12)}, BadUsage, ["dtype <U1"]),
    ({"query_ids": [1, 2]}, BadUsage, ["query_ids", "has 2 values, but there are 12 query images"]),
    ({"gallery_cams": [1, 2], "query_cams": [0] * 12}, BadUsage, ["gallery_cams", "has 2 values"]),
    ({"query_cams": [0] * 12}, BadUsage, ["gallery_cams", "has 0 values, but there are 60 gallery images"]),
    ({"groups": ([1] * 12, [1])}, BadUsage, ["gallery_groups"]),
    ({"exclude": ["clothes"]}, BadUsage, ["clothes"]),
    ({"ap": "voc", "engine": "tpu", "n_resamples": -1}, BadUsage, ["ap", "engine", "n_resamples", "3 problems"]),
    ({"query": np.full((12, 8), np.nan, np.float32)}, BadSubmission, ["'query/000000000'", "8 of 8 values are NaN"]),
    ({"query": np.zeros((12, 8), np.float32)}, BadSubmission, ["all values are 0"]),
    ({"query": np.full((12, 8), 1e300)}, BadSubmission, ["8 of 8 values are Inf"]),
    (
        {"query": np.full((12, 60), np.inf), "gallery": None, "distance": "given"},
        BadSubmission,
        ["row 0 ('query/000000000'): column 0 ('gallery/000000000') is Inf"],
    ),
    ({"gallery_ids": [99] * 60}, BadDataset, ["has a positive left"]),
]


@pytest.mark.parametrize(("change", "error", "fragments"), REFUSED)
def test_mistakes_are_named(change: dict[str, Any], error: type[Exception], fragments: list[str]) -> None:
    data = problem(0)
    options = {"query": data.query, "gallery": data.gallery, "query_ids": data.q_pids, "gallery_ids": data.g_pids}
    with pytest.raises(error) as caught:
        piq_bench.evaluate(**(options | change))
    for fragment in fragments:
        assert fragment in str(caught.value)
