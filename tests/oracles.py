"""The definitions in plain Python, written from the specification. Imports nothing from piq_bench.

A query is given as its candidates: a list of (similarity, is_positive).
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import permutations, product

Candidate = tuple[float, bool]


def similarity(one: Sequence[float], other: Sequence[float], distance: str) -> float:
    """IEEE float64 on the stored values, summed one by one."""
    if distance == "cosine":
        one, other = unit(one), unit(other)
        total = 0.0
        for a, b in zip(one, other, strict=True):
            total = total + a * b
        return total
    total = 0.0
    for a, b in zip(one, other, strict=True):
        difference = a - b
        total = total + difference * difference
    return -total


def unit(values: Sequence[float]) -> list[float]:
    total = 0.0
    for value in values:
        total = total + value * value
    norm = math.sqrt(total)
    return [value / norm for value in values]


def runs(candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """(positives, images) of each run of equal similarity, most similar first."""
    by_value: dict[float, tuple[int, int]] = {}
    for value, hit in candidates:
        n_positives, n_images = by_value.get(value, (0, 0))
        by_value[value] = (n_positives + hit, n_images + 1)
    return [by_value[value] for value in sorted(by_value, reverse=True)]


def average_precision(candidates: Sequence[Candidate]) -> Fraction:
    """Expectation over random orders of ties, from the chance of each rank to hold a positive."""
    return _expected_precision(candidates, lambda found, rank: (found + 1) / rank)


def average_precision_market1501(candidates: Sequence[Candidate]) -> Fraction:
    def trapezoid(found: Fraction, rank: int) -> Fraction:
        before = found / (rank - 1) if rank > 1 else Fraction(1)
        return (before + (found + 1) / rank) / 2

    return _expected_precision(candidates, trapezoid)


def _expected_precision(candidates: Sequence[Candidate], value: Callable[[Fraction, int], Fraction]) -> Fraction:
    total, rank, found, n_positives = Fraction(0), 0, 0, sum(hit for _, hit in candidates)
    for n_pos, n in runs(candidates):
        for place in range(n):
            if n_pos:
                inside = Fraction(place * (n_pos - 1), n - 1) if n > 1 else Fraction(0)
                total += Fraction(n_pos, n) * value(found + inside, rank + place + 1)
        rank += n
        found += n_pos
    return total / n_positives


def cumulative_match(candidates: Sequence[Candidate], k: int) -> Fraction:
    """1 - the chance that the first k places hold no positive."""
    none, rank = Fraction(1), 0
    for n_pos, n in runs(candidates):
        drawn = min(k - rank, n)
        if drawn <= 0:
            break
        none *= Fraction(math.comb(n - n_pos, drawn), math.comb(n, drawn))
        rank += n
    return 1 - none


def inverse_negative_penalty(candidates: Sequence[Candidate]) -> Fraction:
    n_positives = sum(hit for _, hit in candidates)
    rank, last = 0, (0, 0, 0)
    for n_pos, n in runs(candidates):
        if n_pos:
            last = (rank, n_pos, n)
        rank += n
    above, n_pos, n = last
    chance = {j: Fraction(math.comb(j - 1, n_pos - 1), math.comb(n, n_pos)) for j in range(n_pos, n + 1)}
    return sum((p * Fraction(n_positives, above + j) for j, p in chance.items()), Fraction(0))


def over_all_orders(candidates: Sequence[Candidate], metric: Callable[[Sequence[bool]], Fraction]) -> Fraction:
    """The mean of a metric of a strict ranking over every order of the tied images."""
    by_value: dict[float, list[bool]] = {}
    for value, hit in candidates:
        by_value.setdefault(value, []).append(hit)
    tied = [list(permutations(by_value[value])) for value in sorted(by_value, reverse=True)]
    orders = [[hit for run in order for hit in run] for order in product(*tied)]
    return sum((metric(order) for order in orders), Fraction(0)) / len(orders)


def strict_average_precision(hits: Sequence[bool]) -> Fraction:
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    return sum((Fraction(found, rank) for found, rank in enumerate(ranks, 1)), Fraction(0)) / len(ranks)


def strict_average_precision_market1501(hits: Sequence[bool]) -> Fraction:
    """The original code, line by line: recall steps times the mean of this and the last precision."""
    area, old_recall, old_precision, found = Fraction(0), Fraction(0), Fraction(1), 0
    for rank, hit in enumerate(hits, 1):
        found += hit
        recall, precision = Fraction(found, sum(hits)), Fraction(found, rank)
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def strict_cumulative_match(k: int) -> Callable[[Sequence[bool]], Fraction]:
    return lambda hits: Fraction(any(hits[:k]))


def strict_inverse_negative_penalty(hits: Sequence[bool]) -> Fraction:
    return Fraction(sum(hits), max(rank for rank, hit in enumerate(hits, 1) if hit))


REID_METRICS: dict[str, Callable[[Sequence[Candidate]], Fraction]] = {
    "map": average_precision,
    "rank1": lambda c: cumulative_match(c, 1),
    "rank5": lambda c: cumulative_match(c, 5),
    "rank10": lambda c: cumulative_match(c, 10),
    "minp": inverse_negative_penalty,
}


FURTHER_REID_METRICS: dict[str, Callable[[Sequence[Candidate]], Fraction]] = {
    "rank20": lambda c: cumulative_match(c, 20)
}


def reid(
    queries: Sequence[tuple[str, Sequence[Candidate]]],
    metrics: dict[str, Callable[[Sequence[Candidate]], Fraction]] = REID_METRICS,
) -> dict[str, float]:
    """Macro and plain means from (identity, candidates) of each query; queries without a positive are ignored."""
    scored = [(identity, candidates) for identity, candidates in queries if any(hit for _, hit in candidates)]
    result = {}
    for name, metric in metrics.items():
        values: dict[str, list[Fraction]] = {}
        for identity, candidates in scored:
            values.setdefault(identity, []).append(metric(candidates))
        means = [sum(v, Fraction(0)) / len(v) for v in values.values()]
        result[f"macro_{name}"] = float(sum(means, Fraction(0)) / len(means))
        result[name] = float(sum((x for v in values.values() for x in v), Fraction(0)) / len(scored))
    return result


def macro_f1(truth: Sequence[set[str] | None], predicted: Sequence[set[str]]) -> float:
    """Mean F1 over the labels that occur in the truth; a truth of None is not annotated."""
    known = [(t, p) for t, p in zip(truth, predicted, strict=True) if t is not None]
    labels = sorted({label for t, _ in known for label in t})
    scores = []
    for label in labels:
        hits = sum(label in t and label in p for t, p in known)
        both = sum((label in t) + (label in p) for t, p in known)
        scores.append(Fraction(2 * hits, both))
    return float(sum(scores, Fraction(0)) / len(scores))


def mean(values: Sequence[Fraction]) -> float | None:
    return float(sum(values, Fraction(0)) / len(values)) if values else None


def attributes(
    labels: Sequence[str], truth: Sequence[set[str]], predicted: Sequence[set[str]]
) -> dict[str, float | None]:
    """What others report of a multi-label task, from each image's set of true and of predicted labels."""
    rows = list(zip(truth, predicted, strict=True))
    rates = []
    for label in labels:
        yes = [label in p for t, p in rows if label in t]
        no = [label not in p for t, p in rows if label not in t]
        if yes and no:
            rates.append((Fraction(sum(yes), len(yes)) + Fraction(sum(no), len(no))) / 2)
    precisions = [Fraction(len(t & p), len(p)) for t, p in rows if p]
    recalls = [Fraction(len(t & p), len(t)) for t, p in rows if t]
    f1: float | None = None
    if precisions and recalls:
        p, r = (sum(shares, Fraction(0)) / len(shares) for shares in (precisions, recalls))
        f1 = float(2 * p * r / (p + r)) if p + r else 0.0
    return {
        "ma": mean(rates),
        "accuracy": mean([Fraction(len(t & p), len(t | p)) for t, p in rows if t | p]),
        "precision": mean(precisions),
        "recall": mean(recalls),
        "f1": f1,
    }


def one_label_attributes(truth: Sequence[str], predicted: Sequence[str]) -> dict[str, float | None]:
    """What others report of a single-label task."""
    rows = list(zip(truth, predicted, strict=True))
    by_label: dict[str, list[bool]] = {}
    for true, given in rows:
        by_label.setdefault(true, []).append(true == given)
    return {
        "accuracy": mean([Fraction(true == given) for true, given in rows]),
        "balanced_accuracy": mean([Fraction(sum(hits), len(hits)) for hits in by_label.values()]),
    }


def threshold_average_precision(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
    """The sum over thresholds, from the highest score down, of precision times the recall gained there."""
    total, last_recall = Fraction(0), Fraction(0)
    if not any(truth):
        return None
    for threshold in sorted(set(scores), reverse=True):
        accepted = [has for score, has in zip(scores, truth, strict=True) if score >= threshold]
        recall = Fraction(sum(accepted), sum(truth))
        total += (recall - last_recall) * Fraction(sum(accepted), len(accepted))
        last_recall = recall
    return float(total)
