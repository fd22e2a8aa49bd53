"""Wraps a Score for use in Python: numbers as attributes, tables as pandas data frames, and a view for notebooks."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from piq_bench.records import RETRIEVAL, Benchmark
from piq_bench.report.json import score_document
from piq_bench.report.rows import main_rows, summary
from piq_bench.report.table import score_table
from piq_bench.scoring.records import Interval, Score

if TYPE_CHECKING:
    import pandas as pd

PLAIN = ("map", "rank1", "rank5", "rank10")
STYLES = ("font-weight:bold", "font-weight:bold", "")


@dataclass(frozen=True, eq=False)
class Result:
    """The result of `piq_bench.score` or `piq_bench.evaluate`.

    Attributes:
        score: all numbers, as a record.
        benchmark: benchmark that the submission was scored against.
    """

    score: Score
    benchmark: Benchmark

    @property
    def piq(self) -> float | None:
        """PIQ in [0, 1]; None if a task is missing."""
        return self.score.piq

    def to_dict(self) -> dict[str, object]:
        """The score file as plain values, as `piq-score --json` writes it."""
        return score_document(self.score)

    def summary(self) -> "pd.DataFrame":
        """One row each for PIQ, aspects and tasks: score, ends of its interval, chance and majority, as fractions.

        Re-id has a row for each macro mean that PIQ takes, and for the field's usual mAP and CMC, means over queries.
        """
        score, ends = self.score, self.score.intervals
        rows: list[tuple[str, float | None, Interval, float | None, float | None]] = [
            ("PIQ", score.piq, ends.piq if ends else None, None, None)
        ]
        for aspect, value in score.aspects.items():
            rows.append((aspect, value, ends.aspects[aspect] if ends else None, None, None))
            for task in self.benchmark.tasks:
                if task.aspect == aspect and task.kind == RETRIEVAL and score.reid is not None:
                    for key in ("macro_rank1", "macro_map", *PLAIN):
                        span = ends.reid.get(key) if ends else None
                        rows.append((key, score.reid.values[key], span, score.reid.chance.get(key), None))
                elif task.aspect == aspect and task.name in score.f1:
                    span = ends.f1.get(task.name) if ends else None
                    guesses = score.chance_f1[task.name], score.majority_f1[task.name]
                    rows.append((f"{task.name} F1", score.f1[task.name], span, *guesses))
        table = {
            "score": [row[1] for row in rows],
            "low": [row[2][0] if row[2] else None for row in rows],
            "high": [row[2][1] if row[2] else None for row in rows],
            "chance": [row[3] for row in rows],
            "majority": [row[4] for row in rows],
        }
        return _frame(table, index=[row[0] for row in rows], dtype="float64")

    def attributes(self) -> "pd.DataFrame":
        """One row per classification task: accuracy, mA, mean average precision and others, as fractions.

        What does not apply to a task, or has no case, is NaN; see `score.attributes` for what was left out.
        """
        table = {task: dict(one.values) for task, one in self.score.attributes.items()}
        return _frame(table, dtype="float64").T

    def labels(self) -> "pd.DataFrame":
        """One row per label of every task: precision, recall, f1, support, predicted, average_precision of scores."""
        rows = [
            (
                *(task, name, label.precision, label.recall, label.f1, label.support, label.predicted),
                precisions.get(name),
            )
            for task, labels in self.score.labels.items()
            for precisions in [self.score.attributes[task].average_precision]
            for name, label in labels.items()
        ]
        columns = ["task", "label", "precision", "recall", "f1", "support", "predicted", "average_precision"]
        return _frame(rows, columns=columns).set_index(["task", "label"])

    def confusion(self, task: str) -> "pd.DataFrame":
        """The confusion matrix of a task: numbers of images, true labels as rows, predicted labels as columns.

        Raises:
            KeyError: if the task was not scored or is multi-label.
        """
        names = list(self.score.labels[task])
        return _frame(self.score.confusion[task], index=names, columns=names)

    def __str__(self) -> str:
        return score_table(self.score, self.benchmark)

    def __repr__(self) -> str:
        return f"Result(piq={self.piq!r}, submission={self.score.submission['name']!r})"

    def _repr_html_(self) -> str:
        """The table as HTML for notebooks; untrusted text is escaped."""
        head = "".join(f"<th>{name}</th>" for name in ("in per cent", "score", "interval", "chance", "majority"))
        body = "".join(
            f'<tr style="{STYLES[row.level]}"><td style="text-align:left;padding-left:{1 + row.level}em">'
            + "</td><td>".join(map(escape, (row.name, row.value, row.interval, row.chance, row.majority)))
            + "</td></tr>"
            for row in main_rows(self.score, self.benchmark)
        )
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.score.notes)
        lines = "<br>".join(f"{escape(name)}: {escape(text)}" for name, text in summary(self.score))
        return f"<p>{lines}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"


def _frame(*values: Any, **options: Any) -> "pd.DataFrame":  # noqa: ANN401
    """A pandas data frame; pandas is imported only here, since commands need none."""
    import pandas as pd

    return pd.DataFrame(*values, **options)
