"""A score file to the YAML that a model's repository on the Hugging Face hub shows: `.eval_results/NAME.yaml`.

One entry for each number that the score file holds, under the keys that leaderboards of hosts have too, in per cent.
They are what the file says, not computed anew: the digest in the notes is what others can check them by.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from piq_bench.errors import BadUsage, Problem, printable
from piq_bench.export.bundle import write_file
from piq_bench.export.columns import MAP, PER_CENT, RANK1, key_of
from piq_bench.export.pages import yaml_text
from piq_bench.report.json import SCHEMA

MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Source:
    """Where the numbers come from.

    Attributes:
        dataset: of the benchmark on the hub: "owner/name".
        evaluated: when.
        url, name: of a page that tells more; None for none.
    """

    dataset: str
    evaluated: date
    url: str | None = None
    name: str | None = None


def write_hf_eval(path: Path, score_file: Path, source: Source, *, force: bool = False) -> int:
    """Write the YAML.

    Args:
        path: of the file to write.
        score_file: as `piq-score --json` wrote it.
        source: what it does not say.
        force: replace a file.

    Returns:
        How many numbers there are.

    Raises:
        BadUsage: if it is no score file, or one without numbers, or the YAML is there.
    """
    entries = hf_eval(_read(score_file), source)
    if not entries:
        problem = Problem("no-numbers", score_file.name, "holds no number", "the score file of a whole submission")
        raise BadUsage(score_file.name, [problem])
    write_file(path, yaml_text(entries).encode(), force=force)
    return len(entries)


def hf_eval(document: Mapping[str, Any], source: Source) -> list[dict[str, Any]]:
    """The entries."""
    benchmark, protocol = document["benchmark"], document["protocol"]
    notes = (
        f"{printable(benchmark.get('name'))} {printable(benchmark.get('version'))}, per cent; "
        f"piq-bench digest {printable(protocol.get('digest'))}"
    )
    page = {key: value for key, value in (("url", source.url), ("name", source.name)) if value is not None}
    return [
        {
            "dataset": {"id": source.dataset, "task_id": key},
            "value": PER_CENT * value,
            "date": source.evaluated.isoformat(),
            **({"source": page} if page else {}),
            "notes": notes,
        }
        for key, value in _numbers(document)
    ]


def _numbers(document: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    reid = document.get("reid") or {}
    pairs = [("piq", document.get("piq"))]
    pairs += [(key_of("reid", name), reid.get(name)) for name in (RANK1, MAP)]
    pairs += [(key_of("f1", task), value) for task, value in document["f1"].items()]
    for key, value in pairs:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield key, float(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"is no {SCHEMA}")
        if not all(isinstance(document.get(part), dict) for part in ("benchmark", "protocol", "f1")):
            raise ValueError("lacks its benchmark, protocol or f1")
        if not isinstance(document.get("reid"), dict | None):
            raise ValueError("has a reid that is no object")
    except (OSError, ValueError, RecursionError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        remedy = "name a file that piq-score --json has written"
        raise BadUsage(path.name, [Problem("no-score-file", printable(path.name), found, remedy)]) from None
    return document
