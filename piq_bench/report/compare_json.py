"""Writes a Comparison as JSON, with stable keys and full precision."""

import json
from dataclasses import asdict

from piq_bench import __version__
from piq_bench.scoring.compare import Comparison

SCHEMA = "piq-bench/comparison/1"


def compare_json(comparison: Comparison) -> str:
    """The text of the file."""
    document = {
        "schema": SCHEMA,
        "systems": [dict(system) for system in comparison.systems],
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "differences": [asdict(one) | {"significant": one.significant} for one in pair.differences],
                "identities": None
                if pair.identities is None
                else dict(zip(("higher", "same", "lower"), pair.identities, strict=True)),
            }
            for pair in comparison.pairs
        ],
        "benchmark": dict(comparison.benchmark),
        "protocol": asdict(comparison.protocol),
        "level": comparison.level,
        "resamples": comparison.resamples,
        "swaps": comparison.swaps,
        "seed": comparison.seed,
        "software": {"piq_bench": __version__},
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
