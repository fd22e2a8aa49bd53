"""How many values a column may have to count as labels, and what `piq init` says that it found."""

from pathlib import Path

import pytest

from piq_bench.describe.guess import FEW_LABELS, _why_no_task
from piq_bench.describe.init import write_init


@pytest.mark.parametrize(
    ("n_labels", "n_annotated", "is_task"),
    [
        (1, 50, False),
        (2, 3, True),
        (FEW_LABELS, FEW_LABELS, False),
        (FEW_LABELS, FEW_LABELS + 1, True),
        (FEW_LABELS + 1, 2 * FEW_LABELS + 1, False),
        (FEW_LABELS + 1, 2 * FEW_LABELS + 2, True),
    ],
)
def test_labels_occur_twice_on_average_unless_they_are_few(n_labels: int, n_annotated: int, is_task: bool) -> None:
    labels = {f"label{chr(97 + number)}" for number in range(n_labels)}
    assert (_why_no_task(labels, n_annotated, multi_label=False) is None) == is_task


@pytest.mark.parametrize(
    ("header", "rows", "summary"),
    [
        ("image,split,identity", ["a.jpg,query,1", "b.jpg,gallery,1"], "re-id and 0 tasks with labels"),
        ("image,split,hat", ["a.jpg,query,yes", "b.jpg,gallery,no", "c.jpg,gallery,no"], "1 task with labels"),
    ],
)
def test_the_summary_names_re_id_where_there_are_people(
    header: str, rows: list[str], summary: str, tmp_path: Path
) -> None:
    (tmp_path / "annotations.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    assert write_init(tmp_path, force=False).summary == summary
