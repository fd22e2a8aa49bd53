"""Signed sums of agreeing columns against the rules they stand for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.group.positives import signed_codes
from piq_bench.records import IntArray, Rule

N_IMAGES = 12
COLUMNS = ("camera", "clothes", "place")
Drawn = tuple[set[str], set[str]]
names = st.sets(st.sampled_from(COLUMNS))


@given(st.integers(0, 10**6), st.lists(st.tuples(names.filter(bool), names), max_size=3))
def test_a_pair_of_images_counts_once_if_any_rule_excludes_it(
    seed: int, drawn: list[tuple[set[str], set[str]]]
) -> None:
    rng = np.random.default_rng(seed)
    rules = [Rule(tuple(sorted(agree)), tuple(sorted(differ - agree))) for agree, differ in drawn]
    codes: dict[str, IntArray] = {name: rng.integers(-1, 3, N_IMAGES) for name in COLUMNS}
    terms = signed_codes(rules, codes.__getitem__)
    for one in range(N_IMAGES):
        for other in range(N_IMAGES):
            excluded = any(
                all(codes[name][one] == codes[name][other] >= 0 for name in rule.agree)
                and all(-1 != codes[name][one] != codes[name][other] != -1 for name in rule.differ)
                for rule in rules
            )
            assert sum(sign for sign, code in terms if code[one] == code[other] >= 0) == excluded
