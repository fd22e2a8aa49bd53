"""Other evaluators, called as their manuals show, on the same embeddings; install them by `pip install '.[bench]'`.

Each gets what its interface accepts: similarities without the query's near-duplicates where images can be left out,
in blocks where it accumulates results itself, and all images otherwise. The products, the exclusion and the conversion
into the peer's input format are part of its time, as they are for its users.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module

import numpy as np
from benchmarks.evaluators import Data, Evaluate, Evaluator, Found

from piq_bench.records import BoolArray, Float32Array, IntArray

QUERY_BLOCK = 256
TOP = 100
MOST_OF_FAISS = 2048  # neighbours, the limit of its GPU indices
EXACT, TOP_EXACT = "exact", f"top {TOP}"
ON_ALL = "takes no exclusion: near-duplicates stay in"


def rows_of(data: Data) -> Iterator[tuple[int, Float32Array, BoolArray]]:
    """For each query: its index, the similarities of its candidates, and which of them are positives.

    Queries without a positive are skipped, since most peers would count them as zero.
    """
    queries, gallery = unit(data.queries), unit(data.gallery)
    order = np.argsort(data.gallery_group, kind="stable")
    in_order = data.gallery_group[order]
    first = np.searchsorted(in_order, data.query_group, "left")
    last = np.searchsorted(in_order, data.query_group, "right")
    for start in range(0, queries.shape[0], QUERY_BLOCK):
        table = queries[start : start + QUERY_BLOCK] @ gallery.T
        for row in range(table.shape[0]):
            query = start + row
            similarity, positive = table[row], data.gallery_identity == data.query_identity[query]
            if last[query] > first[query]:
                near = order[first[query] : last[query]]
                similarity, positive = np.delete(similarity, near), np.delete(positive, near)
            if positive.any():
                yield query, similarity, positive


def unit(rows: Float32Array) -> Float32Array:
    """Rows divided by their norm."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def scikit_learn() -> Evaluate:
    """`average_precision_score`, one call per query."""
    average_precision = import_module("sklearn.metrics").average_precision_score
    return lambda data: Found(float(np.mean([average_precision(hits, near) for _, near, hits in rows_of(data)])))


def torchmetrics() -> Evaluate:
    """`RetrievalMAP`, updated query by query: it keeps everything until the end."""
    torch, retrieval = import_module("torch"), import_module("torchmetrics.retrieval")

    def evaluate(data: Data) -> Found:
        metric = retrieval.RetrievalMAP(empty_target_action="skip")
        for query, similarity, positive in rows_of(data):
            positions = torch.full((similarity.size,), query)
            metric.update(torch.from_numpy(similarity + 2), torch.from_numpy(positive), indexes=positions)
        return Found(float(metric.compute()))

    return evaluate


def pytorch_metric_learning(k: int | None) -> Evaluate:
    """`AccuracyCalculator` with its own search for neighbours; its mean is over queries."""
    calculator = import_module("pytorch_metric_learning.utils.accuracy_calculator").AccuracyCalculator
    torch = import_module("torch")

    def evaluate(data: Data) -> Found:
        name = "mean_average_precision"
        arrays = (unit(data.queries), data.query_identity, unit(data.gallery), data.gallery_identity)
        queries, query_identity, gallery, gallery_identity = (torch.from_numpy(np.asarray(a)) for a in arrays)
        measure = calculator(include=(name,), k=k, device=torch.device("cpu"))
        values = measure.get_accuracy(queries, query_identity, gallery, gallery_identity)
        return Found(float(values[name]) if k is None else None)

    return evaluate


def open_metric_learning(top: int | None) -> Evaluate:
    """`topk` and its mAP, over all images or over the first ones only, which it then treats as all."""
    torch = import_module("torch")
    calculate = import_module("oml.functional.metrics").calc_map

    def evaluate(data: Data) -> Found:
        hits, n_positives = [], []
        for _, similarity, positive in rows_of(data):
            n_kept = min(top or similarity.size, similarity.size)
            nearest = torch.topk(torch.from_numpy(similarity), n_kept).indices
            hits.append(torch.from_numpy(positive)[nearest])
            n_positives.append(int(positive.sum()))
        (precisions,) = calculate(hits, n_positives, top_k=(top or data.gallery.shape[0],), verbose=False)
        return Found(float(precisions.mean()) if top is None else None)

    return evaluate


def ranx(top: int | None) -> Evaluate:
    """`evaluate` of dictionaries, built for all queries at once, as it requires."""
    module = import_module("ranx")

    def evaluate(data: Data) -> Found:
        relevant, run = _dictionaries(data, top)
        value = float(module.evaluate(module.Qrels(relevant), module.Run(run), "map" if top is None else f"map@{top}"))
        return Found(value if top is None else None)

    return evaluate


def pytrec_eval() -> Evaluate:
    """`RelevanceEvaluator` of dictionaries, one query at a time."""
    module = import_module("pytrec_eval")

    def evaluate(data: Data) -> Found:
        names = [str(place) for place in range(data.gallery.shape[0])]
        values = []
        for _, similarity, positive in rows_of(data):
            relevant = {names[place]: 1 for place in np.flatnonzero(positive)}
            run = dict(zip(names, similarity.tolist(), strict=False))
            values.append(module.RelevanceEvaluator({"q": relevant}, {"map"}).evaluate({"q": run})["q"]["map"])
        return Found(float(np.mean(values)))

    return evaluate


def faiss(k: int) -> Evaluate:
    """The search alone: what is ranked below its k neighbours stays unknown."""
    module = import_module("faiss")

    def evaluate(data: Data) -> Found:
        index = module.IndexFlatIP(data.gallery.shape[1])
        index.add(unit(data.gallery))
        index.search(unit(data.queries), min(k, data.gallery.shape[0]))
        return Found()

    return evaluate


def _dictionaries(data: Data, top: int | None) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Relevance and similarities by query and image, over all candidates or the most similar ones."""
    relevant, run = {}, {}
    for query, similarity, positive in rows_of(data):
        kept: IntArray = np.arange(similarity.size) if top is None else np.argsort(-similarity)[:top]
        relevant[str(query)] = {str(place): 1 for place in np.flatnonzero(positive)}
        run[str(query)] = dict(zip(map(str, kept.tolist()), similarity[kept].tolist(), strict=True))
    return relevant, run


def _peer(name: str, computes: str, prepare: Callable[[], Evaluate], *, excludes: bool = True) -> Evaluator:
    return Evaluator(name, computes, prepare, excludes=excludes, remark="" if excludes else ON_ALL)


PEERS: tuple[Evaluator, ...] = (
    _peer("faiss, k = 100", "search only", partial(faiss, TOP), excludes=False),
    _peer("faiss, k = 2048", "search only", partial(faiss, MOST_OF_FAISS), excludes=False),
    _peer("pytorch-metric-learning", EXACT, partial(pytorch_metric_learning, None), excludes=False),
    _peer("pytorch-metric-learning, k = 100", TOP_EXACT, partial(pytorch_metric_learning, TOP), excludes=False),
    _peer("open-metric-learning", EXACT, partial(open_metric_learning, None)),
    _peer("open-metric-learning, top 100", TOP_EXACT, partial(open_metric_learning, TOP)),
    _peer("torchmetrics", EXACT, torchmetrics),
    _peer("scikit-learn", EXACT, scikit_learn),
    _peer("ranx", EXACT, partial(ranx, None)),
    _peer("ranx, top 100", TOP_EXACT, partial(ranx, TOP)),
    _peer("pytrec_eval", EXACT, pytrec_eval),
)
