"""Miniature copies of public data sets: empty files and short lists under the names that the originals have."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Miniature:
    """A data set in small.

    Attributes:
        layout: name of its layout.
        folder: what its folder is called.
        rows: for each image path, split, identity and camera (or tracklet); "" where there is none.
        lists: text files by name.
        rules: the exclusion rules that hold.
        junk, distractors: identities that are nobody's.
        clothes: the clothes of each image, where they are known.
    """

    layout: str
    folder: str
    rows: tuple[tuple[str, str, str, str], ...]
    lists: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[str, ...] = ("identity+camera",)
    junk: tuple[str, ...] = ()
    distractors: tuple[str, ...] = ()
    clothes: tuple[str, ...] = ()

    def write(self, place: Path) -> Path:
        """Make the folder below `place`."""
        root = place / self.folder
        for image, *_ in self.rows:
            (root / image).parent.mkdir(parents=True, exist_ok=True)
            (root / image).touch()
        for name, text in self.lists.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        return root


def _market(train: str, query: str, *gallery: str) -> tuple[tuple[str, str], ...]:
    parts = [(f"bounding_box_train/{train}", "train"), (f"query/{query}", "query")]
    return (*parts, *((f"bounding_box_test/{name}", "gallery") for name in gallery))


def _rows(names: tuple[tuple[str, str], ...], identities: str, cameras: str) -> tuple[tuple[str, str, str, str], ...]:
    return tuple(
        (image, split, identity, "" if camera == "-" else camera)
        for (image, split), identity, camera in zip(names, identities.split(), cameras.split(), strict=True)
    )


MARKET = Miniature(
    "market1501",
    "Market-1501-v15.09.15",
    _rows(
        _market(
            "0002_c1s1_000451_03.jpg", "0001_c1s1_001051_00.jpg",
            "-1_c1s1_000401_03.jpg", "0000_c1s1_000151_01.jpg", "0001_c1s1_001076_01.jpg",
            "0001_c6s4_000810_05.jpg.jpg", "0003_c1s2_000001_01.jpg",
        ),
        "0002 0001 -1 0000 0001 0001 0003",
        "c1 c1 c1 c1 c1 c6 c1",
    ),
    junk=("-1",),
    distractors=("0000",),
)  # fmt: skip
MARKET_STYLE = Miniature(
    "market-style",
    "people",
    _rows(
        _market("7_c1_a.jpg", "8_c10_b.jpg", "8_c10_c.jpg", "8_c11_d.png", "0000_c10_e.jpg", "9_c10_f.jpg"),
        "7 8 8 8 0000 9",
        "c1 c10 c10 c11 c10 c10",
    ),
    junk=("-1",),
    distractors=("0000",),
)
DUKE_ROWS = _rows(
    _market(
        "0003_c1_f0044158.jpg", "0005_c2_f0046985.jpg",
        "0005_c2_f0047105.jpg", "0005_c5_f0051781.jpg", "0009_c2_f0000001.jpg",
    ),
    "0003 0005 0005 0005 0009",
    "c1 c2 c2 c5 c2",
)  # fmt: skip
DUKE = Miniature("dukemtmc", "DukeMTMC-reID", DUKE_ROWS)
OCCLUDED_DUKE = Miniature("occluded-duke", "Occluded_Duke", DUKE_ROWS)
CUHK03 = Miniature(
    "cuhk03-np",
    "detected",
    _rows(
        _market("0001_c1_1.png", "0003_c1_21.png", "0003_c1_22.png", "0003_c2_26.png", "0004_c1_31.png"),
        "0001 0003 0003 0003 0004",
        "c1 c1 c1 c2 c1",
    ),
)


def _msmt17(layout: str, folder: str, train: str, test: str) -> Miniature:
    lines = {
        "list_train.txt": ["0000/0000_000_01_0303morning_0015_0.jpg"],
        "list_val.txt": ["0000/0000_001_01_0303morning_0016_0.jpg"],
        "list_query.txt": ["0000/0000_000_01_0303noon_0008_0_ex.jpg"],
        "list_gallery.txt": [
            "0000/0000_001_01_0303noon_0009_0.jpg",
            "0000/0000_002_15_0113afternoon_0010_12.jpg",
            "0001/0001_000_01_0302morning_0001_0.jpg",
        ],
    }
    names = tuple(
        (f"{train if split == 'train' else test}/{line}", split)
        for split in ("train", "query", "gallery")
        for line in lines[f"list_{split}.txt"]
    )
    return Miniature(
        layout,
        folder,
        _rows(names, "train-0000 0000 0000 0000 0001", "01 01 01 15 01"),
        {name: "".join(f"{line} {int(line[:4])}\n" for line in found) for name, found in lines.items()},
    )


MSMT17_V1 = _msmt17("msmt17-v1", "MSMT17_V1", "train", "test")
MSMT17_V2 = _msmt17("msmt17-v2", "MSMT17_V2", "mask_train_v2", "mask_test_v2")
VERI = Miniature(
    "veri776",
    "VeRi",
    _rows(
        (
            ("image_train/0001_c001_00016450_0.jpg", "train"),
            ("image_query/0002_c002_00030600_0.jpg", "query"),
            ("image_test/0002_c002_00030600_0.jpg", "gallery"),
            ("image_test/0002_c003_00084280_0.jpg", "gallery"),
            ("image_test/0005_c002_00084290_1.jpg", "gallery"),
        ),
        "0001 0002 0002 0002 0005",
        "c001 c002 c002 c003 c002",
    ),
)
LTCC = Miniature(
    "ltcc",
    "LTCC_ReID",
    _rows(
        (
            ("train/001_1_c2_000001.png", "train"),
            ("query/000_1_c11_015833.png", "query"),
            ("test/000_1_c11_015834.png", "gallery"),
            ("test/000_1_c3_000002.png", "gallery"),
            ("test/000_2_c3_000003.png", "gallery"),
            ("test/002_1_c11_000004.png", "gallery"),
        ),
        "001 000 000 000 000 002",
        "c2 c11 c11 c3 c3 c11",
    ),
    clothes=("001-1", "000-1", "000-1", "000-1", "000-2", "002-1"),
)


def _prcc(layout: str, camera: str, clothes: str) -> Miniature:
    rows = (
        ("rgb/train/001/A_cropped_rgb001.jpg", "train"),
        ("rgb/train/001/C_cropped_rgb002.jpg", "train"),
        (f"rgb/test/{camera}/005/cropped_rgb001.jpg", "query"),
        ("rgb/test/A/005/cropped_rgb001.jpg", "gallery"),
        ("rgb/test/A/006/cropped_rgb001.jpg", "gallery"),
    )
    return Miniature(
        layout,
        "prcc",
        _rows(rows, "001 001 005 005 006", f"A C {camera} A A"),
        rules=(),
        clothes=("001-AB", "001-C", f"005-{clothes}", "005-AB", "006-AB"),
    )


PRCC = _prcc("prcc", "C", "C")
PRCC_SAME = _prcc("prcc-same", "B", "AB")
VC_CLOTHES = Miniature(
    "vc-clothes",
    "VC-Clothes",
    _rows(
        (
            ("train/0300-01-01-00.jpg", "train"),
            ("query/0001-03-01-00.jpg", "query"),
            ("gallery/0001-03-01-01.jpg", "gallery"),
            ("gallery/0001-04-02-00.jpg", "gallery"),
            ("gallery/0002-03-01-00.jpg", "gallery"),
        ),
        "0300 0001 0001 0001 0002",
        "01 03 03 04 03",
    ),
    clothes=("0300-01", "0001-01", "0001-01", "0001-02", "0002-01"),
)
CELEB = Miniature(
    "celeb-reid",
    "Celeb-reID",
    _rows(
        (
            ("train/1_1_0.jpg", "train"),
            ("query/1_2_0.jpg", "query"),
            ("gallery/1_21_0.jpg", "gallery"),
            ("gallery/1_3_0.jpg", "gallery"),
            ("gallery/12_4_0.jpg", "gallery"),
        ),
        "train-1 1 1 1 12",
        "- - - - -",
    ),
    rules=(),
)
DEEPCHANGE = Miniature(
    "deepchange",
    "DeepChangeDataset",
    _rows(
        (
            ("train-set/P3_C12_20200410_09_001_12.jpg", "train"),
            ("test-set-query/P5_C12_20200411_10_001_1.jpg", "query"),
            ("test-set-gallery/P5_C12_20200411_10_001_2.jpg", "gallery"),
            ("test-set-gallery/P5_C12_20200412_10_002_1.jpg", "gallery"),
            ("test-set-gallery/P6_C2_20200411_10_003_1.jpg", "gallery"),
        ),
        "P3 P5 P5 P5 P6",
        "C12 C12 C12 C12 C2",
    ),
    {
        "train-set-bbox.txt": "P3_C12_20200410_09_001_12.jpg,57\n",
        "test-set-query-bbox.txt": "P5_C12_20200411_10_001_1.jpg,60\r\n",
        "test-set-gallery-bbox.txt": "P5_C12_20200411_10_001_2.jpg,60\nP5_C12_20200412_10_002_1.jpg,61\n"
        "P6_C2_20200411_10_003_1.jpg,62\n",
    },
    rules=("identity+tracklet",),
)
SYSU = Miniature(
    "sysu-mm01",
    "SYSU-MM01",
    _rows(
        (
            ("cam1/0001/0001.jpg", "train"),
            ("cam3/0002/0001.jpg", "train"),
            ("cam3/0006/0001.jpg", "query"),
            ("cam6/0006/0001.jpg", "query"),
            ("cam2/0006/0001.jpg", "gallery"),
            ("cam2/0010/0001.jpg", "gallery"),
            ("cam4/0006/0002.jpg", "gallery"),
            ("cam4/0010/0001.jpg", "gallery"),
            ("cam5/0010/0001.jpg", "gallery"),
        ),
        "0001 0002 0006 0006 0006 0010 0006 0010 0010",
        "1 3 3 6 2 2 4 4 5",
    ),
    {"exp/train_id.txt": "1,7\n", "exp/val_id.txt": "2\n", "exp/test_id.txt": "6,10"},
    rules=("place",),
)
MARKET_BY_PERSON = Miniature(
    "market1501-by-person",
    "pytorch",
    _rows(
        (
            ("train/0002/0002_c1s1_000451_03.jpg", "train"),
            ("query/0001/0001_c1s1_001051_00.jpg", "query"),
            ("gallery/-1/-1_c1s1_000401_03.jpg", "gallery"),
            ("gallery/0000/0000_c1s1_000151_01.jpg", "gallery"),
            ("gallery/0001/0001_c1s1_001076_01.jpg", "gallery"),
            ("gallery/0001/0001_c2s1_000301_01.jpg", "gallery"),
        ),
        "0002 0001 -1 0000 0001 0001",
        "c1 c1 c1 c1 c1 c2",
    ),
    junk=("-1",),
    distractors=("0000",),
)
BY_PERSON = Miniature(
    "by-person",
    "people",
    _rows(
        (
            ("train/carla/1.jpg", "train"),
            ("query/anna/1.webp", "query"),
            ("gallery/anna/2.tiff", "gallery"),
            ("gallery/bert/7_c1_1.jpg", "gallery"),
        ),
        "carla anna anna bert",
        "- - - c1",
    ),
)
MINIATURES = (
    MARKET, MARKET_STYLE, DUKE, OCCLUDED_DUKE, CUHK03, MSMT17_V1, MSMT17_V2, VERI, LTCC, PRCC, PRCC_SAME, VC_CLOTHES,
    CELEB, DEEPCHANGE, SYSU, MARKET_BY_PERSON, BY_PERSON,
)  # fmt: skip
