"""Formats the statistics of a data set as Markdown tables, or as LaTeX tables that need no package."""

from piq_bench.describe.stats import Stats
from piq_bench.errors import printable
from piq_bench.report.latex import ESCAPES
from piq_bench.report.markdown import SPECIAL
from piq_bench.report.stats_rows import sections, summary

LONGEST = 1000  # characters of an untrusted text


def stats_markdown(stats: Stats) -> str:
    """The text to print."""
    lines = [f"- **{name}**: {_markdown(text)}" for name, text in summary(stats)]
    for section in sections(stats):
        lines += ["", f"### {_markdown(section.title)}", "", f"| {' | '.join(section.header)} |"]
        lines.append("|---" + "|---:" * (len(section.header) - 1) + "|")
        lines += [f"| {' | '.join((_markdown(name), *numbers))} |" for name, *numbers in section.rows]
    lines += ["", "### Findings", ""]
    lines += [f"- **{found.severity}** `{found.code}`: {_markdown(found.text)}" for found in stats.findings]
    return "\n".join(lines if stats.findings else [*lines, "none"]) + "\n"


def stats_latex(stats: Stats) -> str:
    """The text to print: one tabular per table, and everything else as comments."""
    lines = [f"% {name}: {printable(text, LONGEST)}" for name, text in summary(stats)]
    for section in sections(stats):
        lines += ["", f"% {printable(section.title, LONGEST)}"]
        lines.append(rf"\begin{{tabular}}{{l{'r' * (len(section.header) - 1)}}}")
        lines += [r"\hline", " & ".join(map(_latex, section.header)) + r" \\", r"\hline"]
        lines += [" & ".join(map(_latex, row)) + r" \\" for row in section.rows]
        lines += [r"\hline", r"\end{tabular}"]
    lines += ["", *(f"% {found.severity}: {printable(found.text, LONGEST)}" for found in stats.findings)]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(text: str) -> str:
    return "".join(f"\\{c}" if c in SPECIAL else c for c in printable(text, LONGEST))


def _latex(text: str) -> str:
    return "".join(ESCAPES.get(c, c) for c in printable(text, LONGEST))
