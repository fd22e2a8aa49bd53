"""What the fuzzer feeds: for each reader, how an input is made from a valid file and how it is read.

Making an input takes a generator and gives the files of a folder by name. Reading takes the folder and may raise
`BadInput`, or what the reader's callers expect; everything else is a finding.
"""

import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from unittest.mock import patch

import numpy as np
from fuzz import boards, data_sets, samples
from fuzz.arrays import archive, npy
from fuzz.toml_files import changed_toml
from fuzz.values import changed_bytes, changed_json, json_bytes, some_text
from unpacking_here import unpack_here

from piq_bench.board.ledger import read_ledger
from piq_bench.board.metadata import read_metadata
from piq_bench.board.reference import read_reference
from piq_bench.board.result import read_result
from piq_bench.cli.compare import read_origin
from piq_bench.convert.safetensors import read_safetensors
from piq_bench.errors import BadSubmission
from piq_bench.group.cache import Cache
from piq_bench.group.hashes import hash_parameters
from piq_bench.group.stored import CSV_MARK, SCHEMA, checksums
from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import Unreadable
from piq_bench.images.lanczos import shrink
from piq_bench.read.dataset import inspect_dataset, read_benchmark
from piq_bench.read.submission import _limits, read_submission
from piq_bench.read.unpack_parquet import unpack
from piq_bench.read.upload import find_submission
from piq_bench.read.vocabulary import inspect_vocabulary
from piq_bench.records import Benchmark
from piq_bench.scoring.score import score

ENTRY = Path(__file__).parents[2] / "submissions"
Files = dict[str, bytes]
N_RESULTS = 4  # lines of the ledger that are changed


@dataclass(frozen=True)
class Reader:
    """How an input of a reader is made, and how it is read.

    Attributes:
        make: makes the files of an input.
        read: reads them from a folder.
        may_crash: whether the product reads such files in a process of its own, whose crash it takes for a refusal.
    """

    make: Callable[[Random], Files]
    read: Callable[[Path], object]
    may_crash: bool = False


@cache
def benchmark(folder: Path) -> Benchmark:
    """The valid benchmark, which is read once in each process, from a folder of its own."""
    return read_benchmark(samples.write_benchmark(Path(mkdtemp(dir=folder)) / "benchmark"))


def make_npz(draw: Random) -> Files:
    members = [(f"{name}.npy", npy(draw, values)) for name, values in samples.some_arrays(draw).items()]
    return {"entry.npz": archive(draw, members)}


def make_folder(draw: Random) -> Files:
    arrays = samples.some_arrays(draw)
    files = {f"{name}.npy": npy(draw, values) for name, values in arrays.items() if name != "meta"}
    return files | {"meta.json": json_bytes(draw, changed_json(draw, samples.META))}


def make_upload(draw: Random) -> Files:
    names = ["__MACOSX/._x", "readme.txt", ".DS_Store", "sub/y.npz", "\x1b.txt", "../x", ""]
    own = draw.choice(["submission.npz", "sub/submission.npz", "S.NPZ", "a/b/c/d.npz", "x\\y.npz"])
    others = [(draw.choice(names), b"x") for _ in range(draw.randrange(3))]
    return {"upload.zip": archive(draw, [(own, make_npz(draw)["entry.npz"]), *others])}


def read_and_score(path: Path, place: Path) -> None:
    submission = read_submission(path, benchmark(place), partial=True)
    if submission.order.size % 2 == 0 and submission.content[0] in "01":  # one in eight
        found = score(benchmark(place), submission, n_resamples=0)
        for value in found.aspects.values():
            assert value is None or 0 <= value <= 1, value


def read_upload(folder: Path) -> None:
    place = folder / "unpacked"
    place.mkdir()
    read_and_score(find_submission(folder / "upload.zip", place).path, folder.parent)


@cache
def parquet_files(kind: str) -> tuple[bytes, ...]:
    """Valid Parquet files, of a submission or of annotations, in several encodings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind == "submission":
        arrays = samples.ARRAYS
        table = pa.table({name: pa.array(arrays[name].tolist()) for name in ("image", "gender", "expression")})
        embedding = pa.array(arrays["embedding"].astype(np.float32).tolist(), pa.list_(pa.float32()))
        table = table.append_column("embedding", embedding).replace_schema_metadata({b"piq-bench": b'{"name": "m"}'})
    else:
        table = pa.table({name: [row[i] for row in samples.ROWS] for i, name in enumerate(samples.HEAD)})
    files = []
    for compression in ("none", "snappy", "zstd"):
        for version in ("1.0", "2.0"):
            stream = io.BytesIO()
            pq.write_table(table, stream, compression=compression, data_page_version=version, row_group_size=4)
            files.append(stream.getvalue())
    return tuple(files)


def changed_parquet(draw: Random, kind: str) -> bytes:
    """A Parquet file with changes in its footer, in its pages or anywhere; the sizes stay."""
    content = draw.choice(parquet_files(kind))
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    first, last = draw.choice([(footer, len(content) - 8), (4, footer), (0, len(content))])
    part = changed_bytes(draw, content[first:last])[: last - first].ljust(last - first, b"\0")
    return content[:first] + part + content[last:]


def changed_rows(draw: Random) -> bytes:
    """The annotations as CSV, with cells, rows or bytes changed."""
    rows = [list(row) for row in [samples.HEAD, *samples.ROWS]]
    for _ in range(draw.choice([1, 1, 2, 4])):
        row, kind = draw.choice(rows), draw.randrange(4)
        if kind < 2 and row:
            row[draw.randrange(len(row))] = some_text(draw)
        elif kind == 2:
            rows.insert(draw.randrange(len(rows)), list(draw.choice(rows)))
        else:
            draw.shuffle(rows)
    raw = samples.csv_text(rows, draw.choice(["\n", "\r\n", "\r"])).encode("utf-8", "surrogatepass")
    return changed_bytes(draw, raw) if draw.random() < 0.4 else raw


def make_annotations(draw: Random) -> Files:
    return {"benchmark.toml": samples.TOML.encode(), "annotations.csv": changed_rows(draw)}


def make_parquet_annotations(draw: Random) -> Files:
    return {"benchmark.toml": samples.TOML.encode(), "annotations.parquet": changed_parquet(draw, "annotations")}


def make_groups(draw: Random) -> Files:
    images, group = np.array(sorted(samples.IMAGES), dtype=object), np.array([0, 0, 2, 3, 4, 5])
    hashes = ["00ff00ff00ff00ff", "00ff00ff00ff00fe", "123456789abcdef0", "ffffffffffffffff", "0000000000000001", ""]
    parts = {"threshold": 6, "mode": "components", "within": None, "min_quality": 4.5, "images": images.size}
    header: object = {
        "schema": SCHEMA,
        **hash_parameters("phash"),
        **parts,
        **checksums(images, "phash", hashes, group),
    }
    rows = [[*map(str, cells), "9.5", "0123456789abcdef"] for cells in zip(images, hashes, group, strict=True)]
    if draw.random() < 0.5:
        draw.choice(rows)[draw.randrange(5)] = some_text(draw)
    else:
        header = changed_json(draw, header)
    table = samples.csv_text([["image", "phash", "group", "quality", "bytes_sha256"], *rows])
    first = f"{CSV_MARK} ".encode() + json_bytes(draw, header).replace(b"\n", b" ") + b"\n"
    content = first + table.encode("utf-8", "surrogatepass")
    own = {"groups.csv": changed_bytes(draw, content, 1) if draw.random() < 0.2 else content}
    if draw.random() < 0.5:
        parameters = json_bytes(draw, header)
        own = {"groups.csv": table.encode("utf-8", "surrogatepass"), "groups.csv.json": parameters}
    return own | {
        "benchmark.toml": samples.TOML.encode(),
        "annotations.csv": samples.csv_text([samples.HEAD, *samples.ROWS]).encode(),
    }


def read_dataset(folder: Path) -> None:
    with patch("piq_bench.read.table.unpack_apart", unpack_here):
        notes = inspect_dataset(folder).notes
    for note in notes:
        str(BadSubmission("notes", [note])).encode()


@cache
def entry_text(name: str) -> str:
    """A file of an entry that is in the repository."""
    return (ENTRY / name).read_text(encoding="utf-8")


def make_toml(name: str, content: Callable[[], str]) -> Callable[[Random], Files]:
    return lambda draw: {name: changed_toml(draw, content())}


def make_result(draw: Random) -> Files:
    return {"result.json": json_bytes(draw, changed_json(draw, json.loads(entry_text("colour-shape/result.json"))))}


def read_numbers(path: Path, read: Callable[[Path], object]) -> None:
    with suppress(ValueError):  # which their callers expect
        json.dumps(read(path), ensure_ascii=False, default=str).encode()


def make_ledger(draw: Random) -> Files:
    lines = entry_text("ledger.jsonl").splitlines()[:N_RESULTS]
    place = draw.randrange(len(lines))
    lines[place] = json_bytes(draw, changed_json(draw, json.loads(lines[place]))).decode("utf-8", "surrogateescape")
    return {"ledger.jsonl": ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")}


def read_ledger_file(folder: Path) -> None:
    for line in read_ledger(folder / "ledger.jsonl"):
        json.dumps(line.model_dump(), allow_nan=False)


@cache
def pictures() -> tuple[bytes, ...]:
    """A small picture in every format and mode that can be written."""
    from PIL import Image

    pixels, files = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 20, 3), dtype=np.uint8)), []
    for mode in ("RGB", "L", "CMYK", "P", "1", "RGBA", "I", "F"):
        for kind in ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF", "GIF"):
            stream = io.BytesIO()
            with suppress(OSError, ValueError):
                pixels.convert("L" if mode in "IF" else mode).convert(mode).save(stream, kind)
                files.append(stream.getvalue())
    return tuple(files)


def read_picture(folder: Path) -> None:
    with strict_decoding():
        try:
            pixels = decode((folder / "picture").read_bytes())
        except Unreadable:
            return
    assert shrink([pixels]).shape == (1, 32, 32)


def make_cache(draw: Random) -> Files:
    lines = ["{}", *(json.dumps([f"{i}.jpg", 10, 5, f"{i:016x}", 1.5, f"{i:016x}"]) for i in range(3))]
    lines[draw.randrange(1, 4)] = json_bytes(draw, changed_json(draw, json.loads(lines[1]))).decode("latin-1")
    return {"cache": changed_bytes(draw, "\n".join(lines).encode(), 1)}


def read_cache(folder: Path) -> None:
    with Cache(folder / "cache", {}) as found:
        assert not found.known


def make_safetensors(draw: Random) -> Files:
    entry = {"dtype": "F16", "shape": [6, 4], "data_offsets": [0, 48]}
    header = json_bytes(draw, changed_json(draw, {"__metadata__": {"names": '["a"]'}, "features": entry}))
    content = len(header).to_bytes(8, "little") + header + samples.EMBEDDING.tobytes()
    return {"features.safetensors": changed_bytes(draw, content, 1) if draw.random() < 0.3 else content}


READERS = {
    "npz": Reader(make_npz, lambda folder: read_and_score(folder / "entry.npz", folder.parent)),
    "npy folder": Reader(make_folder, lambda folder: read_and_score(folder, folder.parent)),
    "upload": Reader(make_upload, read_upload),
    "Parquet submission": Reader(
        lambda draw: {"entry.parquet": changed_parquet(draw, "submission")},
        lambda folder: unpack(folder / "entry.parquet", _limits(benchmark(folder.parent))),
        may_crash=True,
    ),
    "annotations": Reader(make_annotations, read_dataset),
    "Parquet annotations": Reader(make_parquet_annotations, read_dataset, may_crash=True),
    "groups": Reader(make_groups, read_dataset),
    "benchmark.toml": Reader(
        make_toml("benchmark.toml", lambda: samples.TOML), lambda folder: inspect_vocabulary(folder / "benchmark.toml")
    ),
    "metadata.toml": Reader(
        make_toml("metadata.toml", lambda: entry_text("colour-shape/metadata.toml")), read_metadata
    ),
    "reference": Reader(
        make_toml("submission.ref.toml", lambda: samples.REFERENCE),
        lambda folder: read_reference(folder / "submission.ref.toml"),
    ),
    "result": Reader(make_result, lambda folder: read_numbers(folder / "result.json", read_result)),
    "score file": Reader(
        lambda draw: {
            "score.json": json_bytes(
                draw, changed_json(draw, json.loads(entry_text("colour-shape/result.json"))["score"])
            )
        },
        lambda folder: read_numbers(folder / "score.json", read_origin),
    ),
    "ledger": Reader(make_ledger, read_ledger_file),
    "picture": Reader(lambda draw: {"picture": changed_bytes(draw, draw.choice(pictures()))}, read_picture),
    "hashing cache": Reader(make_cache, read_cache),
    "safetensors": Reader(make_safetensors, lambda folder: read_safetensors(folder / "features.safetensors")),
    "list of names": Reader(data_sets.make_names, data_sets.read_list),
    "data set of others": Reader(data_sets.make_layout, data_sets.read_layout),
    ".mat of a data set": Reader(data_sets.make_mat, data_sets.read_table_of_mat),
    ".mat of features": Reader(data_sets.make_mat, data_sets.read_features_of_mat, may_crash=True),
    "sealed result": Reader(boards.make_sealed_result, boards.read_to_board),
}
"""By name."""
ALL_READERS = dict(READERS)
"""With the one that imports torch; `python tests/fuzz` has it too, the tests do not."""
if find_spec("torch") is not None:
    ALL_READERS["torch file"] = Reader(data_sets.make_torch, data_sets.read_torch_file, may_crash=True)
