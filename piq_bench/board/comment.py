"""Turns the grader's report on a pull request into the comment under it.

Runs in CI, with write permission, on text that a stranger may have written: `python -m piq_bench.board.comment FOLDER`
reads FOLDER/report.txt and prints Markdown.

The report is shown as plain text: control and bidirectional characters are escaped, the fence around it is longer than
any run of backticks in it, and it is cut below GitHub's length limit. Only the standard library is needed.
"""

import re
import sys
from pathlib import Path

from piq_bench.errors import printable
from piq_bench.write.streams import accept_every_character

REPORT = "report.txt"
MARK = "<!-- piq grade -->"  # comment.yml finds its earlier comment by this mark
MAX_BYTES = 1 << 20  # largest report that is shown
MAX_SHOWN = 60_000  # characters; GitHub refuses more than 65,536 in all
MAX_LINE = 1000
NOTE = (
    "This report comes from the pull request's own workflow run, which its author can change. An entry is accepted "
    "only after maintainers have graded it themselves."
)


def comment(folder: Path) -> str:
    """Return the comment as Markdown.

    Args:
        folder: artifacts of the grading run.
    """
    path = folder / REPORT
    if path.is_symlink() or not path.is_file():
        return f"{MARK}\nGrading left no report; the log of the workflow says why.\n"
    if path.stat().st_size > MAX_BYTES:
        return f"{MARK}\nThe report has more than {MAX_BYTES:,} bytes and is not shown.\n"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(printable(line, MAX_LINE) for line in lines)
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN].rsplit("\n", 1)[0] + "\n... and more in the log"
    longest_run = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest_run + 1)
    return f"{MARK}\nReport of `piq grade`:\n\n{fence}text\n{text}\n{fence}\n\n{NOTE}\n"


if __name__ == "__main__":
    accept_every_character()
    print(comment(Path(sys.argv[1])), end="")
