"""What killed commands leave: no living process, no part of an output, nothing that stays for ever.

A short form of `python tests/kill/harness.py`, which kills every command as often as one likes.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kill.harness import Case, alive_after, members, start
from PIL import Image

from piq_bench.write.files import new_folder

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")

DATASET = """\
schema = "piq-bench/benchmark/1"
name = "tiny"
version = "1"
licence = "none"
"""


def pictures(folder: Path, n: int = 400) -> None:
    """A data set of noise that takes two workers some ten seconds to hash: one large picture under many names."""
    (folder / "data" / "images").mkdir(parents=True)
    rows = [f"{i}.png,{'gallery' if i else 'query'},p" for i in range(n)]
    (folder / "data" / "benchmark.toml").write_text(
        DATASET + '[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n', encoding="utf-8"
    )
    (folder / "data" / "annotations.csv").write_text(
        "\n".join(["image,split,identity", *rows]) + "\n", encoding="utf-8"
    )
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    first = folder / "data" / "images" / "0.png"
    Image.fromarray(noise).save(first, compress_level=1)
    for i in range(1, n):
        os.link(first, first.with_name(f"{i}.png"))


@pytest.mark.parametrize(
    "words",
    [["groups", "data", "--workers", "2"], ["demo", "out", "--images", "3000", "--workers", "2"]],
    ids=lambda words: words[0],
)
def test_workers_end_with_a_killed_parent(words: list[str], tmp_path: Path) -> None:
    pictures(tmp_path)
    process = start(Case(words, lambda folder: None, []), tmp_path)
    deadline = time.monotonic() + 60
    while len(members(process.pid)) < 4 and time.monotonic() < deadline:  # its own, the tracker of resources, two
        time.sleep(0.01)
    time.sleep(0.3)
    assert process.poll() is None
    process.kill()
    assert not alive_after(process.pid)
    process.communicate()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "data" / "groups.csv").exists()
    if words[0] == "demo":  # a killed run leaves its hidden folder to the next one
        assert len(list(tmp_path.glob(".piq-*"))) == 1
        with new_folder(tmp_path / "out"):
            assert len(list(tmp_path.glob(".piq-*"))) == 1
        assert not list(tmp_path.glob(".piq-*"))
