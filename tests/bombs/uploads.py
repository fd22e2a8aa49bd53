"""Bombs that are features for `piq convert`, pictures and branches."""

import io
import json
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bombs.files import Bomb

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
