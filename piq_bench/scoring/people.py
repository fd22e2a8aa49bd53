"""Summarises the scores of queries by person: which are scored, hits at each rank, means, numbers of gallery images."""

from dataclasses import dataclass

import numpy as np

from piq_bench.metrics.retrieval import Rankings, cumulative_match
from piq_bench.metrics.sums import ordered_sum, segment_sums
from piq_bench.records import GALLERY, Benchmark, BoolArray, FloatArray, IntArray
from piq_bench.scoring.records import QueryScores

RANKS = tuple(range(1, 51))  # of the CMC curve


@dataclass(frozen=True)
class Cmc:
    """Share of queries with a positive up to each rank, from rank 1: mean over people, and mean over queries."""

    macro: tuple[float, ...]
    plain: tuple[float, ...]


def is_scored(by_query: QueryScores) -> BoolArray:
    """Shape (n_queries,); whether a query has a positive left."""
    return np.asarray(~np.isnan(by_query.average_precision))


def hits_at(first_run: IntArray, rank: int) -> FloatArray:
    """Shape (n_queries,); CMC at a rank, NaN where a query is not scored. It depends on the first run alone."""
    is_scored = first_run[:, 1] > 0
    start = np.concatenate([[0], np.cumsum(is_scored)])
    n_positives, n_images, n_above = first_run[is_scored].T
    return cumulative_match(Rankings(start, n_positives, n_images, n_above), rank)


def cmc_of(identity: IntArray, first_run: IntArray) -> Cmc:
    """CMC at every rank of RANKS, at those of a score equal to it to the last bit; at least one query must be scored.

    Args:
        identity: shape (n_queries,); identity of each query.
        first_run: shape (n_queries, 3); as in QueryScores.
    """
    scored = first_run[:, 1] > 0
    people, place, n_queries = np.unique(identity[scored], return_inverse=True, return_counts=True)
    macro, plain = [], []
    for rank in RANKS:
        total = segment_sums(hits_at(first_run, rank)[scored], place, people.size)
        macro.append(float(ordered_sum(total / n_queries)) / people.size)
        plain.append(float(ordered_sum(total)) / int(scored.sum()))
    return Cmc(tuple(macro), tuple(plain))


def by_person(by_query: QueryScores, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """People with a scored query, ascending, and the mean of each person's scored queries."""
    scored = is_scored(by_query)
    people, place = np.unique(by_query.identity[scored], return_inverse=True)
    return people, np.bincount(place, weights=values[scored]) / np.maximum(np.bincount(place), 1)


def gallery_images(benchmark: Benchmark) -> IntArray:
    """Shape (n_identities,); number of gallery images of each person."""
    identity = benchmark.identity[(benchmark.split == GALLERY) & ~benchmark.junk]
    return np.bincount(identity[identity >= 0], minlength=len(benchmark.identities)).astype(np.int64)
