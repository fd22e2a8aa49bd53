"""Writes a Score as the score file: JSON with stable keys, full precision and a digest.

All parts above `software` are the same on every machine. `protocol.digest` is the SHA-256 of these parts in canonical
form (keys sorted, no blanks, UTF-8, floats as `repr` writes them), so that two parties can compare scores by one line.

`further_metrics`, below `software`, holds what others report, and the CMC curve from rank 1. It is the same on every
machine too, but the digest does not cover it: it was added later, and digests that were already published stay valid.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from piq_bench import __version__
from piq_bench.scoring.people import cmc_of, is_scored
from piq_bench.scoring.records import AttributeScore, Intervals, ReidScore, Score

SCHEMA = "piq-bench/score/1"
FURTHER = "further_metrics"
CMC = "cmc"


def score_json(score: Score) -> str:
    """The text of the score file."""
    return json.dumps(score_document(score), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def score_document(score: Score) -> dict[str, object]:
    """The score file as plain values, with keys in the order of the file."""
    document = _digested(score)
    document["software"] = {
        "piq_bench": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    document["engine"] = score.engine
    document["file"] = dict(score.file)
    document[FURTHER] = {
        "reid": None if score.reid is None else _further_reid(score.reid),
        "tasks": {task: _attributes(attributes) for task, attributes in score.attributes.items()},
    }
    return document


def digest_of(score: Score) -> str:
    """The digest of a score."""
    protocol = _digested(score)["protocol"]
    assert isinstance(protocol, dict)  # noqa: S101  (for the type checker)
    return str(protocol["digest"])


def _digested(score: Score) -> dict[str, object]:
    """The parts of the score file that its digest covers, and the digest."""
    document: dict[str, object] = {
        "schema": SCHEMA,
        "piq": score.piq,
        "aspects": dict(score.aspects),
        "reid": None if score.reid is None else _reid(score.reid, score.protocol.ap),
        "f1": dict(score.f1),
        "labels": {
            task: {name: asdict(label) for name, label in labels.items()} for task, labels in score.labels.items()
        },
        "confusion": {task: [list(row) for row in table] for task, table in score.confusion.items()},
        "baselines": {
            "chance": {"reid": None if score.reid is None else dict(score.reid.chance), "f1": dict(score.chance_f1)},
            "majority": {"f1": dict(score.majority_f1)},
        },
        "intervals": None if score.intervals is None else _intervals(score.intervals),
        "notes": list(score.notes),
        "submission": dict(score.submission),
        "benchmark": dict(score.benchmark),
    }
    protocol: dict[str, object] = asdict(score.protocol)
    protocol["exclude"] = list(score.protocol.exclude)
    document["protocol"] = protocol | {"digest": digest(document | {"protocol": protocol})}
    return document


def digest(parts: Mapping[str, object]) -> str:
    """SHA-256 of the canonical JSON of some parts of the score file."""
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _reid(reid: ReidScore, ap: str) -> dict[str, object]:
    return {
        **reid.values,
        "queries": reid.queries,
        "queries_skipped": reid.queries_skipped,
        "queries_unlabelled": reid.queries_unlabelled,
        "identities": reid.identities,
        "identities_skipped": list(reid.identities_skipped),
        "ap": ap,
        "without_exclusion": None if reid.without_exclusion is None else dict(reid.without_exclusion),
    }


def _further_reid(reid: ReidScore) -> dict[str, object]:
    included = reid.further_without_exclusion
    own = reid.by_query
    curve = None if own is None or not is_scored(own).any() else asdict(cmc_of(own.identity, own.first_run))
    return {**reid.further, "without_exclusion": None if included is None else dict(included), CMC: curve}


def _attributes(attributes: AttributeScore) -> dict[str, object]:
    return {
        **attributes.values,
        "left_out": dict(attributes.left_out),
        "average_precision": dict(attributes.average_precision),
    }


def _intervals(intervals: Intervals) -> dict[str, object]:
    method = {} if intervals.method is None else {"method": intervals.method}
    return {
        **method,
        "level": intervals.level,
        "resamples": intervals.resamples,
        "seed": intervals.seed,
        "piq": intervals.piq,
        "aspects": dict(intervals.aspects),
        "reid": dict(intervals.reid),
        "f1": dict(intervals.f1),
    }
