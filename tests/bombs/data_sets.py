"""Bombs that are data sets and submissions: text, Parquet, Zip."""

import itertools
import struct
import zipfile
from pathlib import Path

import numpy as np

from bombs.files import HEAD, MARKS, N_IMAGES, REID, data_set, image_ids, listed, submission, words

# Text


def long_image_id(folder: Path) -> None:
    """One image id of 100,000 letters."""
    data_set(folder, HEAD + REID, f"image,split\n{'a' * 100_000},train\n")


def long_image_id_with_dots(folder: Path) -> None:
    """One image id of letters and dots, which end in a character that no path has."""
    data_set(folder, HEAD + REID, f"image,split\n{'a.' * 50_000}\\,train\n")


def many_labels(folder: Path) -> None:
    """14,000 labels of one task."""
    data_set(folder, HEAD + f'[tasks.gender]\naspect = "a"\nlabels = [{listed(14_000)}]\n')


def many_tasks(folder: Path) -> None:
    """2,400 tasks, whose columns are all missing."""
    tasks = (f'[tasks.{word}]\naspect="a"\nlabels=["x","y"]\n' for word in itertools.islice(words(), 2_400))
    data_set(folder, HEAD + "".join(tasks))


def many_unknown_keys(folder: Path) -> None:
    """12,000 keys that benchmark.toml does not have."""
    data_set(folder, HEAD + "".join(f"{word}=1\n" for word in itertools.islice(words(), 12_000)))


def many_columns(folder: Path) -> None:
    """1,000 columns and 1,000 tasks of other names."""
    names = list(itertools.islice(words(), 2_000))
    tasks = "".join(f'[tasks.{word}]\naspect="a"\nlabels=["x","y"]\n' for word in names[:1_000])
    data_set(folder, HEAD + tasks, ",".join(["image", "split", *names[1_002:]]) + "\na.jpg,query" + "," * 998)


def many_labels_of_many_images(folder: Path) -> None:
    """4,096 labels of a task that takes several, and 5,000 images: 20 million decisions."""
    rows = "".join(f"{row},query,{word}\n" for row, word in enumerate(itertools.islice(words(), 5_000)))
    data_set(folder, HEAD + MARKS % listed(4_096), f"image,split,marks\n{rows}")


def labels_of_few_images(folder: Path) -> None:
    """4,096 labels, and as many of them in each of four cells as fit."""
    cell = "|".join(itertools.islice(words(), 4_096))
    rows = "".join(f"{row},train,{cell}\n" for row in range(4))
    data_set(folder, HEAD + MARKS % listed(4_096), f"image,split,marks\n{rows}")


def many_unused_columns(folder: Path) -> None:
    """998 columns that no task has, and 500 tasks whose columns are missing."""
    names = list(itertools.islice(words(), 1_498))
    tasks = "".join(f'[tasks.{word}]\naspect="a"\nlabels=["x","y"]\n' for word in names[:500])
    data_set(folder, HEAD + tasks, ",".join(["image", "split", *names[500:]]) + "\na.jpg,query" + "," * 998)


def many_wrong_labels(folder: Path) -> None:
    """8,000 labels that the task does not have."""
    rows = "".join(f"{row},query,{word}\n" for row, word in enumerate(itertools.islice(words(), 8_000)))
    data_set(folder, HEAD + MARKS % '"zzzz"', f"image,split,marks\n{rows}")


def many_wrong_splits(folder: Path) -> None:
    """10,000 splits that do not exist."""
    rows = "".join(f"{row},{word}\n" for row, word in enumerate(itertools.islice(words(), 10_000)))
    data_set(folder, HEAD + REID, f"image,split\n{rows}")


# Parquet


def constant_table(folder: Path) -> None:
    """Annotations of 20 million rows that are all the same, as run lengths."""
    parquet_table(folder, ["image", "split", "identity"], 20_000_000)


def parquet_table(folder: Path, names: list[str], n_rows: int) -> None:
    """Writes annotations in which each column holds one text in all rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int8)), pa.array(["a"]))
    table = pa.table(dict.fromkeys(names, column))
    pq.write_table(table, folder / "annotations.parquet", compression="zstd", row_group_size=n_rows)
    data_set(folder, HEAD + REID, "")


def wide_table(folder: Path) -> None:
    """Annotations of a million rows in 200 columns."""
    parquet_table(folder, ["image", "split", *(f"c{number}" for number in range(198))], 1_000_000)


def long_text_in_table(folder: Path) -> None:
    """Annotations whose only text of 1 MB stands in 3,000 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000, np.int8)), pa.array(["a" * (1 << 20)]))
    table = pa.table({"image": column, "split": column})
    pq.write_table(table, folder / "annotations.parquet", compression="zstd")
    data_set(folder, HEAD + REID, "")


def long_texts_in_table(folder: Path) -> None:
    """Annotations of 1,500 texts of 1 MB each, packed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([f"{'a' * (1 << 20)}{number}" for number in range(1_500)])
    table = pa.table({"image": texts})
    pq.write_table(table, folder / "annotations.parquet", compression="zstd", use_dictionary=False)
    data_set(folder, HEAD + REID, "")


def constant_embedding(folder: Path) -> None:
    """A submission of 4,000 x 65,536 equal numbers, as run lengths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = submission(folder, "submission.parquet")
    values = pa.array(np.ones(N_IMAGES * 65_536, np.float16))
    table = pa.table({"image": image_ids(), "embedding": pa.FixedSizeListArray.from_arrays(values, 65_536)})
    pq.write_table(table, path, compression="zstd")


def wide_texts_in_submission(folder: Path) -> None:
    """A submission with one label of 1,024 letters, in each of its rows, for 20 tasks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"t{number}" for number in range(20)]
    tasks = "".join(f'[tasks.{name}]\naspect = "a"\nlabels = ["x", "y"]\n' for name in names)
    path = submission(folder, "submission.parquet", HEAD + tasks, names)
    table = pa.table({"image": image_ids()} | dict.fromkeys(names, ["x" * 1024] * N_IMAGES))
    pq.write_table(table, path, compression="zstd")


def table_of_lies(folder: Path) -> None:
    """Annotations of 100 million rows, of which the footer says that they are 100."""
    parquet_table(folder, ["image", "split"], 100_000_000)
    say_less(folder / "annotations.parquet", 100_000_000)


def embedding_of_lies(folder: Path) -> None:
    """A submission of 4,000 x 65,536 equal numbers, of whose pages the footer says that they are small."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = submission(folder, "submission.parquet")
    values = pa.array(np.ones(N_IMAGES * 8_000, np.float16))
    table = pa.table({"image": image_ids(), "embedding": pa.FixedSizeListArray.from_arrays(values, 8_000)})
    pq.write_table(table, path, compression="zstd")
    say_less(path, N_IMAGES * 8_000)


def say_less(path: Path, most: int) -> None:
    """Makes the footer of a Parquet file say 100 wherever it says `most` or up to 10% more or 99% less."""
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    text = content[footer:-8]
    for number in sizes_in(path, most):
        old = varint(2 * number)
        new = bytearray(varint(200).ljust(len(old), b"\0"))
        for place in range(len(old) - 1):
            new[place] |= 128  # a number may have leading zeros
        text = text.replace(old, bytes(new))
    path.write_bytes(content[:footer] + text + content[-8:])


def sizes_in(path: Path, most: int) -> list[int]:
    """The large numbers in a footer."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    found = {metadata.num_rows}
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        found |= {group.num_rows, group.total_byte_size}
        for chunk in map(group.column, range(group.num_columns)):
            found |= {chunk.num_values, chunk.total_uncompressed_size}
    return sorted(number for number in found if number > most // 100)


def varint(number: int) -> bytes:
    """A whole number as Thrift writes it."""
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def shared_prefixes(folder: Path) -> None:
    """Annotations of 3,000 texts of 100 kB, each of which is said to begin like the one before."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([f"{'a' * 100_000}{number}" for number in range(3_000)])
    options = {"compression": "zstd", "use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}}
    pq.write_table(pa.table({"image": texts}), folder / "annotations.parquet", **options)
    data_set(folder, HEAD + REID, "")


def row_groups_of_one_page(folder: Path) -> None:
    """Annotations of 400 row groups, whose pages of 16 MB unpack one after the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"image": pa.array(["a" * (1 << 24)])})
    with pq.ParquetWriter(
        folder / "annotations.parquet", table.schema, compression="zstd", write_statistics=False, use_dictionary=False
    ) as file:
        for _ in range(60):
            file.write_table(table)
    say_less(folder / "annotations.parquet", 1 << 24)
    data_set(folder, HEAD + REID, "")


# Zip


def long_names_in_zip(folder: Path) -> None:
    """An upload that holds four names of 24,000 letters."""
    with zipfile.ZipFile(folder / "upload.zip", "w") as archive:
        for number in range(4):
            archive.writestr("a" * 24_000 + str(number), b"")


def litter_in_zip(folder: Path) -> None:
    """A submission beside 1,900 files that a file manager left behind."""
    path = submission(folder, "submission.npz")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(800):
            archive.writestr(f"__MACOSX/{number}", b"")


def zeros_in_zip(folder: Path) -> None:
    """A submission of 80 MB of zeros, packed a thousand times smaller."""
    path = submission(folder, "submission.npz")
    np.savez_compressed(path, image=np.array(image_ids()), embedding=np.zeros((N_IMAGES, 10_000), np.float16))


def wide_bytes_in_zip(folder: Path) -> None:
    """A submission of image ids of 1,024 bytes each, which need four times as much as text."""
    path = submission(folder, "submission.npz")
    ids = np.array([("a" * 1024).encode()] + [b""] * (2 * N_IMAGES - 1))
    np.savez_compressed(path, image=ids, embedding=np.zeros((N_IMAGES, 10), np.float16))


def nested_header(folder: Path) -> None:
    """A .npy header of 4,096 brackets."""
    path = submission(folder, "submission.npz")
    header = b"(" * 2040 + b")" * 2040
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


def nested_meta(folder: Path) -> None:
    """A meta of 60,000 brackets."""
    path = submission(folder, "submission.npz")
    np.savez_compressed(path, image=np.array(image_ids()), meta=np.array("[" * 60_000))
