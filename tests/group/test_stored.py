"""Only a groups file that this package wrote may be replaced."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from piq_bench.group.stored import (
    CSV_MARK,
    MAX_PARAMETERS_BYTES,
    METADATA_KEY,
    SCHEMA,
    foreign_file,
    parameters_file,
    parameters_text,
    was_written_here,
)

OWN = json.dumps({"schema": SCHEMA, "hash": "phash"})
HEAD = "image,phash,group,quality,bytes_sha256\n"


def table(folder: Path, text: str = HEAD, beside: str | None = OWN) -> Path:
    path = folder / "groups.csv"
    path.write_text(text, encoding="utf-8")
    if beside is not None:
        parameters_file(path).write_text(beside, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [HEAD, HEAD.replace("\n", ",source\r\n"), f"{CSV_MARK}{{}}\n"])
def test_own_tables_may_be_replaced(tmp_path: Path, text: str) -> None:
    path = table(tmp_path, text)
    assert was_written_here(path) and foreign_file(path) is None


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        (HEAD, None),  # no parameters
        (HEAD.replace("phash", "dhash"), OWN),  # the hash of other parameters
        ("notes of mine\n", OWN),
        (HEAD, "{"),
        (HEAD, "[]"),
        (HEAD, OWN.replace(SCHEMA, "other/1")),
        (HEAD, OWN + " " * MAX_PARAMETERS_BYTES),
    ],
)
def test_other_tables_may_not(tmp_path: Path, text: str, beside: str | None) -> None:
    path = table(tmp_path, text, beside)
    assert not was_written_here(path) and foreign_file(path) == path


def test_parameters_that_are_not_ours_are_not_replaced(tmp_path: Path) -> None:
    path = table(tmp_path, beside="{}")
    path.unlink()
    assert foreign_file(path) == parameters_file(path)
    parameters_file(path).unlink()
    assert foreign_file(path) is None
    parameters_file(path).symlink_to(tmp_path / "elsewhere")
    assert foreign_file(path) == parameters_file(path)


def test_parameters_have_a_limit_and_belong_to_tables_in_text(tmp_path: Path) -> None:
    path = table(tmp_path, beside=OWN + " " * (MAX_PARAMETERS_BYTES - len(OWN)))
    assert len(parameters_text(path) or b"") == MAX_PARAMETERS_BYTES
    parameters_file(path).write_text("x" * (MAX_PARAMETERS_BYTES + 1), encoding="utf-8")
    with pytest.raises(ValueError, match=str(MAX_PARAMETERS_BYTES)):
        parameters_text(path)
    assert parameters_text(path.with_suffix(".parquet")) is None


def test_parquet_files_bear_the_mark_in_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "groups.parquet"
    pq.write_table(pa.table({"image": ["a"]}), path)
    assert foreign_file(path) == path
    pq.write_table(pa.table({"image": ["a"]}).replace_schema_metadata({METADATA_KEY: OWN}), path)
    assert foreign_file(path) is None
    pq.write_table(pa.table({METADATA_KEY.decode(): ["a"]}), path)
    assert foreign_file(path) == path
    path.write_bytes(b"damaged")
    assert foreign_file(path) == path
    assert not was_written_here(tmp_path)  # a folder


@pytest.mark.parametrize(("added", "is_own"), [(0, True), (1 << 16, False), (1 << 24, False), (1 << 31, False)])
def test_all_four_bytes_say_how_long_the_metadata_are(tmp_path: Path, added: int, is_own: bool) -> None:
    path = tmp_path / "groups.parquet"
    footer = bytes([0x18, len(METADATA_KEY)]) + METADATA_KEY + b"\x18"
    path.write_bytes(b"PAR1" + footer + (len(footer) + added).to_bytes(4, "little") + b"PAR1")
    assert was_written_here(path) is is_own
