"""The terminal table fits its width and leaves nothing out."""

from pathlib import Path

import pytest
from folders import write_folder, write_market

from piq_bench.describe.stats import describe
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.report.stats_rows import sections
from piq_bench.report.stats_table import stats_table

MARKET = {
    "bounding_box_train": [f"0002_c1s1_{n}.jpg" for n in range(1000)],
    "query": ["0001_c1s1_0.jpg"],
    "bounding_box_test": ["-1_c1s1_0.jpg", "0000_c1s1_0.jpg", "0001_c2s1_0.jpg"],
}


@pytest.mark.parametrize("width", [76, 80])
def test_every_cell_is_shown_within_the_width(tmp_path: Path, width: int) -> None:
    folder, market = write_folder(tmp_path / "folder"), write_market(tmp_path / "market", MARKET)
    for stats in (describe(inspect_dataset(path).benchmark) for path in (None, folder, market)):
        text = stats_table(stats, width=width)
        lines = text.splitlines()
        assert max(map(len, lines)) <= max(width, len("fingerprint ") + 64)
        assert "…" not in text
        for section in sections(stats):
            bars = section.bars or ("",) * len(section.rows)
            for row, bar in zip(section.rows, bars, strict=True):
                cells = " ".join([*row, bar]).split()
                assert any(line.split() == cells for line in lines), row


def test_findings_are_printed_with_severity_and_code(tmp_path: Path) -> None:
    text = stats_table(describe(read_benchmark(write_folder(tmp_path))))
    assert "  note: no-groups\n" in text
    assert "\x1b" not in text
    assert "\x1b[" in stats_table(describe(read_benchmark(tmp_path)), colour=True)
