"""The files in which one process hands a column of text to another: plain arrays, which take no library to read.

All texts are in one file, one after the other in UTF-8, and their bounds in it in a second. A third has the index of
each row's text, unless there is one text per row. A column of numbers is one file of them.
"""

TEXTS = ".texts"
BOUNDS, LONG_BOUNDS = ".bounds", ".long"  # int32 or int64, one more than texts; nothing if there are none
CODES = ".codes"  # int32, one per row
NUMBERS = ".numbers"  # int64, one per row
NULL = -1  # the code of a row without text

MAX_DISTINCT = 1 << 16


def are_ids(n_distinct: int, n_rows: int) -> bool:
    """Whether the texts of a column differ so often that to number them would take more memory than to hold each."""
    return MAX_DISTINCT < n_distinct > n_rows // 2
