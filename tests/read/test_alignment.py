"""Finding images: what a dictionary would find, collisions of hashes or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.read import alignment
from piq_bench.read.alignment import NOWHERE, places
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
def test_places_are_those_of_a_dictionary(
    wanted: list[str], images: list[str], all_collide: bool, block_rows: int, dtype: str
) -> None:
    expected = [wanted.index(image) if image in wanted else NOWHERE for image in images]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "BLOCK_ROWS", block_rows)
        if all_collide:
            patch.setattr(alignment, "_hashes", lambda block: np.ones(block.size, dtype=np.uint64))
        rows = np.array(images, dtype=np.str_).astype(f"{dtype}5")
        assert places(rows, object_array(wanted)).tolist() == expected
        same = np.array(wanted, dtype=np.str_)
        assert places(same, object_array(wanted)).tolist() == list(range(len(wanted)))
        assert places(same[::-1], object_array(wanted)).tolist() == list(range(len(wanted)))[::-1]
