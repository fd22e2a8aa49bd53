"""Small data sets with pictures to learn from: each task has a band in the picture, coloured by its label."""

from collections.abc import Callable
from pathlib import Path

import folders
import numpy as np
from PIL import Image

from piq_bench.read.vocabulary import DEFAULT_TASKS
from piq_bench.records import RETRIEVAL, IntArray, Task

SIZE = (64, 32)
HEADER = 'schema = "piq-bench/benchmark/1"\nname = "{name}"\nversion = "1"\nlicence = "none"\n'
N_TRAIN = 64
N_TEST = 24
N_PEOPLE = 8
PER_PERSON = 6
OTHER_TASKS = (
    Task("who", "reid", kind="retrieval"),
    Task("eyes", "appearance", labels=("open", "sunglasses")),
    Task("pose", "posture", labels=("straight", "left", "right", "up")),
)
"""Another vocabulary, whose labels name sides."""


def portraits(folder: Path, *, seed: int = 0, tasks: tuple[Task, ...] = DEFAULT_TASKS, name: str = "small") -> Path:
    """A data set of our layout: 48 training images of 8 people and 16 without identity, 24 test images of 4 others."""
    rng = np.random.default_rng(seed)
    people = [f"p{i // PER_PERSON}" if i < N_PEOPLE * PER_PERSON else "" for i in range(N_TRAIN)]
    people += [f"q{i // PER_PERSON}" for i in range(N_TEST)]
    splits = ["train"] * N_TRAIN + ["query" if i % PER_PERSON == 0 else "gallery" for i in range(N_TEST)]
    rows = []
    attributes = [task for task in tasks if task.kind != RETRIEVAL]
    for number, (person, split) in enumerate(zip(people, splits, strict=True)):
        image = f"m{number % 4}/{number:03}.png"
        has = [_random_labels(task, rng) for task in attributes]
        save(folder / "images" / image, [_colour(person), *map(_code, has)], rng)
        rows.append((image, split, person, image[:2], *map(_cell, attributes, has)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmark.toml").write_text(HEADER.format(name=name) + "".join(map(_toml, tasks)), encoding="utf-8")
    columns = ("image", "split", "identity", "source", *(task.name for task in attributes))
    folders.write_csv(folder / "annotations.csv", rows, columns)
    return folder


def market(folder: Path, *, n_people: int = 8) -> Path:
    """A Market-1501 style folder with pictures."""
    rng = np.random.default_rng(0)
    for number in range(1, n_people + 5):
        for shot in range(4):
            part = "bounding_box_train" if number <= n_people else "query" if shot == 0 else "bounding_box_test"
            name = f"{number:04}_c{shot + 1}s1_{shot:06}_00.jpg"
            save(folder / part / name, [_colour(str(number))], rng)
    return folder


def without(folder: Path, column: str) -> None:
    """Empty a column of the annotations."""
    path = folder / "annotations.csv"
    header, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    place = header.index(column)
    folders.write_csv(path, [[*row[:place], "", *row[place + 1 :]] for row in rows], header)


def rewritten(path: Path, change: Callable[[str], str]) -> None:
    """Change the text of a file."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def save(path: Path, colours: list[tuple[int, int, int]], rng: np.random.Generator) -> None:
    """Save a picture of coloured bands, one below the other, with some noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    band = np.arange(SIZE[0]) * len(colours) // SIZE[0]
    pixels = np.array(colours)[band][:, None] + rng.integers(-8, 9, (*SIZE, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def _colour(person: str) -> tuple[int, int, int]:
    rng = np.random.default_rng([ord(letter) for letter in person])
    red, green, blue = rng.integers(0, 256, 3).tolist()
    return red, green, blue


def _random_labels(task: Task, rng: np.random.Generator) -> IntArray:
    """1 for each label that applies, shape (n_labels,)."""
    if task.multi_label:
        return rng.integers(0, 2, len(task.labels))
    has = np.zeros(len(task.labels), dtype=np.int64)
    has[rng.integers(has.size)] = 1
    return has


def _code(has: IntArray) -> tuple[int, int, int]:
    """Encode labels as a colour, up to three labels in each channel."""
    bits = np.zeros(9, dtype=np.int64)
    bits[: has.size] = has
    red, green, blue = (bits.reshape(3, 3).T @ [128, 64, 32]).tolist()
    return red, green, blue


def _cell(task: Task, has: IntArray) -> str:
    return "|".join(label for label, present in zip(task.labels, has, strict=True) if present) or "-"


def _toml(task: Task) -> str:
    if task.kind == RETRIEVAL:
        return f'[tasks.{task.name}]\naspect = "{task.aspect}"\nkind = "retrieval"\n'
    labels = ", ".join(f'"{label}"' for label in task.labels)
    multi_label = "multi_label = true\n" * task.multi_label
    return f'[tasks.{task.name}]\naspect = "{task.aspect}"\nlabels = [{labels}]\n{multi_label}'
