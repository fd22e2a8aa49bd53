"""Finding images gives what a dictionary would give, with and without hash collisions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.read import alignment
from piq_bench.read.alignment import NOT_FOUND, find_images
from piq_bench.read.column import object_array

TEXTS = st.text(st.sampled_from("ab/é\U0001f600"), min_size=1, max_size=4)


@settings(max_examples=60)
@given(
    wanted=st.lists(TEXTS, unique=True, max_size=12),
    images=st.lists(TEXTS, max_size=12),
    all_collide=st.booleans(),
    block_rows=st.integers(1, 5),
    dtype=st.sampled_from(["<U", ">U"]),
)
def test_images_are_found_as_by_a_dictionary(
    wanted: list[str], images: list[str], all_collide: bool, block_rows: int, dtype: str
) -> None:
    expected = [wanted.index(image) if image in wanted else NOT_FOUND for image in images]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "BLOCK_ROWS", block_rows)
        if all_collide:
            patch.setattr(alignment, "_hashes", lambda block: np.ones(block.size, dtype=np.uint64))
        rows = np.array(images, dtype=np.str_).astype(f"{dtype}5")
        assert find_images(rows, object_array(wanted)).tolist() == expected
        same = np.array(wanted, dtype=np.str_)
        assert find_images(same, object_array(wanted)).tolist() == list(range(len(wanted)))
        assert find_images(same[::-1], object_array(wanted)).tolist() == list(range(len(wanted)))[::-1]
