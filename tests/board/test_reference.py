"""Predictions hosted elsewhere: no address is opened unless requested, and only the expected file is kept."""

import hashlib
import http.client
import io
import socket
import urllib.request
from pathlib import Path
from time import sleep

import board_builders
import pytest
from click.testing import CliRunner

from piq_bench.board import reference
from piq_bench.board.addresses import OnlyHttps
from piq_bench.board.entries import read_entry
from piq_bench.board.reference import Reference, fetch, read_reference
from piq_bench.cli import load_command
from piq_bench.errors import BadSubmission, LimitExceeded

CONTENT = b"predictions" * 1000


def reference_to(content: bytes = CONTENT, **other: object) -> Reference:
    values = {"url": "https://example.org/a.npz", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    return Reference.model_validate({"schema": "piq-bench/reference/1", **values, **other})


def test_the_expected_file_is_kept(tmp_path: Path) -> None:
    opened_addresses = []

    def opened(address: str) -> io.BytesIO:
        opened_addresses.append(address)
        return io.BytesIO(CONTENT)

    path = fetch(reference_to(), tmp_path, open_address=opened)
    assert path == tmp_path / "submission.npz"
    assert path.read_bytes() == CONTENT
    assert opened_addresses == ["https://example.org/a.npz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT + b"x", "has more bytes than the reference says"),
        (CONTENT[:-1], "has 10,999 bytes"),
        (CONTENT[:-1] + b"x", "has the SHA-256"),
    ],
)
def test_another_file_is_not_kept(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match=message):
        fetch(reference_to(), tmp_path, open_address=lambda address: io.BytesIO(content))
    assert not list(tmp_path.iterdir())


def test_an_address_that_fails_is_named(tmp_path: Path) -> None:
    def refused(address: str) -> io.BytesIO:
        raise urllib.request.HTTPError(address, 404, "Not Found", {}, None)  # type: ignore[arg-type]

    with pytest.raises(BadSubmission, match="404"):
        fetch(reference_to(), tmp_path, open_address=refused)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [http.client.BadStatusLine("x"), http.client.IncompleteRead(b""), ValueError("port")])
def test_an_answer_that_is_not_http_is_named(error: Exception, tmp_path: Path) -> None:
    def broken(address: str) -> io.BytesIO:
        raise error

    with pytest.raises(BadSubmission, match="an address that everybody can open"):
        fetch(reference_to(), tmp_path, open_address=broken)


def test_a_download_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    class Slow(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            sleep(0.02)
            return super().read1(1)

    def silent(address: str) -> io.BytesIO:
        sleep(0.2)
        return io.BytesIO(CONTENT)

    for opened in (lambda address: Slow(CONTENT), silent):
        with pytest.raises(LimitExceeded, match="was not read within"):
            fetch(reference_to(), tmp_path, open_address=opened, seconds=0.05)
    assert not list(tmp_path.iterdir())


def test_redirects_are_followed_to_https_only() -> None:
    follow = OnlyHttps()
    request = urllib.request.Request("https://example.org/a.npz")
    for address in ("http://example.org/a.npz", "file:///etc/passwd", "ftp://example.org/a"):
        with pytest.raises(ValueError, match="which is not https"):
            follow.redirect_request(request, None, 302, "Found", {}, address)
    for address in ("https://127.0.0.1/a", "https://metadata.google.internal/a", "https://[fd00::1]/a"):
        with pytest.raises(ValueError, match="not a host of the public internet"):
            follow.redirect_request(request, None, 302, "Found", {}, address)
    assert follow.redirect_request(request, None, 302, "Found", {}, "https://example.com/b") is not None


LOCAL = (
    *(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
    ),
    *("100.64.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fd00::1]", "[fe80::1]", "[::ffff:10.0.0.1]"),
    *("[2002:7f00:1::]", "[ff02::1]", "localhost", "LOCALHOST.", "a.localhost", "printer", "nas.local"),
    *("metadata.google.internal", "router.lan", "router.home.arpa", "\N{FULLWIDTH DIGIT ONE}27.0.0.1"),
)


@pytest.mark.parametrize("host", LOCAL)
def test_a_reference_to_a_local_address_is_refused(host: str, tmp_path: Path) -> None:
    path = tmp_path / "submission.ref.toml"
    lines = ['schema = "piq-bench/reference/1"', f'url = "https://{host}/a.npz"', f'sha256 = "{"0" * 64}"', "bytes = 1"]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(BadSubmission, match="an address of the public internet, not a local one"):
        read_reference(path)


def test_references_to_public_addresses_are_read(tmp_path: Path) -> None:
    for host in (
        "example.org",
        "93.184.215.14",
        "[2606:2800:220:1::1]",
        "b\u00fccher.example",
        "my.localhost.example.org",
    ):
        path = tmp_path / "submission.ref.toml"
        url = f"https://{host}/a.npz"
        lines = ['schema = "piq-bench/reference/1"', f'url = "{url}"', f'sha256 = "{"0" * 64}"', "bytes = 1"]
        path.write_text("\n".join(lines), encoding="utf-8")
        assert read_reference(path).url.path == "/a.npz"


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::ffff:169.254.169.254"]])
def test_a_public_name_that_leads_to_a_local_address_is_not_connected_to(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def resolved(host: str, port: int, **options: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def connected(*arguments: object) -> None:
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(socket, "create_connection", connected)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with pytest.raises(BadSubmission, match="which is not public"):
        fetch(reference_to(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_address_that_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = []

    def connected(place: tuple[str, int], *options: object) -> None:
        places.append(place)
        raise ConnectionRefusedError("nobody answers")

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: found)
    monkeypatch.setattr(socket, "create_connection", connected)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with pytest.raises(BadSubmission, match="nobody answers"):
        fetch(reference_to(), tmp_path)
    assert places == [("93.184.215.14", 443)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('url = "http://example.org/a.npz"', "an https address without a user name or password"),
        ('url = "https://me:secret@example.org/a.npz"', "an https address without a user name or password"),
        ('url = "file:///etc/passwd"', "got 'file:///etc/passwd'"),
        ('url = "https://example.org/a.zip"', "an address that ends with .npz or .parquet"),
        ('url = "https://example.org/a.npz"\nsha265 = ""', "did you mean 'sha256'?"),
        ('url = "https://example.org/a.npz"\nbytes = 99999999999', "bad-value"),
        ("url = ", "unreadable"),
    ],
)
def test_invalid_references_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "submission.ref.toml"
    size = "" if "bytes" in text else "\nbytes = 1"
    path.write_text(f'schema = "piq-bench/reference/1"\nsha256 = "{"0" * 64}"\n{text}{size}\n', encoding="utf-8")
    with pytest.raises(BadSubmission) as refused:
        read_reference(path)
    assert message in str(refused.value)


def test_predictions_are_fetched_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = board_builders.dataset(tmp_path / "tiny")
    folder = board_builders.entry(tmp_path / "all" / "far", benchmark)
    content = (folder / "submission.npz").read_bytes()
    (folder / "submission.npz").unlink()
    board_builders.refer(folder, sha256=hashlib.sha256(content).hexdigest(), n_bytes=len(content))
    assert read_entry(folder).submission is None
    monkeypatch.setattr(reference, "_opened", lambda address: io.BytesIO(content))
    options = [str(folder), "--dataset", str(tmp_path / "tiny"), "--bootstrap", "10", "--write"]
    done = CliRunner().invoke(load_command("grade"), options)
    assert done.exit_code == 2
    assert "are at 'https://example.org/submission.npz'" in done.stderr
    done = CliRunner().invoke(load_command("grade"), [*options, "--fetch"])
    assert done.exit_code == 0, done.output
    assert not (folder / "submission.npz").exists()

    copy = board_builders.entry(tmp_path / "all" / "copy", benchmark)
    done = CliRunner().invoke(load_command("grade"), [str(copy), *options[1:]])
    assert done.exit_code == 5
    assert "has the predictions of far" in done.stderr


def test_a_byte_order_mark_is_no_part_of_a_reference(tmp_path: Path) -> None:
    board_builders.refer(tmp_path, sha256="0" * 64, n_bytes=1)
    path = tmp_path / "submission.ref.toml"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_reference(path).sha256 == "0" * 64
