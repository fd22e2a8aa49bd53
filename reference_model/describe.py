"""Describes a folder of pictures as one HTML page: each with its predicted attributes and its nearest neighbours.

It is the paper's Figure 1 for pictures of one's own. The page loads nothing; pictures on it are thumbnails.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench import __version__
from piq_bench.errors import printable
from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import ImageFolder
from piq_bench.records import Float32Array, IntArray, Task
from piq_bench.report.html import render
from piq_bench.report.thumbnails import thumbnail
from reference_model.config import RANDOM
from reference_model.embed import Embedded
from reference_model.model_file import LIMITS

N_SHOWN = 200  # pictures on a page, unless asked for more
N_NEIGHBOURS = 6
SIZE = (76, 100)  # largest width and height of a thumbnail in pixels, as the page shows it
IMAGES = "images"  # the folder of pictures in a data set
NAME = 60  # characters of an untrusted name
NO_BREAK = "\N{NO-BREAK SPACE}"  # keeps a label and its probability on one line
YES = 0.5  # least probability of a label that applies, as in a submission
MOST_UNREADABLE = 50  # named on the page


def description_html(
    folder: Path,
    found: Embedded,
    *,
    n_shown: int = N_SHOWN,
    follow_links: bool = False,
    advance: Callable[[int], None] = lambda steps: None,
) -> str:
    """The text of the page.

    Args:
        folder: the folder of the pictures.
        found: the answers to them.
        n_shown: the most pictures to show; of more, they are taken evenly from all. Neighbours come from all.
        follow_links: whether links may lead out of the folder.
        advance: called with the number of thumbnails made since the last call.

    Raises:
        BadUsage: if jinja2 is not installed.
        Unreadable: if a picture has vanished meanwhile.
    """
    n = len(found.images)
    shown = np.linspace(0, n - 1, min(n, n_shown)).round().astype(np.int64)
    nearest, similarity = neighbours(found.embedding, shown)
    rows = np.unique(np.concatenate([shown, nearest.ravel()])).tolist()
    pictures = ImageFolder(folder, follow_links=follow_links)
    addresses = {}
    with strict_decoding():
        for row in rows:
            addresses[row] = thumbnail(decode(pictures.read(found.images[row]).data), SIZE)
            advance(1)
    cards = [
        {
            "row": row,
            "name": _name(found.images[row]),
            "attributes": [answer(task, found.probabilities[task.name][row]) for task in found.tasks],
            "neighbours": [
                {"row": other, "name": _name(found.images[other]), "cosine": f"{cosine:.2f}"}
                for other, cosine in zip(others, cosines, strict=True)
            ],
        }
        for row, others, cosines in zip(shown.tolist(), nearest.tolist(), similarity.tolist(), strict=True)
    ]
    return render(
        "describe.html",
        name=_name(_title(folder.absolute())),
        n=n,
        cards=cards,
        shown={card["row"] for card in cards},
        addresses=addresses,
        has_attributes=bool(found.tasks),
        has_neighbours=found.embedding is not None,
        facts=_facts(found.meta),
        unreadable=[(_name(image), printable(reason)) for image, reason in found.unreadable.items()][:MOST_UNREADABLE],
        n_unreadable=len(found.unreadable),
        version=__version__,
    )


def neighbours(embedding: Float32Array | None, rows: IntArray) -> tuple[IntArray, Float32Array]:
    """The nearest other pictures of some, nearest first; of equally near ones, the first.

    Args:
        embedding: shape (n, dimension), rows of length 1; None gives no neighbours.
        rows: shape (n_rows,).

    Returns:
        Rows of the neighbours and their cosine similarities, both of shape (n_rows, at most N_NEIGHBOURS).

    >>> neighbours(np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32), np.array([0]))
    (array([[2, 1]]), array([[0.6, 0. ]], dtype=float32))
    """
    if embedding is None:
        return np.empty((rows.size, 0), np.int64), np.empty((rows.size, 0), np.float32)
    k = min(N_NEIGHBOURS, len(embedding) - 1)
    nearest = np.empty((rows.size, k), np.int64)
    similarity = np.empty((rows.size, k), np.float32)
    for place, row in enumerate(rows):
        cosines = embedding @ embedding[row]
        cosines[row] = -np.inf
        nearest[place] = np.argsort(-cosines, kind="stable")[:k]
        similarity[place] = cosines[nearest[place]]
    return nearest, similarity


def answer(task: Task, probabilities: Float32Array) -> dict[str, str]:
    """The predicted label or labels of a task, and how probable the model thinks them."""
    chosen = np.flatnonzero(probabilities >= YES).tolist() if task.multi_label else [int(np.argmax(probabilities))]
    texts = [f"{printable(task.labels[label])}{NO_BREAK}{100 * probabilities[label]:.0f}%" for label in chosen]
    return {"task": printable(task.name), "text": ", ".join(texts) or "none"}


def _facts(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    models: Sequence[Mapping[str, Any]] = meta["models"]
    first = models[0]
    start = meta["start"] or first.get("weights") or "unknown"
    limits = [("knows", LIMITS[meta["model"]])] if meta["model"] in LIMITS else []
    return [
        ("model", printable(f"{meta['model']}, {meta['method']}", 200)),
        ("trained on", printable(f"{first.get('n_images', '?')} pictures, data set {first['trained_on'][:12]}")),
        *limits,
        ("started from", "random numbers" if start == RANDOM else printable(start, 200)),
        ("mirror images", "averaged" if meta["flip"] else "not used"),
    ]


def _title(folder: Path) -> str:
    """The name of a folder; that of a data set for its folder of images."""
    return f"{folder.parent.name}/{folder.name}" if folder.name == IMAGES else folder.name


def _name(text: str) -> str:
    return printable(text, NAME)
