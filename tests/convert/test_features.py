"""Texts and labelled features from strangers' files: whole or refused, never cut or guessed."""

from pathlib import Path

import numpy as np
import pytest

from piq_bench.convert.features import LAYUMI_KEYS, _labelled, as_texts, check_count
from piq_bench.errors import BadSubmission
from piq_bench.limits import MAX_TEXT_WIDTH

PATH = Path("pytorch_result.mat")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["a", b"b"], ["a", "b"]),
        (("a",), ["a"]),
        (np.array([["a"], ["b"]]), ["a", "b"]),
        (np.array([b"a", b"\xc3\xa9"]), ["a", "\xe9"]),
        (["x" * MAX_TEXT_WIDTH], ["x" * MAX_TEXT_WIDTH]),
        (["x" * (MAX_TEXT_WIDTH + 1)], None),
        ([b"\xff"], None),
        (["a", 1], None),
        (np.array([["a", "b"], ["c", "d"]]), None),
        (np.array([[["a"]]]), None),
        (np.array([1, 2]), None),
        ("text", None),
        (None, None),
    ],
)
def test_texts_are_read_whole_or_not_at_all(value: object, texts: list[str] | None) -> None:
    assert as_texts(value) == texts


def labelled(**changes: object) -> dict[str, object]:
    values = (np.zeros((3, 2), np.float32), np.array([[1, 2, 3]]), np.array([[1, 1, 2]]))
    return dict(zip(LAYUMI_KEYS[:3], values, strict=True)) | changes


def test_labels_and_cameras_are_vectors_with_a_number_for_each_row() -> None:
    found = _labelled(PATH, labelled(), "query")
    assert found.label.tolist() == [1, 2, 3] and found.camera.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"query_f": np.zeros(3)}, "query_f", "no matrix"),
        ({"query_f": ["a"]}, "query_f", "no matrix"),
        ({"query_label": np.zeros((1, 4))}, "query_label", "shape (1, 4), but query_f has 3 rows"),
        ({"query_cam": "abc"}, "query_cam", "'abc', but query_f has 3 rows"),
        ({"query_cam": np.array(["a", "b", "c"])}, "query_cam", "shape (3,)"),
    ],
)
def test_labels_that_do_not_fit_are_named(changes: dict[str, object], where: str, reason: str) -> None:
    with pytest.raises(BadSubmission) as refusal:
        _labelled(PATH, labelled(**changes), "query")
    assert where in str(refusal.value) and reason in str(refusal.value)


def test_a_transposed_matrix_and_one_without_columns_are_refused() -> None:
    check_count(PATH, "f", np.zeros((2, 3)), ["a", "b"])
    with pytest.raises(BadSubmission, match="its transpose fits"):
        check_count(PATH, "f", np.zeros((3, 2)), ["a", "b"])
    with pytest.raises(BadSubmission, match="has 0 columns"):
        check_count(PATH, "f", np.zeros((2, 0)), ["a", "b"])
