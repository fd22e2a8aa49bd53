"""Files and requests that are too large, or end too early, are refused."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import builders
import numpy as np
import pytest

from piq_bench.build.annotate import label_studio
from piq_bench.build.annotate.guard import _body
from piq_bench.errors import BadInput


def test_a_body_is_read_piece_by_piece_until_the_browser_is_gone() -> None:
    def body(*messages: dict[str, Any]) -> dict[str, object]:
        given: Iterator[dict[str, Any]] = iter(messages)

        async def receive() -> dict[str, Any]:
            return next(given)

        with ThreadPoolExecutor(1) as pool:  # of its own, since a browser of other tests has a loop in this one
            return pool.submit(lambda: asyncio.run(_body(receive))).result()

    pieces = [{"type": "http.request", "body": part, "more_body": part != b"1}"} for part in (b'{"a"', b": ", b"1}")]
    assert body(*pieces) == {"a": 1}
    with pytest.raises(ValueError, match="the browser is gone"):
        body(pieces[0], {"type": "http.disconnect"})


@pytest.mark.parametrize(
    ("content", "found"), [("[" + 30 * " " + "]", "more than 20 bytes"), ("[1]", "no list of tasks")]
)
def test_a_file_of_label_studio_has_a_size_and_a_form(
    content: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_studio, "MAX_BYTES", 20)
    path = tmp_path / "export.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=found):
        label_studio.read(path, builders.benchmark(np.random.default_rng(0)))
