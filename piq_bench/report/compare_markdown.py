"""Formats a Comparison as Markdown, for an issue or a CI summary."""

from piq_bench.report.compare_rows import LEGEND, identities_text, method_text, pair_rows, pair_title
from piq_bench.report.markdown import escaped
from piq_bench.scoring.compare import Comparison


def compare_markdown(comparison: Comparison) -> str:
    """The text to print."""
    lines: list[str] = []
    for pair in comparison.pairs:
        first, second = (escaped(name) for name in pair_title(comparison, pair))
        lines += [f"| in per cent | {first} | {second} | difference | interval, uncorrected | p, Holm | detectable |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|"]
        for row in pair_rows(pair):
            difference = f"**{escaped(row.difference + row.star)}**" if row.star else escaped(row.difference)
            cells = (escaped(row.name), row.first, row.second, difference, row.interval, row.p, row.detectable)
            lines.append(f"| {' | '.join(cells)} |")
        text = identities_text(pair)
        lines += ["", *([text, ""] if text else [])]
    return "\n".join([*lines, escaped(LEGEND), "", escaped(method_text(comparison))]) + "\n"
