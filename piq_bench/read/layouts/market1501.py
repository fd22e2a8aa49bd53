"""Market-1501, and other data sets that name folders and files like it.

Names such as `0002_c1s1_000451_03.jpg` are identity, camera, sequence, frame and box; some end in `.jpg.jpg`. Identity
-1 is junk, which takes no part; 0000 are detections of nobody, which stay in the gallery as distractors.
Source: Zheng et al., Scalable person re-identification: a benchmark, ICCV 2015; names of all 36,036 images checked.

A "Market-1501 style" data set has the same folders and any names that begin with identity and camera; the rules are
those of Market-1501, which a benchmark.toml may change.
"""

import re

from piq_bench.read.layouts.layout import Layout, Names, Part
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

NAME = re.compile(r"(?P<identity>-1|\d{4})_(?P<camera>c[1-6])(?P<sequence>s[1-6])_\d{6}_\d{2}\.jpg(\.jpg)?", re.ASCII)
STYLE = re.compile(
    r"(?P<identity>-?[0-9]{1,9})_(?P<camera>c[0-9]{1,4})(?P<sequence>s[0-9]{1,4})?_[A-Za-z0-9_.-]{0,200}"
)
RULES = CandidateRules(exclude=(SAME_CAMERA,), junk=("-1",), distractors=("0000",))


def market_parts(name: re.Pattern[str]) -> tuple[Part, ...]:
    """The three folders of Market-1501, which many data sets share."""
    folders = {"bounding_box_train": TRAIN, "query": QUERY, "bounding_box_test": GALLERY}
    return tuple(Part(folder, split, name) for folder, split in folders.items())


def with_sequence(names: Names) -> Names:
    """Sequences are numbered within a camera."""
    return {**names, "sequence": names["camera"] + names["sequence"] if names["sequence"] else ""}


MARKET1501 = Layout(
    name="market1501",
    title="Market-1501",
    example="0002_c1s1_000451_03.jpg",
    parts=market_parts(NAME),
    rules=RULES,
    columns=with_sequence,
    editions=({TRAIN: (12936, 751), QUERY: (3368, 750), GALLERY: (19732, 750)},),
)
MARKET_STYLE = Layout(
    name="market-style",
    title="Market-1501 style folder",
    example="0002_c1s1_000451_03.jpg",
    parts=market_parts(STYLE),
    rules=RULES,
    columns=with_sequence,
)
