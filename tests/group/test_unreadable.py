"""What the columns of hashes hold for an image that cannot be read."""

import numpy as np

from piq_bench.group.cache import Hashed
from piq_bench.group.hashing import Failure, as_columns


def test_an_unreadable_image_has_zeros_and_no_quality() -> None:
    failure = Failure("b.png", "empty-file", "is empty")
    columns = as_columns([Hashed("a.png", 1, 2, 3, 4.5, 6), failure], 0)
    assert columns.phash.tolist() == [3, 0] and columns.bytes_hash.tolist() == [6, 0]
    assert columns.quality[0] == 4.5 and np.isnan(columns.quality[1])
    assert columns.readable.tolist() == [True, False] and columns.failures == (failure,)
