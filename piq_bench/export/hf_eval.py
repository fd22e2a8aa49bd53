"""Converts a score file to the YAML of a model's repository on the Hugging Face hub: `.eval_results/NAME.yaml`.

Each number of the score file becomes one entry, in per cent, under the same key as on leaderboards. The numbers are
copied from the file, not computed again; others can check them by the digest in the notes.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from piq_bench.documents import parse_json
from piq_bench.errors import BadUsage, Problem, printable, quoted
from piq_bench.export.bundle import write_file
from piq_bench.export.columns import MAP, PER_CENT, RANK1, key_of
from piq_bench.export.pages import yaml_text
from piq_bench.report.json import SCHEMA

MAX_BYTES = 16 << 20
# As the hub's own client checks names of repositories; a name without an owner is of no data set that users can make.
DATASET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")


@dataclass(frozen=True)
class Source:
    """Facts about an evaluation that the score file does not contain.

    Attributes:
        dataset: name of the benchmark's data set on the hub: "owner/name".
        evaluated: date of the evaluation.
        url, name: address and title of a web page about the evaluation; None for none.
    """

    dataset: str
    evaluated: date
    url: str | None = None
    name: str | None = None


def write_hf_eval(path: Path, score_file: Path, source: Source, *, force: bool = False) -> int:
    """Write the YAML.

    Args:
        path: YAML file to write.
        score_file: score file written by `piq-score --json`.
        source: facts that the score file does not contain.
        force: replace an existing file.

    Returns:
        The number of entries.

    Raises:
        BadUsage: if `source` is not as the hub wants it, `score_file` is not a score file or holds no numbers, or the
            YAML file exists.
    """
    problems = _source_problems(source)
    if problems:
        raise BadUsage("hf-eval", problems)
    entries = hf_eval(_read(score_file), source)
    if not entries:
        problem = Problem("no-numbers", score_file.name, "holds no number", "the score file of a complete submission")
        raise BadUsage(score_file.name, [problem])
    write_file(path, yaml_text(entries).encode(), force=force)
    return len(entries)


def hf_eval(document: Mapping[str, Any], source: Source) -> list[dict[str, Any]]:
    """The entries of the YAML file."""
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


def _source_problems(source: Source) -> list[Problem]:
    """Problems of what the user says about an evaluation, by the rules of the hub's own client."""
    problems = []
    name = source.dataset
    ends_badly = name.endswith((".", "-", ".git")) or name.partition("/")[0].endswith((".", "-"))
    if len(name) > 193 or not DATASET.fullmatch(name) or ends_badly or "--" in name or ".." in name:
        remedy = "owner/name of a data set on the hub, such as lab/portrait: the end of its web address"
        problems.append(Problem("bad-dataset", "--dataset-id", f"is {quoted(name)}", remedy))
    if source.url is None and source.name is not None:
        found = "is the title of a page whose address is not given"
        problems.append(Problem("no-source", "--source-name", found, "add --source-url"))
    if source.url is not None and not _is_web_address(source.url):
        remedy = "a web address, such as https://example.org/results"
        problems.append(Problem("bad-address", "--source-url", f"is {quoted(source.url)}", remedy))
    return problems


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text


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
        document = parse_json(path.read_bytes())  # in UTF-8, or in UTF-16 as PowerShell writes it
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"is not a {SCHEMA} file")
        if not all(isinstance(document.get(part), dict) for part in ("benchmark", "protocol", "f1")):
            raise ValueError("lacks its benchmark, protocol or f1")
        if not isinstance(document.get("reid"), dict | None):
            raise ValueError("has a reid that is not an object")
    except (OSError, ValueError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        remedy = "name a file written by piq-score --json"
        raise BadUsage(path.name, [Problem("no-score-file", printable(path.name), found, remedy)]) from None
    return document
