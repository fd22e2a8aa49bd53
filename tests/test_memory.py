"""Memory at a hundredth of full scale: five million gallery images may take 3 GiB, so each may take some 600 bytes."""

import sys
from pathlib import Path

import pytest
from benchmarks.five_million import Sizes, score, write

from piq_bench.retrieve.similarity import COMPILE_FROM

FULL_BYTES = 3 << 30
FULL_IMAGES = Sizes().n_images
# Compiled code measures the norms of both: numpy, which measures those of fewer images, takes more memory for it.
SMALL, LARGE = Sizes(90_000, 20, 384), Sizes(150_000, 20, 384)


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="peak memory is measured by wait4")
@pytest.mark.parametrize("everyday", [True, False], ids=["parquet, in order", "csv, in no order"])
def test_scoring_takes_no_more_memory_per_image_than_five_million_may(everyday: bool, tmp_path: Path) -> None:
    assert SMALL.n_images * SMALL.dimension >= COMPILE_FROM
    peaks = []
    for sizes in (SMALL, LARGE):
        folder = tmp_path / str(sizes.n_gallery)
        folder.mkdir()
        write(folder, sizes, csv=not everyday, shuffled=not everyday)
        peaks.append(score(folder).peak_bytes)
    n_more = LARGE.n_images - SMALL.n_images
    assert n_more * LARGE.dimension * 2 > n_more * FULL_BYTES / FULL_IMAGES  # embeddings in memory would take more
    assert peaks[1] - peaks[0] < n_more * FULL_BYTES / FULL_IMAGES
