"""Reads a JSON export of Label Studio: choices and texts, by the name of their control, which must be that of a task.

Identities come from a control called "identity" or as the retrieval task is. Cancelled annotations are left out;
several annotators of one image stay several. Predictions are no annotations. An annotation that does not answer a
control says nothing about it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from piq_bench.build.annotate.given import Given, Labels, Names
from piq_bench.documents import parse_json
from piq_bench.errors import BadDataset, Problem, printable
from piq_bench.records import RETRIEVAL, Benchmark

MAX_BYTES = 256 << 20
MAX_NAME = 4096  # characters of an address
UPLOAD_PREFIX = 8  # hexadecimal digits and a "-", which uploads get in front of their names
FIELDS = ("choices", "text", "labels", "taxonomy")


def read(path: Path, benchmark: Benchmark) -> Given:
    """Read a JSON export.

    Raises:
        BadDataset: if it is none.
    """
    remedy = "export as JSON (not JSON-MIN) from Label Studio"
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ValueError(f"has more than {MAX_BYTES} bytes")
        content = parse_json(raw)
    except OSError as error:
        raise _refusal(path, printable(error.strerror or error), "check the path and its permissions") from None
    except ValueError as error:
        raise _refusal(path, printable(error), remedy) from None
    if not isinstance(content, list) or not all(isinstance(task, dict) and _is_task(task) for task in content):
        raise _refusal(path, "is no list of tasks with data and annotations", remedy)
    controls = {task.name: task.name for task in benchmark.tasks}
    if benchmark.retrieval_task is not None:
        controls["identity"] = benchmark.retrieval_task.name
    names, labels, unknown = Names(benchmark.images), Labels(), 0
    retrieval = {task.name for task in benchmark.tasks if task.kind == RETRIEVAL}
    for task in content:
        image = next((found for name in _addresses(task["data"]) if (found := _find(names, name))), None)
        for annotator, control, values in _results(task):
            name = controls.get(control)
            if name is None:
                continue
            if image is None:
                unknown += 1
                continue
            more = () if name in retrieval else labels.get((annotator, name, image), ())
            labels[annotator, name, image] = tuple(dict.fromkeys((*more, *values)))
    return Given(labels, unknown)


def _refusal(path: Path, found: str, remedy: str) -> BadDataset:
    return BadDataset(str(path), [Problem("label-studio", path.name, found, remedy)])


def _is_task(task: dict[str, Any]) -> bool:
    return isinstance(task.get("data"), dict) and isinstance(task.get("annotations", task.get("completions")), list)


def _addresses(data: dict[str, Any]) -> Iterator[str]:
    """Names that an image may have in the data of a task."""
    for value in data.values():
        if not isinstance(value, str) or len(value) > MAX_NAME:
            continue
        yield value
        try:
            address = urlsplit(value)
        except ValueError:
            continue
        yield from parse_qs(address.query).get("d", [])  # /data/local-files/?d=m01/00012.jpg
        yield unquote(address.path)


def _find(names: Names, name: str) -> str | None:
    found = names.find(name)
    folder, _, base = name.rpartition("/")
    prefix, dash, rest = base.partition("-")
    is_upload = dash and len(prefix) == UPLOAD_PREFIX and set(prefix.lower()) <= set("0123456789abcdef")
    return names.find(f"{folder}/{rest}") if found is None and is_upload else found


def _results(task: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Annotator, control and values of each answer that was not cancelled."""
    for annotation in task.get("annotations", task.get("completions", [])):
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        who = annotation.get("completed_by")
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        annotator = "Label Studio" if who is None else f"Label Studio {printable(who, 40)}"
        result = annotation.get("result")
        for one in result if isinstance(result, list) else []:
            value = one.get("value") if isinstance(one, dict) else None
            if not isinstance(value, dict) or not isinstance(one.get("from_name"), str):
                continue
            for field in FIELDS:
                given = value.get(field)
                given = [given] if isinstance(given, str) else given
                if isinstance(given, list):
                    # An entry of a taxonomy is the list of names that lead to it.
                    last = [entry[-1] if isinstance(entry, list) and entry else entry for entry in given]
                    yield annotator, one["from_name"], [str(text).strip() for text in last]
