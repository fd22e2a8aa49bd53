"""Notices that a file changed between two readings: a hash of every row is kept from its first reading on.

A file that somebody else may write to is checked in one reading and used in another. A row that has other bytes the
second time is found by its hash: a sum of its words, each times a factor that is drawn anew in every process, modulo
2**64. Whoever does not know the factors changes a row unnoticed in at most one of 2**31 cases. It costs a twentieth of
a second per 200 MB.
"""

import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import IntArray

SEED = secrets.randbits(128)
WORDS = {0: np.uint32, 2: np.uint16, 1: np.uint8, 3: np.uint8}  # by the size of a row in bytes, modulo 4


class Seal:
    """Hashes of the rows of one array, as they were when each was first read."""

    def __init__(self, n_rows: int, n_row_bytes: int, seed: int = SEED) -> None:
        self.word = np.dtype(WORDS[n_row_bytes % 4])
        factors = np.random.PCG64(seed).random_raw(n_row_bytes // self.word.itemsize)
        self.factors = np.asarray(factors, dtype=np.uint64) | np.uint64(1)
        self.hashed = np.zeros(n_rows, dtype=np.uint64)
        self.is_known = np.zeros(n_rows, dtype=bool)

    def holds(self, rows: IntArray | slice, content: NDArray[Any]) -> bool:
        """Whether all rows have the bytes of their first reading, which this may be.

        Args:
            rows: shape (n_rows,), indices of the rows that were read; or a slice without a step.
            content: shape (n_rows, ...); what was read, in C order.
        """
        words = content.reshape(-1).view(self.word).reshape(content.shape[0], self.factors.size)
        found = np.einsum("ij,j->i", words, self.factors)
        is_new = ~self.is_known[rows]
        if is_new.any():
            new = np.arange(rows.start, rows.stop)[is_new] if isinstance(rows, slice) else rows[is_new]
            self.hashed[new] = found[is_new]
            self.is_known[new] = True
        return bool((self.hashed[rows] == found).all())
