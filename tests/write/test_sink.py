"""A standard stream that is closed, full or no longer read: one sentence at most, then silence."""

import errno
import io
import os
from pathlib import Path

import pytest

from piq_bench.errors import BadUsage, LimitExceeded
from piq_bench.write import streams
from piq_bench.write.streams import Sink

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps its own streams")


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_closed_standard_output_is_reported_once() -> None:
    sink = Sink(1, is_open=False)
    with pytest.raises(BadUsage, match="is closed"):
        sink.write(b"text")
    assert sink.is_lost and sink.write(b"more") == 4


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EFBIG])
def test_a_full_standard_output_is_a_limit_and_messages_are_lost_quietly(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, messages = Sink(1, is_open=True), Sink(2, is_open=True)

    def full(*_: object) -> int:
        raise failing(number)

    with monkeypatch.context() as patch:
        patch.setattr("piq_bench.write.streams.os.write", full)
        assert messages.write(b"text") == 4
        with pytest.raises(LimitExceeded) as refusal:
            output.write(b"text")
    assert os.strerror(number) in str(refusal.value) and "file or a program" in str(refusal.value)
    assert messages.is_lost and output.is_lost


def test_a_reader_that_has_read_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink(1, is_open=True)
    with monkeypatch.context() as patch:
        patch.setattr(streams.Sink, "_written", lambda *_: (_ for _ in ()).throw(failing(errno.EPIPE)))
        assert sink.write(b"text") == 4
    assert sink.is_lost


def test_a_pipe_that_does_not_wait_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = os.pipe()
    os.set_blocking(target, False)
    sink = Sink(target, is_open=True)
    waited = []

    def emptied(_: object, full: list[int], __: object) -> None:
        waited.extend(full)
        os.read(source, 1 << 20)

    monkeypatch.setattr("piq_bench.write.streams.select.select", emptied)
    try:
        while not waited:
            assert sink.write(b"x" * 4096) > 0
    finally:
        os.close(source)
        os.close(target)
    assert waited == [target] and not sink.is_lost
    assert (sink.fileno(), sink.writable()) == (target, True)


def test_a_closed_number_is_reserved_and_an_open_one_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    number = os.dup(2)
    os.close(number)
    streams._reserve(number)
    assert os.path.samestat(os.fstat(number), Path(os.devnull).stat())
    before = os.fstat(number)
    streams._reserve(number)
    assert os.path.samestat(os.fstat(number), before)
    os.close(number)


def test_streams_that_are_no_terminal_or_file_are_kept() -> None:
    text = io.StringIO()
    assert streams._prepared(text, 1) is text
    other = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert streams._prepared(other, 1) is other and other.errors == streams.HANDLER
    closed = streams._prepared(None, 2)
    closed.write("lost\n")
    assert closed.buffer.raw.is_lost and closed.buffer.raw.name == "<stderr>"


def test_only_encoding_is_lenient() -> None:
    wrong = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")
    with pytest.raises(UnicodeDecodeError):
        streams._replacement(wrong)
