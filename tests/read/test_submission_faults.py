"""Every fault of a submission is refused with its code, place, remedy and exit code, and without a traceback."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from submission_builders import (
    N,
    arrays,
    as_folder,
    as_parquet,
    at,
    bomb,
    changed,
    check,
    cut,
    encrypted,
    fifo,
    flipped,
    header,
    link,
    long_directory,
    long_lists,
    member,
    meta,
    meta_points,
    meta_text,
    not_utf8,
    npy,
    packed_emptiness,
    raw,
    save,
    twice,
    without,
)

Fault = tuple[Callable[[Path], Path], str, list[str]]
FAULTS: dict[str, Fault] = {
    "missing image": (changed("image", at(3, "m/2.jpg")), "missing-image", ["1 gallery image", "'m/3.jpg'"]),
    "duplicate image": (changed("image", at(3, "m/2.jpg")), "duplicate-image", ["row 3 ('m/2.jpg')", "row 2"]),
    "unknown image": (changed("image", at(3, "x/9.jpg")), "unknown-image", ["row 3 ('x/9.jpg'): is unknown"]),
    "train image": (changed("image", at(3, "t/0.jpg")), "unknown-image", ["is a train image"]),
    "backslash in image": (changed("image", at(3, "m\\3.jpg")), "unknown-image", ["did you mean 'm/3.jpg'?"]),
    "another root": (changed("image", at(3, "D:\\set\\M\\3.PNG")), "unknown-image", ["did you mean 'm/3.jpg'?"]),
    "name alone": (changed("image", at(3, "3.png")), "unknown-image", ["did you mean 'm/3.jpg'?"]),
    "other extension": (changed("image", at(3, "M/3.PNG")), "unknown-image", ["did you mean 'm/3.jpg'?"]),
    "absolute paths": (
        changed("image", lambda v: np.char.add("/data/tiny/", v)),
        "unknown-image",
        ["[name.removeprefix('/data/tiny/') for name in image]"],
    ),
    "paths of Windows": (
        changed("image", lambda v: np.char.add("C:\\tiny\\", np.char.replace(v, "/", "\\"))),
        "unknown-image",
        [r"[name.replace('\\', '/').removeprefix('C:/tiny/') for name in image]"],
    ),
    "bare names": (
        changed("image", lambda v: np.char.replace(v, "m/", "")), "unknown-image", ["['m/' + name for name in image]"]
    ),
    "terminal escape in image": (changed("image", at(3, "\x1b[31m")), "unknown-image", ["'\\x1b[31m'"]),
    "too few rows": (changed("image", lambda v: v[:5]), "missing-image", ["3 gallery images are missing"]),
    "images are numbers": (changed("image", lambda v: np.arange(N)), "bad-dtype", ["dtype <i8", "text"]),
    "images are a table": (changed("image", lambda v: v[:, None]), "bad-shape", ["(8, 1)", "(8,)"]),
    "no image array": (without("image"), "missing-array", ["image", "is missing"]),
    "surrogates in text": (
        changed("image", lambda v: np.frombuffer(np.full(N, 0xD800, np.uint32).tobytes(), "<U1")),
        "bad-text",
        ["not characters"],
    ),
    "code points beyond Unicode": (
        changed("image", lambda v: np.frombuffer(np.full(N, 0x7FFFFFFF, np.uint32).tobytes(), "<U1")),
        "bad-text",
        ["not characters"],
    ),
    "NaN": (changed("embedding", at(2, np.nan)), "not-finite", ["row 2 ('m/2.jpg'): 4 of 4 values are NaN"]),
    "Inf": (changed("embedding", at(2, [1, np.inf, 1, 1])), "not-finite", ["1 of 4 values are Inf"]),
    "zero vector": (changed("embedding", at(5, 0)), "zero-vector", ["row 5 ('m/5.jpg')", "euclidean"]),
    "float64 beyond float32": (
        changed("embedding", lambda v: np.where(np.arange(N) == 2, 1e39, v.T.astype(float)).T),
        "not-finite",
        ["row 2", "3.4e38"],
    ),
    "float64 that rounds to zero": (
        changed("embedding", lambda v: np.where(np.arange(N) == 5, 1e-60, v.T.astype(float)).T),
        "zero-vector",
        ["row 5 ('m/5.jpg')"],
    ),
    "integer embedding": (changed("embedding", lambda v: v.astype(int)), "bad-dtype", ["<i8", "float32"]),
    "complex embedding": (changed("embedding", lambda v: v.astype(complex)), "bad-header", ["numbers and text"]),
    "flat embedding": (changed("embedding", lambda v: v[:, 0]), "bad-shape", ["(8,)", "(8, D)"]),
    "cube embedding": (changed("embedding", lambda v: v[:, :, None]), "bad-shape", ["(8, 4, 1)"]),
    "no dimension": (changed("embedding", lambda v: v[:, :0]), "bad-shape", ["dimension 0"]),
    "short embedding": (changed("embedding", lambda v: v[:7]), "wrong-row-count", ["7 rows", "expected 8"]),
    "wide embedding": (changed("embedding", lambda v: np.ones((N, 70_000), "f2")), "bad-shape", ["70000 columns"]),
    "no embedding": (without("embedding"), "missing-array", ["embedding", "--partial"]),
    "no task": (without("mood"), "missing-array", ["mood", "--partial"]),
    "typing error in a label": (changed("age", at(7, "aduld")), "unknown-label", ["row 7 ('m/7.jpg')", "'adult'?"]),
    "labels with blanks": (
        changed("age", lambda v: np.char.add(v, " ")), "unknown-label", ["'old'?", ": numpy.char.strip(labels)"]
    ),
    "labels in capitals": (
        changed("age", lambda v: np.char.upper(v)),
        "unknown-label",
        ["did you mean 'child'?", ": numpy.char.lower(numpy.char.strip(labels))"],
    ),
    "logits": (changed("mood", lambda v: 9 * v - 5), "not-a-probability", ["1 / (1 + numpy.exp(-logits))"]),
    "empty label": (changed("age", at(7, "")), "unknown-label", ["'': unknown label", "'child', 'adult', 'old'"]),
    "label index too high": (changed("age", lambda v: np.arange(N)), "label-out-of-range", ["'3': no index", "0 to 2"]),
    "negative label index": (changed("age", lambda v: np.full(N, -1)), "label-out-of-range", ["'-1' (and in "]),
    "huge label index": (
        changed("age", lambda v: np.full(N, 2**64 - 1, np.uint64)), "label-out-of-range", ["18446744073709551615"]
    ),
    "flat floats": (changed("age", lambda v: np.ones(N)), "bad-dtype", ["label names, indices 0 to 2"]),
    "flat bools": (changed("age", lambda v: np.ones(N, bool)), "bad-dtype", ["label names, indices 0 to 2"]),
    "wrong C": (changed("age", lambda v: np.ones((N, 4))), "wrong-label-count", ["4 columns, but", "3 labels"]),
    "NaN score": (changed("age", lambda v: np.full((N, 3), np.nan)), "not-finite", ["3 of 3 values are NaN"]),
    "texts as scores": (changed("age", lambda v: np.full((N, 3), "1")), "bad-dtype", ["(8, 3)"]),
    "probability of 1.5": (changed("mood", at(4, [0.2, 1.5])), "not-a-probability", ["row 4", "'sad' is 1.5"]),
    "negative probability": (changed("mood", at(4, -0.1)), "not-a-probability", ["'happy' is -0.1"]),
    "multi-label of 2": (changed("mood", lambda v: np.full((N, 2), 2)), "not-a-probability", ["is 2"]),
    "multi-label NaN": (changed("mood", at(4, np.nan)), "not-finite", ["2 of 2 values are NaN"]),
    "flat multi-label": (changed("mood", lambda v: np.ones(N, bool)), "bad-dtype", ["of shape (N, 2)"]),
    "wrong multi-label C": (changed("mood", lambda v: v[:, :1]), "wrong-label-count", ["1 columns"]),
    "byte strings as scores": (
        changed("age", lambda v: np.full((N, 3), b"old")), "bad-dtype", ["shape (8, 3)", "scores of shape"]
    ),
    "bytes that are not UTF-8": (changed("age", lambda v: np.full(N, b"\xff")), "bad-text", ["not UTF-8"]),
    "floats of 80 bits": (
        member("age.npy", header("{'descr': '<f16', 'fortran_order': False, 'shape': (8, 3), }")),
        "bad-header",
        ["at most 64 bits"],
    ),
    "the task's name for its array": (member("reid.npy", npy(arrays()["embedding"])), "unknown-array", ["'embedding'"]),
    "unknown array": (member("agee.npy", npy(arrays()["age"])), "unknown-array", ["agee", "did you mean 'age'?"]),
    "invalid JSON": (meta_text("{name: x}"), "bad-meta", ["is not valid JSON"]),
    "JSON list": (meta_text("[]"), "bad-meta", ["is a JSON list, not an object"]),
    "NaN in JSON": (meta_text('{"name": NaN}'), "bad-meta", ["name is nan, which is not a finite number"]),
    "key twice": (meta_text('{"name": "a", "name": "b"}'), "bad-meta", ["a key occurs twice"]),
    "deeply nested JSON": (meta_text("[" * 30_000), "bad-meta", ["is not valid JSON"]),
    "long meta": (meta_text(json.dumps({"name": "x" * 70_000})), "bad-meta", ["64 KiB"]),
    "meta of numbers": (changed("meta", lambda v: 7), "bad-meta", ["write meta as a 0-d text array"]),
    "meta of rows": (changed("meta", lambda v: [str(v)] * 2), "bad-meta", ["write meta as a 0-d text array"]),
    "long name": (meta(name="x" * 500), "bad-meta", ["more than 200 characters"]),
    "empty name": (meta(name=" "), "bad-meta", ["1 to 200 printable characters"]),
    "no name": (meta(name=""), "bad-meta", ["it is empty"]),
    "terminal escape in the name": (meta(name="a\x1b[31m"), "bad-meta", ["control characters", "'a\\x1b[31m'"]),
    "text direction mark in the name": (meta(name="a\u202eb"), "bad-meta", ["control characters"]),
    "half a character in meta": (meta_text('{"authors": "\\ud800"}'), "bad-meta", ["is not valid JSON"]),
    "no code point in meta": (meta_points(16), "bad-meta", ["is not valid text"]),
    "no code point at the end of meta": (meta_points(0), "bad-meta", ["is not valid text"]),
    "endless number in JSON": (meta_text('{"year": 1e999}'), "bad-meta", ["year is inf, which is not a finite number"]),
    "name is a number": (meta(name=5), "bad-meta", ["name is '5', which is not text"]),
    "unknown distance": (meta(distance="manhattan"), "bad-meta", ["'manhattan'", "cosine or euclidean"]),
    "another benchmark": (meta(benchmark="huge"), "wrong-benchmark", ["'huge'", "'tiny'", "--dataset"]),
    "object array": (changed("age", lambda v: v.astype(object)), "bad-header", ["never loaded"]),
    "pickle": (raw(pickle.dumps({"a": 1})), "not-an-archive", ["is a Python pickle"]),
    "empty file": (raw(b""), "not-an-archive", ["empty"]),
    "text file": (raw(b"image,age\n"), "not-an-archive", ["not a zip archive"]),
    "zip of nothing": (raw(b"PK\x05\x06" + bytes(18)), "missing-array", ["image"]),
    "cut in half": (cut(1200), "not-an-archive", ["truncated or damaged"]),
    "cut near the end": (cut(-10 - 1200), "not-an-archive", ["truncated or damaged"]),
    "flipped bit": (flipped, "damaged", ["cannot be unpacked"]),
    "encrypted": (encrypted, "encrypted-member", ["without a password"]),
    "array twice": (twice, "duplicate-member", ["age", "once"]),
    "zip bomb": (bomb, "bad-shape", ["50000000 rows"]),
    "path out of the archive": (member("../age.npy", b""), "bad-member", ["'../age.npy'"]),
    "absolute path": (member("/etc/age.npy", b""), "bad-member", ["'/etc/age.npy'"]),
    "nested folder": (member("entry/age.npy", b""), "bad-member", ["'entry/age.npy'", "top level"]),
    "another file": (member("notes.txt", b"hello"), "bad-member", ["'notes.txt'"]),
    "not a .npy": (member("age.npy", b"hello, world"), "bad-header", ["magic bytes"]),
    "empty .npy": (member("age.npy", b""), "bad-header", ["magic bytes"]),
    "future .npy": (member("age.npy", header("{}", version=9)), "bad-header", ["version 9"]),
    "endless header": (member("age.npy", header("{" + " " * 9000)), "bad-header", ["9001 bytes"]),
    "header with code": (member("age.npy", header("__import__('os').abort()")), "bad-header", ["not a literal"]),
    "header of brackets": (member("age.npy", header("(" * 4000)), "bad-header", ["not a literal"]),
    "header of a list": (member("age.npy", header("[1, 2]")), "bad-header", ["descr, fortran_order and shape"]),
    "header that cannot be hashed": (member("age.npy", header("{[]: 1}")), "bad-header", ["not a literal dictionary"]),
    "header with a bad dtype": (
        member("age.npy", header("{'descr': '<q9', 'fortran_order': False, 'shape': (8,)}")),
        "bad-header",
        ["unknown dtype '<q9'"],
    ),
    "structured dtype": (
        changed("age", lambda v: np.zeros(N, dtype=[("a", "<f4"), ("b", "<i4")])), "bad-header", ["structured"]
    ),
    "dates": (changed("age", lambda v: np.zeros(N, "M8[s]")), "bad-header", ["numbers and text only"]),
    "negative shape": (
        member("age.npy", header("{'descr': '<i8', 'fortran_order': False, 'shape': (-8,)}")),
        "bad-header",
        ["not a tuple of sizes"],
    ),
    "header that declares more": (
        member("age.npy", header("{'descr': '<i8', 'fortran_order': False, 'shape': (8,)}", content=bytes(8))),
        "truncated",
        ["the header declares"],
    ),
    "header that declares less": (
        member("age.npy", header("{'descr': '<i8', 'fortran_order': False, 'shape': (8,)}", content=bytes(99))),
        "trailing-data",
        ["35 bytes follow"],
    ),
    "texts of 5000 characters": (changed("image", at(0, "x")), "unknown-image", ["'x'"]),
    "very wide texts": (changed("age", lambda v: v.astype("U5000")), "bad-shape", ["at most 1024 characters"]),
    "too many members": (
        lambda folder: save(folder / "entry.npz", {f"a{i}": np.ones(1) for i in range(99)}),
        "too-many-members",
        ["99 files inside", "at most 25"],
    ),
    "long directory": (long_directory, "not-an-archive", ["its directory is longer than"]),
    "packed emptiness": (packed_emptiness, "zip-bomb", ["bytes unpack to 130048000", "pass a folder"]),
    "link in a folder": (as_folder(link), "not-a-file", ["age.npy", "plain .npy files"]),
    "pipe in a folder": (as_folder(fifo), "not-a-file", ["age.npy"]),
    "subfolder": (as_folder(lambda path: (path / "more").mkdir()), "not-a-file", ["more"]),
    "stray file in a folder": (as_folder(lambda p: (p / "a.txt").touch()) , "bad-member", ["'a.txt'"]),
    "bad meta.json": (as_folder(lambda p: (p / "meta.json").write_bytes(b"\xff")) , "bad-meta", ["UTF-8"]),
    "long meta.json": (as_folder(lambda p: (p / "meta.json").write_text(" " * 70_000)), "bad-meta", ["64 KiB"]),
    "folder without images": (as_folder(lambda p: (p / "image.npy").unlink()), "missing-array", ["image"]),
    "cut .npy in a folder": (
        as_folder(lambda p: (p / "age.npy").write_bytes((p / "age.npy").read_bytes()[:-4])), "truncated", ["age"]
    ),
    "magic bytes of Parquet and nothing else": (raw(b"PAR1" + bytes(50)), "not-an-archive", ["truncated or damaged"]),
    "null in Parquet": (
        as_parquet(lambda c: c.update(age=["child", None, *["old"] * 6])), "null", ["first in row 1"]
    ),
    "ragged Parquet": (
        as_parquet(lambda c: c.update(mood=[[0.1, 0.2]] * 7 + [[0.1]])), "ragged", ["row 7 has 1 values"]
    ),
    "dates in Parquet": (
        as_parquet(lambda c: c.update(age=pa.array([0] * N, pa.date32()))), "bad-dtype", ["date32"]
    ),
    "column of meta in Parquet": (as_parquet(lambda c: c.update(meta=["{}"] * N)), "bad-meta", ["is a column"]),
    "long text in Parquet": (
        as_parquet(lambda c: c.update(age=["x" * 5000] * N)), "bad-text", ["a text of 5000 characters", "at most 1024"]
    ),
    "NUL in Parquet": (as_parquet(lambda c: c.update(age=["old\0"] * N)), "bad-text", ["NUL"]),
    "bytes that are not UTF-8 in Parquet": (as_parquet(lambda c: c.update(age=not_utf8())), "damaged", ["age", "UTF8"]),
    "misspelt column in Parquet": (
        as_parquet(lambda c: c.update(Age_=c.pop("age"))), "unknown-array", ["did you mean 'age'?"]
    ),
    "the task's name in Parquet": (
        as_parquet(lambda c: c.update(reid=c["embedding"])), "unknown-array", ["'embedding'"]
    ),
    "run lengths in Parquet": (
        as_parquet(lambda c: c.update(mood=long_lists())), "bad-shape", ["16000000 values in 8 rows", "at most 1024"]
    ),
    "structures in Parquet": (as_parquet(lambda c: c.update(age=[{"a": 1}] * N)), "bad-dtype", ["struct<a: int64>"]),
    "nulls in Parquet lists": (
        as_parquet(lambda c: c.update(mood=[[0.1, None]] * N)), "bad-dtype", ["nulls or values that are not numbers"]
    ),
    "long Parquet": (
        as_parquet(lambda c: c.update({name: ["x"] * 5000 for name in c})),
        "bad-shape",
        ["5000 rows"],
    ),
    "absent file": (lambda folder: folder / "absent.npz", "unreadable", ["no such file"]),
    "device": (lambda folder: Path("/dev/null"), "not-a-file", ["neither a file nor a folder"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_with_its_place_and_remedy(name: str, dataset: Path, tmp_path: Path) -> None:
    build, code, texts = FAULTS[name]
    result = check(build(tmp_path), dataset)
    assert result.exit_code == 3, result.output
    assert f"[{code}]" in result.stderr
    for text in texts:
        assert text in result.stderr
    assert "refused" in result.stderr and "->" in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""
