"""Folders train, query and gallery with one folder per person, as many training scripts arrange their data.

The folder's name is the identity. If file names begin like those of Market-1501 (`0002_c1s1_...`), the camera and
sequence are read too and images of the same identity and camera are excluded; otherwise nothing is. No name of a folder
means junk or a distractor, but if all files have the exact names of Market-1501, its rules hold: -1 is junk, 0000 are
distractors.
"""

import re

from piq_bench.read.layouts.layout import Layout, Part
from piq_bench.read.layouts.market1501 import RULES, with_sequence
from piq_bench.read.rules import CandidateRules
from piq_bench.records import GALLERY, QUERY, SAME_CAMERA, TRAIN

MARKET_NAME = re.compile(
    r"(?P<identity>-1|\d{4})/(?P=identity)_(?P<camera>c[1-6])(?P<sequence>s[1-6])_\d{6}_\d{2}\.jpg(\.jpg)?", re.ASCII
)
NAME = re.compile(
    r"(?P<identity>[^/\s]([^/]{0,126}[^/\s])?)/"
    r"(-?[0-9]{1,9}_(?P<camera>c[0-9]{1,4})(?P<sequence>s[0-9]{1,4})?[_.][^/]{1,255}|[^/]{1,255})"
)
FOLDERS = {"train": TRAIN, "query": QUERY, "gallery": GALLERY}

MARKET_BY_PERSON = Layout(
    name="market1501-by-person",
    title="Market-1501, one folder per person",
    example="0002/0002_c1s1_000451_03.jpg",
    parts=tuple(Part(folder, split, MARKET_NAME, by_person=True) for folder, split in FOLDERS.items()),
    rules=RULES,
    columns=with_sequence,
)
BY_PERSON = Layout(
    name="by-person",
    title="one folder per person",
    example="0002/0002_c1s1_000451_03.jpg",
    parts=tuple(Part(folder, split, NAME, by_person=True) for folder, split in FOLDERS.items()),
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
    columns=with_sequence,
)
