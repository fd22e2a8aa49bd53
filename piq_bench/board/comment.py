"""What the grader said of a pull request, to the comment under it.

Runs in CI, with rights, on what a stranger may have written: `python -m piq_bench.board.comment FOLDER`, where FOLDER
holds report.txt, prints Markdown.

The report is shown as text and nothing in it is anything else: control and bidirectional characters are escaped, the
fence around it is longer than any in it, and it is cut where GitHub would refuse it. Needs the standard library alone.
"""

import re
import sys
from pathlib import Path

from piq_bench.errors import printable

REPORT = "report.txt"
MARK = "<!-- piq grade -->"  # by which comment.yml finds the comment again
MAX_BYTES = 1 << 20  # of a report
MAX_SHOWN = 60_000  # characters; GitHub refuses more than 65,536 in all
MAX_LINE = 1000
NOTE = (
    "Written by the run of this pull request, which its author can change: an entry counts once maintainers have "
    "graded it themselves."
)


def comment(folder: Path) -> str:
    """The comment's text.

    Args:
        folder: what the grading run left.
    """
    path = folder / REPORT
    if path.is_symlink() or not path.is_file():
        return f"{MARK}\nGrading left no report; its log says why.\n"
    if path.stat().st_size > MAX_BYTES:
        return f"{MARK}\nThe report has more than {MAX_BYTES:,} bytes and is not shown.\n"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(printable(line, MAX_LINE) for line in lines)
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN].rsplit("\n", 1)[0] + "\n... and more in the log"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{MARK}\nWhat `piq grade` says:\n\n{fence}text\n{text}\n{fence}\n\n{NOTE}\n"


if __name__ == "__main__":
    print(comment(Path(sys.argv[1])), end="")
