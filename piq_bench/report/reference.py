"""Reads the reference score that a report shows beside a submission: the bundled baseline, or any score file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from piq_bench.documents import parse_json
from piq_bench.errors import BadUsage, Problem, printable, quoted
from piq_bench.metrics.retrieval import CMC_RANKS
from piq_bench.report.json import CMC, FURTHER, SCHEMA
from piq_bench.scoring.people import RANKS
from piq_bench.scoring.records import Score

BUNDLED = "reference.json"  # written by: piq-score ENTRY --disclosure public --bootstrap 0 --json FILE
MAX_BYTES = 16 << 20
KINDS = {"macro": "macro_", "plain": ""}  # of CMC, and how the names of its ranks among the scores begin


@dataclass(frozen=True)
class Reference:
    """The scores of another entry on the same benchmark, as fractions.

    Attributes:
        name: name of the entry.
        piq: PIQ; None if the entry is partial.
        aspects, reid, f1: scores by name, as in the score file; undefined ones are missing.
        cmc: "macro" and "plain" CMC by rank; of an earlier score file, at the ranks among the scores alone.
    """

    name: str
    piq: float | None
    aspects: Mapping[str, float]
    reid: Mapping[str, float]
    f1: Mapping[str, float]
    cmc: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def value(self, part: str, key: str) -> float | None:
        """The score in a part of the score file: "piq", or one by name in "aspects", "reid" or "f1"."""
        if part == "piq":
            return self.piq
        return {"aspects": self.aspects, "reid": self.reid, "f1": self.f1}[part].get(key)


def reference_of(score: Score, path: Path | None) -> Reference | None:
    """Read the reference for a score.

    Args:
        score: score to show the reference beside; both must have the same benchmark and protocol.
        path: score file of the reference; None for the bundled one.

    Returns:
        The reference; None if the bundled one is of another benchmark or protocol, or is the scored entry itself.

    Raises:
        BadUsage: if the file is not a score file, or has another benchmark or protocol.
    """
    if path is None:
        text = (resources.files("piq_bench") / "data" / BUNDLED).read_text(encoding="utf-8")
        document = json.loads(text)
        is_itself = document["submission"]["content"] == score.submission["content"]
        return None if is_itself or _misfits(score, document) else _reference(document)
    document = _read(path)
    misfits = _misfits(score, document)
    if misfits:
        raise BadUsage(path.name, misfits)
    return _reference(document)


def _read(path: Path) -> Mapping[str, Any]:
    remedy = "name a file written by piq-score --json"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB")
        document = parse_json(path.read_bytes())  # in UTF-8, or in UTF-16 as PowerShell writes it
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"is not a {SCHEMA} file")
        for part in ("submission", "benchmark", "protocol", "aspects", "f1"):
            if not isinstance(document.get(part), dict):
                raise ValueError(f"has no {part}")
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        raise BadUsage(path.name, [Problem("no-score-file", "--reference", found, remedy)]) from error
    return document


def _misfits(score: Score, document: Mapping[str, Any]) -> list[Problem]:
    """Differences of benchmark or protocol; scores are only shown beside each other if there are none."""
    pairs = (
        ("fingerprint", document["benchmark"].get("fingerprint"), score.benchmark["fingerprint"]),
        ("version", document["protocol"].get("version"), score.protocol.version),
        ("ap", document["protocol"].get("ap"), score.protocol.ap),
        ("exclude", document["protocol"].get("exclude"), list(score.protocol.exclude)),
    )
    return [
        Problem(f"other-{name}", "--reference", f"{name} is {quoted(theirs)}", f"the score to show has {quoted(ours)}")
        for name, theirs, ours in pairs
        if theirs != ours
    ]


def _reference(document: Mapping[str, Any]) -> Reference:
    reid = _numbers(document.get("reid"))
    return Reference(
        name=str(document["submission"].get("name", "")),
        piq=_numbers({"piq": document.get("piq")}).get("piq"),
        aspects=_numbers(document["aspects"]),
        reid=reid,
        f1=_numbers(document["f1"]),
        cmc={kind: _curve(document, kind) or _few_ranks(reid, prefix) for kind, prefix in KINDS.items()},
    )


def _curve(document: Mapping[str, Any], kind: str) -> dict[int, float]:
    """The CMC curve of a score file by rank; empty if it has none."""
    found = document
    for part in (FURTHER, "reid", CMC):
        found = found.get(part) or {}
        if not isinstance(found, dict):
            return {}
    values = found.get(kind)
    if not isinstance(values, list) or len(values) != len(RANKS):
        return {}
    numbers = _numbers(dict(zip(map(str, RANKS), values, strict=True)))
    return {int(rank): value for rank, value in numbers.items()}


def _few_ranks(reid: Mapping[str, float], prefix: str) -> dict[int, float]:
    names = {rank: f"{prefix}rank{rank}" for rank in CMC_RANKS}
    return {rank: reid[name] for rank, name in names.items() if name in reid}


def _numbers(values: object) -> dict[str, float]:
    """The values that are numbers in [0, 1]; a score file may come from a stranger."""
    if not isinstance(values, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    }
