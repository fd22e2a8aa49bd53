"""Writes a GroupReport as JSON: all numbers of the table, and the name of every unreadable or degenerate image."""

import json
from dataclasses import asdict

from piq_bench.group.build import GroupReport
from piq_bench.group.sweep import HIGHEST_SHOWN

SCHEMA = "piq-bench/groups-report/1"


def groups_json(report: GroupReport) -> str:
    """The text of the file, with keys in a fixed order."""
    parameters, grouping, sweep = report.groups.parameters, report.groups.grouping, report.sweep
    document = {
        "schema": SCHEMA,
        "benchmark": parameters["dataset"],
        "grouping": {
            "hash": grouping.hash,
            "threshold": grouping.threshold,
            "mode": grouping.mode,
            "within": parameters["within"],
            "min_quality": parameters["min_quality"],
        },
        "images": sweep.images,
        "queries": sweep.queries,
        "gallery": sweep.gallery,
        "queries_with_positives": sweep.queries_with_positives,
        "levels": [asdict(level) for level in sweep.levels if level.threshold <= HIGHEST_SHOWN],
        "warnings": [asdict(warning) for warning in report.warnings],
        "degenerate": report.images[report.degenerate].tolist(),
        "below_min_quality": parameters["below_min_quality"],
        "unreadable": [asdict(failure) for failure in report.hashed.failures],
        "parameters": {key: value for key, value in parameters.items() if key not in {"sweep", "warnings"}},
    }
    return json.dumps(document, indent=2) + "\n"
