"""k-reciprocal re-ranking as the public code states it: dense tables, one image at a time."""

import numpy as np


def plain_distances(features: np.ndarray, distance: str) -> np.ndarray:
    values = features.astype(np.float64)
    if distance == "cosine":
        values = values / np.sqrt((values**2).sum(axis=1, keepdims=True))
    return np.array([[((one - other) ** 2).sum() for other in values] for one in values])


def plain_rerank(distances: np.ndarray, n_query: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """Zhong et al.: dense tables, one image at a time; an image is its own nearest neighbour, ties by index."""
    n = len(distances)
    largest = distances.max(axis=1, keepdims=True)
    distances = distances / np.where(largest > 0, largest, 1)
    rank = [sorted(range(n), key=lambda j: (j != i, distances[i, j], j)) for i in range(n)]

    def reciprocal(i: int, k: int) -> list[int]:
        return [j for j in rank[i][: k + 1] if i in rank[j][: k + 1]]

    table = np.zeros((n, n))
    for i in range(n):
        own = reciprocal(i, k1)
        expanded = set(own)
        for j in own:
            candidates = reciprocal(j, int(np.around(k1 / 2)))
            if len(set(candidates) & set(own)) > 2 / 3 * len(candidates):
                expanded |= set(candidates)
        for j in expanded:
            table[i, j] = np.exp(-distances[i, j])
        table[i] /= table[i].sum()
    table = np.array([table[rank[i][:k2]].mean(axis=0) for i in range(n)])
    final = np.zeros((n_query, n - n_query))
    for i in range(n_query):
        for j in range(n_query, n):
            shared = np.minimum(table[i], table[j]).sum()
            final[i, j - n_query] = (1 - weight) * (1 - shared / (2 - shared)) + weight * distances[i, j]
    return final
