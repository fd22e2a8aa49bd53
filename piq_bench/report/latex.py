"""Formats a Score as one LaTeX table with the columns of the paper's Table 4; needs no package."""

from piq_bench.errors import printable
from piq_bench.records import RETRIEVAL, Benchmark
from piq_bench.report.rows import FIELD_METRICS, MACRO_METRICS, is_reid_alone, metric_title, percent, span
from piq_bench.scoring.records import Score

MACRO = tuple(reversed(MACRO_METRICS))  # in the order of the paper's table
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def score_latex(score: Score, benchmark: Benchmark, columns: str | None = None) -> str:
    """The text to print: one row of scores and, if there are any, one row of intervals.

    Args:
        score: score to show.
        benchmark: benchmark that the submission was scored against.
        columns: which means of re-id to show: "plain", "macro" or "both"; None for plain on re-id alone
            and macro otherwise.
    """
    chosen = columns or ("plain" if is_reid_alone(benchmark) else "macro")
    cells = [("Method", escaped(str(score.submission["name"])), "")]
    ends = score.intervals
    for task in benchmark.tasks:
        if task.kind == RETRIEVAL:
            values = score.reid.values if score.reid else {}
            for key in (*(FIELD_METRICS if chosen != "macro" else ()), *(MACRO if chosen != "plain" else ())):
                title = metric_title(key).replace("Rank-", "R")
                cells.append((title, percent(values.get(key)), span(ends.reid.get(key) if ends else None)))
        else:
            name = task.name
            cells.append((name, percent(score.f1.get(name)), span(ends.f1.get(name) if ends else None)))
    cells.append(("PIQ", percent(score.piq), span(ends.piq if ends else None)))
    title = printable(f"{score.benchmark['name']} {score.benchmark['version']}".strip())
    lines = [
        f"% {title}, per cent; fingerprint {score.benchmark['fingerprint']}",
        rf"\begin{{tabular}}{{l{'r' * (len(cells) - 1)}}}",
        r"\hline",
        " & ".join(escaped(title) for title, _, _ in cells) + r" \\",
        r"\hline",
        " & ".join(value for _, value, _ in cells) + r" \\",
    ]
    if ends is not None:
        lines.append(" & ".join(rf"\tiny {text}" if text else "" for _, _, text in cells) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"


def escaped(text: str) -> str:
    """Untrusted text, escaped for LaTeX."""
    return "".join(ESCAPES.get(c, c) for c in printable(text))
