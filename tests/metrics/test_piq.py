import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.metrics.piq import aspect_scores, piq, reid_score
from piq_bench.records import Task

PORTRAIT = (
    Task("reid", "reid", kind="retrieval"),
    *(Task(name, "appearance", labels=("a", "b")) for name in ("gender", "age", "physique", "height")),
    *(Task(name, "posture", labels=("a", "b")) for name in ("body", "arm")),
    Task("expression", "emotion", labels=("a", "b"), multi_label=True),
)
UNIT = st.floats(0, 1)


def test_piq_is_the_mean_of_four_aspects_by_hand() -> None:
    scores = {
        "reid": reid_score(0.6, 0.4),
        "gender": 0.9, "age": 0.5, "physique": 0.3, "height": 0.7,
        "body": 0.5, "arm": 0.4,
        "expression": 0.2,
    }  # fmt: skip
    aspects = aspect_scores(PORTRAIT, scores)
    assert aspects == {
        "reid": pytest.approx(0.5),
        "appearance": pytest.approx((0.9 + 0.5 + 0.3 + 0.7) / 4),
        "posture": pytest.approx(0.45),
        "emotion": 0.2,
    }
    assert piq(aspects) == pytest.approx((0.5 + 0.6 + 0.45 + 0.2) / 4)


@given(st.lists(UNIT, min_size=8, max_size=8), UNIT)
def test_piq_rises_with_every_task(scores: list[float], higher: float) -> None:
    names = [task.name for task in PORTRAIT]
    before = piq(aspect_scores(PORTRAIT, dict(zip(names, scores, strict=True))))
    for i, name in enumerate(names):
        better = dict(zip(names, scores, strict=True)) | {name: max(scores[i], higher)}
        after = piq(aspect_scores(PORTRAIT, better))
        assert before is not None and after is not None
        assert after >= before


def test_other_aspects_and_no_reid_score_by_the_same_rule() -> None:
    tasks = (Task("hat", "clothes", labels=("no", "yes")), Task("mood", "face", labels=("sad", "glad")))
    assert piq(aspect_scores(tasks, {"hat": 0.5, "mood": 1.0})) == 0.75


def test_a_missing_task_leaves_its_aspect_and_piq_undefined() -> None:
    aspects = aspect_scores(PORTRAIT, {"expression": 0.5})
    assert aspects == {"reid": None, "appearance": None, "posture": None, "emotion": 0.5}
    assert piq(aspects) is None
    assert piq({}) is None


def test_resamples_go_through_the_same_means() -> None:
    values = np.array([0.2, 0.4])
    aspects = aspect_scores(PORTRAIT, {task.name: values for task in PORTRAIT})
    total = piq(aspects)
    assert total is not None
    assert total == pytest.approx(values)
