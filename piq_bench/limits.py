"""Says how much a stranger's file may unpack to; every reader asks here, or takes its limits from here.

What a file may unpack to follows from its size: no more than MOST_TIMES its bytes, beside a small amount that any file
may take. The sizes that a file declares are compared with this before anything is unpacked, and lengths before patterns
are tried. So a file of 1 kB never costs more than 200 MB or 5 s, one of 100 kB never more than 500 MB or 10 s;
`python -m bombs`, in the folder tests, measures that. One exception: a file that looks like one of torch.save costs at
least what torch itself takes to be imported, about 290 MB and 4 s; what cannot be such a file is refused before that.
"""

MOST_TIMES = 200  # embeddings of any model, and tables of any data set, stay far below
FREE_BYTES = 16 << 20  # any file may unpack to this
MOST_FREE_BYTES = 64 << 20  # and a file of 50 kB to this, which deflate, unlike other methods, cannot exceed either
DEFLATE_TIMES = 1032  # the most that deflate packs

MAX_FILE_BYTES = 32 << 30  # of a submission
MAX_MEMORY_BYTES = 8 << 30  # of an array held in memory; the embedding or matrix of a folder stays on disk
MAX_META_BYTES = 64 << 10
MAX_TEXT_WIDTH = 1024  # characters of one image id or label
MAX_UPLOAD_ENTRIES = 2000  # files and folders in an upload

MAX_UNPACKING_SECONDS = 600
FREE_UNPACKING_SECONDS = 3  # of computing; reading any small file takes a tenth of a second
UNPACKING_BYTES_A_SECOND = 20_000
FREE_WAITING_SECONDS = 60  # by the clock, for a process that does not compute
WAITING_TIMES = 10  # by the clock, of the computing time: a machine that is busy or swaps refuses no good file

MAX_TABLE_BYTES = 2 << 30
MAX_TABLE_ROWS = 20_000_000
MAX_TABLE_COLUMNS = 1000
MAX_LINE_BYTES = 1 << 20
VALUE_BYTES = 24  # memory that a value of a table takes beside its text: its number, a reference, and its label
ROW_VALUES = 8  # values that each row has beside its columns: its line, split, identity and roles

MAX_TASKS = 512
MAX_LABELS = 4096  # of one task; scoring counts pairs of them

MAX_IMAGE_BYTES = 1 << 28
MAX_IMAGE_PIXELS = 50_000_000
FREE_PIXELS = 4_000_000  # any picture may have these
MOST_PIXELS_PER_BYTE = 200  # JPEG needs a byte for at most 170 pixels of one colour
MAX_JPEG_SCANS = 100  # a progressive JPEG has about ten, and each passes over all pixels


def most_bytes(n_file_bytes: int) -> int:
    """Bytes to which a file, or a packed part of it, may unpack.

    >>> most_bytes(0) >> 20, most_bytes(100_000) >> 20, most_bytes(1 << 30) >> 30
    (16, 64, 200)
    """
    free = min(MOST_FREE_BYTES, FREE_BYTES + DEFLATE_TIMES * n_file_bytes)
    return max(free, MOST_TIMES * n_file_bytes)


def unpacking_bytes(n_file_bytes: int) -> int:
    """Memory in which a library may unpack a file: twice what the file may unpack to."""
    return 2 * most_bytes(n_file_bytes)


def unpacking_seconds(n_file_bytes: int) -> int:
    """Seconds of computing in which a library may unpack a file.

    >>> unpacking_seconds(1_000), unpacking_seconds(100_000), unpacking_seconds(1 << 30)
    (3, 8, 600)
    """
    return min(MAX_UNPACKING_SECONDS, FREE_UNPACKING_SECONDS + n_file_bytes // UNPACKING_BYTES_A_SECOND)


def waiting_seconds(n_file_bytes: int) -> int:
    """Seconds by the clock after which a process that unpacks a file is ended, though it may not compute at all.

    >>> waiting_seconds(1_000), waiting_seconds(100_000), waiting_seconds(1 << 30)
    (90, 140, 6060)
    """
    return FREE_WAITING_SECONDS + WAITING_TIMES * unpacking_seconds(n_file_bytes)


def most_pixels(n_file_bytes: int) -> int:
    """Pixels that a picture may have."""
    return FREE_PIXELS + MOST_PIXELS_PER_BYTE * n_file_bytes
