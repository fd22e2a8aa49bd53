"""Writes the statistics of a data set as JSON: stable keys, full precision, null where a value is undefined."""

import json
from collections.abc import Mapping
from fractions import Fraction

from piq_bench.describe.stats import GroupStats, SplitStats, Stats, TaskStats
from piq_bench.report.stats_rows import share_text

SCHEMA = "piq-bench/stats/1"


def stats_json(stats: Stats) -> str:
    """The text of the statistics file."""
    return json.dumps(stats_document(stats), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def stats_document(stats: Stats) -> dict[str, object]:
    """The statistics file as plain values, with keys in the order of the file."""
    return {
        "schema": SCHEMA,
        "benchmark": {"name": stats.name, "version": stats.version, "fingerprint": stats.fingerprint},
        "splits": {name: _split(split) for name, split in stats.splits.items()},
        "tasks": {
            task: {name: _task(split) for name, split in by_split.items()} for task, by_split in stats.labels.items()
        },
        "groups": None if stats.groups is None else _groups(stats.groups),
        "findings": [{"code": found.code, "severity": found.severity, "text": found.text} for found in stats.findings],
    }


def _split(split: SplitStats) -> dict[str, object]:
    return {
        "images": split.images,
        "identities": split.identities,
        "unlabelled": split.unlabelled,
        "junk": split.junk,
        "distractor": split.distractor,
        "lts": _lts(split.lts),
        "gini": _float(split.gini),
        "largest": split.largest,
        "smallest": split.smallest,
    }


def _task(split: TaskStats) -> dict[str, object]:
    return {"labels": dict(split.labels), "not_annotated": split.not_annotated, "lts": _lts(split.lts)}


def _groups(groups: GroupStats) -> dict[str, object]:
    grouping = groups.grouping
    return {
        "hash": grouping.hash,
        "threshold": grouping.threshold,
        "mode": grouping.mode,
        "images": groups.images,
        "groups": groups.groups,
        "grouped_images": groups.grouped_images,
        "largest": groups.largest,
        "crossing": groups.crossing,
        "several_identities": groups.several_identities,
        "several_sources": groups.several_sources,
    }


def _lts(by_k: Mapping[Fraction, Fraction | None]) -> dict[str, float | None]:
    return {share_text(k): _float(value) for k, value in by_k.items()}


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
