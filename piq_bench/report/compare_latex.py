"""Formats a Comparison as LaTeX tables, one per pair; they need no package."""

from piq_bench.report.compare_rows import LEGEND, method_text, pair_rows, pair_title
from piq_bench.report.latex import escaped
from piq_bench.scoring.compare import Comparison


def compare_latex(comparison: Comparison) -> str:
    """The text to print."""
    lines = [f"% {LEGEND}", f"% {method_text(comparison)}"]
    for pair in comparison.pairs:
        first, second = (escaped(name) for name in pair_title(comparison, pair))
        lines += [
            r"\begin{tabular}{lrrrrr}",
            r"\hline",
            rf" & {first} & {second} & difference & interval, uncorrected & $p$, Holm \\",
        ]
        lines.append(r"\hline")
        for row in pair_rows(pair):
            difference = rf"\textbf{{{row.difference}}}" if row.star else row.difference
            cells = (escaped(row.name), row.first, row.second, difference, row.interval, row.p)
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\hline", r"\end{tabular}"]
    return "\n".join(lines) + "\n"
