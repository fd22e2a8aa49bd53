"""Reads the small files that once took gigabytes or minutes to read; what all of them need to be written.

A bomb is a function of an empty folder, into which it writes. `read` reads what it finds there as a command would.
"""

import itertools
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

HEAD = 'schema = "piq-bench/benchmark/1"\nname = "t"\nversion = "1"\n'
REID = '[tasks.reid]\naspect = "reid"\nkind = "retrieval"\n'
MARKS = '[tasks.marks]\naspect = "a"\nmulti_label = true\nlabels = [%s]\n'
N_IMAGES = 4000  # of the benchmark that submissions are read against
Bomb = Callable[[Path], None]


def read(folder: Path) -> None:
    """Reads the picture, upload, branch, submission or data set in a folder.

    Raises:
        BadInput: if it is refused.
        Unreadable: if it is a picture that is refused.
    """
    from piq_bench.board.pull_request import arrived_entry
    from piq_bench.convert.source import read_features
    from piq_bench.images.decode import decode, strict_decoding
    from piq_bench.images.lanczos import shrink
    from piq_bench.read.dataset import inspect_dataset, read_benchmark
    from piq_bench.read.submission import read_submission
    from piq_bench.read.upload import find_submission

    files = {path.name: path for path in folder.iterdir()}
    if "picture" in files:
        with strict_decoding():
            shrink([decode(files["picture"].read_bytes())])
    elif "upload.zip" in files:
        find_submission(files["upload.zip"], folder)
    elif ".git" in files:
        arrived_entry(folder, "master", "b", folder / "entry")
    elif names := [name for name in files if name.startswith("features.")]:
        read_features(files[names[0]])
    elif names := [name for name in files if name.startswith("submission.")]:
        read_submission(files[names[0]], read_benchmark(folder), partial=True)
    else:
        inspect_dataset(folder)


def size(folder: Path) -> int:
    """Bytes of what a stranger sent; the benchmark of a submission is the user's own."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in [path for path in files if path.stem == "submission"] or files)


def words() -> Iterator[str]:
    """Yields texts of four letters, all different."""
    return map("".join, itertools.product(string.ascii_lowercase, repeat=4))


def listed(n_words: int) -> str:
    """The first words as the values of a list in TOML."""
    return ",".join(f'"{word}"' for word in itertools.islice(words(), n_words))


def data_set(folder: Path, toml: str, table: str = "image,split\na.jpg,query\nb.jpg,gallery\n") -> None:
    """Writes a data set; an empty table is left out."""
    (folder / "benchmark.toml").write_text(toml, encoding="utf-8")
    if table:
        (folder / "annotations.csv").write_text(table, encoding="utf-8")


def submission(folder: Path, name: str, toml: str = HEAD + REID, tasks: Sequence[str] = ()) -> Path:
    """Writes a benchmark of N_IMAGES images; gives where the submission goes."""
    labels = ",x" * len(tasks)
    rows = "".join(f"{row:04}.jpg,{('query', 'gallery')[row % 2]},{row // 2}{labels}\n" for row in range(N_IMAGES))
    data_set(folder, toml, ",".join(["image", "split", "identity", *tasks]) + f"\n{rows}")
    return folder / name


def image_ids() -> list[str]:
    """The image ids of the benchmark of `submission`."""
    return [f"{row:04}.jpg" for row in range(N_IMAGES)]
