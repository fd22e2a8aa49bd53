"""Builds small files that once took gigabytes or minutes to read.

A bomb is a function of an empty folder, into which it writes. `read` reads what it finds there as a command would.
"""

import io
import itertools
import json
import string
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

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
            shrink(decode(files["picture"].read_bytes()))
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


# Features for `piq convert`


def mat_of_zeros(folder: Path) -> None:
    """A MATLAB file of 80 MB of zeros, packed."""
    from scipy.io import savemat

    savemat(folder / "features.mat", {"features": np.zeros((10_000, 1_000))}, do_compression=True)


def mat_of_cells(folder: Path) -> None:
    """A MATLAB file of 400,000 cells without content, each of which becomes an array."""
    from scipy.io import savemat

    names = np.empty((1, 400_000), dtype=object)
    names[:] = ""
    savemat(folder / "features.mat", {"features": np.zeros((2, 2)), "names": names}, do_compression=True)


def shared_tensors(folder: Path) -> None:
    """A safetensors file of 700 tensors that share 40 kB."""
    entry = {"dtype": "F16", "shape": [100, 200], "data_offsets": [0, 40_000]}
    header = json.dumps({f"t{number}": entry for number in range(700)}, separators=(",", ":")).encode()
    (folder / "features.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(40_000))


def torch_file(folder: Path, content: object) -> None:
    """Writes a file of torch.save."""
    import torch

    torch.save(content, folder / "features.pt")


def objects_in_torch_file(folder: Path) -> None:
    """A torch file of 1 kB whose objects its loader of weights does not know; torch itself takes 290 MB and 4 s."""
    with zipfile.ZipFile(folder / "features.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}X\x08\0\0\0features" + b"cnumpy\nndarray\n" * 50 + b"s.")
        archive.writestr("a/version", "3\n")


def expanded_tensor(folder: Path) -> None:
    """A torch file of one number, which is said to be 7 GB of them."""
    import torch

    torch_file(folder, {"features": torch.zeros(1).expand(1_000_000, 1_750)})


def expanded_tensors(folder: Path) -> None:
    """A torch file of one number, which is said to be 100 times 14 MB of them."""
    import torch

    number = torch.zeros(1)
    torch_file(folder, {f"features{place}": number.expand(3_500, 1_000) for place in range(100)})


def nested_keys(folder: Path) -> None:
    """A torch file with a key of 40 pairs within pairs, of which a hash takes hours.

    It is filled up to 2 kB, as torch alone takes more than a file of 1 kB may: 290 MB and 4 s.
    """
    import torch

    path = folder / "features.pt"
    torch.save({"features": torch.zeros(1)}, path)
    pairs = b"](" + b")q\x01" + b"h\x01h\x01\x86q\x01" * 40 + b"e" + b"}h\x01"
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = bytes(1_000)
        for name, data in members.items():
            archive.writestr(name, b"\x80\x02" + pairs + b"K\x01s." if name.endswith("data.pkl") else data)


def object_array(folder: Path) -> None:
    """A .npy file of Python objects."""
    np.save(folder / "features.npy", np.array([{}] * 20_000, dtype=object), allow_pickle=True)


def nested_pickle(folder: Path) -> None:
    """A pickle of lists within lists."""
    (folder / "features.pkl").write_bytes(b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b".")


def wide_frame(folder: Path) -> None:
    """A table of 16,000 columns in one row."""
    columns = [str(number) for number in range(16_000)]
    (folder / "features.csv").write_text(",".join(["path", *columns]) + "\na" + ",1" * 16_000 + "\n", encoding="utf-8")


# Pictures


def picture(folder: Path, data: bytes) -> None:
    """Writes a picture."""
    (folder / "picture").write_bytes(data)


def gif(folder: Path) -> None:
    """A GIF of 50 million pixels and no content, in 43 bytes."""
    size = struct.pack("<HH", 7_000, 7_000)
    head = b"GIF89a" + size + b"\x80\x00\x00" + b"\0\0\0\xff\xff\xff" + b"!\xf9\x04\x01\0\0\0\0\0"
    picture(folder, head + b",\0\0\0\0\1\0\1\0\0" + b"\x02\x02\x44\x01\0;")


def largest_webp(folder: Path) -> None:
    """A WebP of as many transparent pixels as 100 kB may have, most of which follow the picture."""
    picture(folder, saved("RGBA", (4_800, 4_900), "WEBP", lossless=True).ljust(100_000, b"\0"))


def smallest_webp(folder: Path) -> None:
    """A WebP of as many transparent pixels as any file may have."""
    picture(folder, saved("RGBA", (2_000, 2_000), "WEBP", lossless=True))


def largest_deep_png(folder: Path) -> None:
    """A PNG of as many pixels of 16 bits as 100 kB may have."""
    picture(folder, saved("I;16", (4_800, 4_900), "PNG").ljust(100_000, b"\0"))


def small_tiff_of_large_tiles(folder: Path) -> None:
    """The same as `tiff_of_large_tiles` in 1 kB."""
    tiff_of_large_tiles(folder, 1 << 20)


def webp(folder: Path) -> None:
    """A WebP of 50 million transparent pixels of one colour."""
    picture(folder, saved("RGBA", (7_000, 7_000), "WEBP", lossless=True))


def png_of(mode: str, side: int = 7_000) -> Bomb:
    """A PNG of pixels of one colour."""
    return lambda folder: picture(folder, saved(mode, (side, side), "PNG"))


def saved(mode: str, size: tuple[int, int], kind: str, **options: object) -> bytes:
    """A picture of one colour, as a file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.new(mode, size, 1).save(stream, kind, **options)
    return stream.getvalue()


def flat_tiff(folder: Path) -> None:
    """A TIFF of 49 million black or white pixels, packed by Group 4."""
    picture(folder, saved("1", (7_000, 7_000), "TIFF", compression="group4"))


def tiff_of_large_tiles(folder: Path, n_bytes: int = 64 << 20) -> None:
    """A TIFF of 10 x 10 pixels in one tile of 20,000 x 20,000, of which `n_bytes` are there."""
    tile = zlib.compress(bytes(n_bytes))
    tags = [(256, 10), (257, 10), (258, 8), (259, 8), (262, 1), (277, 1), (322, 20_000), (323, 20_000)]
    tags += [(324, 8 + 2 + 12 * 9 + 4), (325, len(tile))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value + 12 * (tag == 324)) for tag, value in tags)
    picture(folder, b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + tile)


def jpeg_of_many_scans(folder: Path) -> None:
    """A progressive JPEG of 20 million pixels, whose last scan is repeated 5,000 times."""
    data = saved("L", (4_500, 4_500), "JPEG", progressive=True, quality=1)
    last = data.rfind(b"\xff\xda")
    scan = data[last:-2]
    scan = scan if len(scan) < 2_000 else scan[:1_000]
    picture(folder, data[:-2] + scan * (95_000 // len(scan)) + b"\xff\xd9")


def long_png_text(folder: Path) -> None:
    """A PNG of one pixel with 100 packed texts of 1 MB."""
    data = saved("L", (1, 1), "PNG")
    body = b"zTXta\0\0" + zlib.compress(b"a" * 1_000_000)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    picture(folder, data[:33] + chunk * (95_000 // len(chunk)) + data[33:])


# git


def pull_request(folder: Path) -> None:
    """A branch that adds 2,000 entries."""

    def git(*arguments: str, content: bytes = b"") -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, cwd=folder, input=content, capture_output=True, check=True).stdout.decode()

    git("init", "-q", "-b", "master")
    git("commit", "-q", "--allow-empty", "-m", "base")
    files = "".join(f"M 644 inline submissions/e{number}/a\ndata 1\na\n" for number in range(2_000))
    head = f"commit refs/heads/b\ncommitter a <a@b.c> 0 +0000\ndata 1\na\nfrom {git('rev-parse', 'HEAD')}{files}"
    git("fast-import", "--quiet", content=head.encode())
    (folder / "entry").mkdir()


BOMBS: dict[str, Bomb] = {
    bomb.__name__: bomb
    for bomb in (
        long_image_id,
        long_image_id_with_dots,
        many_labels,
        many_tasks,
        many_unknown_keys,
        many_columns,
        many_labels_of_many_images,
        labels_of_few_images,
        many_unused_columns,
        many_wrong_labels,
        many_wrong_splits,
        constant_table,
        wide_table,
        long_text_in_table,
        long_texts_in_table,
        constant_embedding,
        wide_texts_in_submission,
        table_of_lies,
        embedding_of_lies,
        shared_prefixes,
        row_groups_of_one_page,
        long_names_in_zip,
        litter_in_zip,
        zeros_in_zip,
        wide_bytes_in_zip,
        nested_header,
        nested_meta,
        mat_of_zeros,
        mat_of_cells,
        shared_tensors,
        objects_in_torch_file,
        expanded_tensor,
        expanded_tensors,
        nested_keys,
        object_array,
        nested_pickle,
        wide_frame,
        gif,
        webp,
        largest_webp,
        smallest_webp,
        largest_deep_png,
        small_tiff_of_large_tiles,
        flat_tiff,
        tiff_of_large_tiles,
        jpeg_of_many_scans,
        long_png_text,
        pull_request,
    )
} | {f"png_of_{mode.replace(';', '_')}": png_of(mode) for mode in ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")}
