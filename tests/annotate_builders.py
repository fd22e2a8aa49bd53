"""A tiny data set to annotate, and a caller of its pages that needs no network."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from piq_bench.build.annotate.guard import Guard

TOML = """schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
[retrieval]
junk = ["-1"]
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
[tasks.mood]
aspect = "emotion"
labels = ["happy", "sad", "angry"]
multi_label = true
"""
HOST = "127.0.0.1:8023"
# Two films; tracks of two images each. Colours tell who looks like whom: red, green, blue.
ROWS = [
    ("f1/0.png", "train", "anna", "female", "happy|sad", "f1", "t1", (200, 30, 30)),
    ("f1/1.png", "train", "anna", "female", "-", "f1", "t1", (205, 32, 28)),
    ("f1/2.png", "train", "bob", "male", "", "f1", "t2", (30, 200, 30)),
    ("f1/3.png", "train", "", "", "", "f1", "t2", (32, 205, 33)),
    ("f1/4.png", "train", "", "", "", "f1", "t3", (199, 33, 31)),
    ("f1/5.png", "train", "", "", "", "f1", "t3", (201, 34, 31)),
    ("f2/0.png", "train", "", "", "", "f2", "t1", (30, 30, 200)),
    ("f2/1.png", "train", "-1", "", "", "f2", "t4", (120, 120, 120)),
]
HEADER = "image,split,identity,gender,mood,source,track,note"


def annotations(rows: list[tuple[Any, ...]] = ROWS) -> str:
    lines = [",".join([*row[:7], f"n{place}"]) for place, row in enumerate(rows)]
    return "\n".join([HEADER, *lines]) + "\n"


def make_dataset(folder: Path) -> Path:
    """Write the data set; each image has a size of its own, so that no two files are equal."""
    folder.mkdir(exist_ok=True)
    (folder / "benchmark.toml").write_text(TOML)
    (folder / "annotations.csv").write_text(annotations())
    for place, row in enumerate(ROWS):
        path = folder / "images" / row[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 32 + place), row[-1]).save(path)
    return folder


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    guard: Guard,
    path: str,
    content: object = None,
    *,
    headers: dict[str, str] | None = None,
    method: str | None = None,
    raw: bytes | None = None,
) -> Answer:
    """Send one request to the application; a post if it has content."""
    given = {"host": HOST}
    body = b""
    if content is not None or raw is not None:
        body = json.dumps(content).encode() if raw is None else raw
        given |= {"content-type": "application/json", "origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    given |= headers or {}
    address, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method or ("POST" if body else "GET"),
        "scheme": "http",
        "path": address,
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8023),
    }
    sent: list[Any] = []
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]

    async def receive() -> Any:  # noqa: ANN401
        piece = pieces.pop(0) if pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:  # noqa: ANN401
        sent.append(message)

    # In a thread of its own: where an earlier test has opened a browser, this one has a running loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(guard(scope, receive, send))).result()
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))
