import io
import os

import numpy as np
import pytest
from group_builders import sample_image
from oracles_groups import hash_by_imagehash
from PIL import Image, ImageFile

from piq_bench.group.phash import phash
from piq_bench.images import decode as module
from piq_bench.images.decode import converted, decode, eight_bit_pixels, strict_decoding
from piq_bench.images.folder import Unreadable
from piq_bench.images.lanczos import shrink
from piq_bench.records import Pixels


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def hash_of(pixels: Pixels) -> int:
    return int(phash(shrink([pixels]))[0])


def refusal(data: bytes, *, limit_pixels: int = 10_000_000) -> tuple[str, str]:
    with strict_decoding(), pytest.raises(Unreadable) as caught:
        decode(data, limit_pixels=limit_pixels)
    return caught.value.code, caught.value.found


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "GIF", "JPEG", "WEBP"])
def test_every_format_decodes_to_what_pillow_shows(kind: str) -> None:
    data = encoded(sample_image(0), kind)
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_grey_shrinks_to_the_bytes_of_the_colours(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (90, 70, 4), dtype=np.uint8)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 251)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    data = encoded(deep if mode == "I;16" else Image.fromarray(noise).convert(mode), kind)
    expected = shrink([decode(data)])
    np.testing.assert_array_equal(shrink([decode(data, grey=True)]), expected)
    assert decode(data, grey=True).ndim == (3 if mode in ("P", "RGBA", "LA") else 2)  # 3 where anything is transparent
    monkeypatch.setattr(module, "STRIP_PIXELS", 500)
    np.testing.assert_array_equal(shrink([decode(data, grey=True)]), expected)


def test_palette_and_cmyk_hash_as_their_colours() -> None:
    image = sample_image(1, 90, 70)
    palette = image.quantize(200)
    assert hash_of(decode(encoded(palette))) == hash_by_imagehash(palette.convert("RGB"))
    cmyk = encoded(image.convert("CMYK"), "JPEG", quality=95)
    assert hash_of(decode(cmyk)) == hash_by_imagehash(Image.open(io.BytesIO(cmyk)).convert("RGB"))
    black_and_white = image.convert("1")
    assert hash_of(decode(encoded(black_and_white))) == hash_by_imagehash(black_and_white.convert("L"))


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    image = sample_image(2)
    opaque = image.copy()
    opaque.putalpha(255)
    np.testing.assert_array_equal(decode(encoded(opaque)), np.asarray(image))
    grey = image.convert("L").convert("LA")
    np.testing.assert_array_equal(decode(encoded(grey))[..., 0], np.asarray(image.convert("L")))


def test_a_drawing_in_the_alpha_channel_alone_is_seen() -> None:
    drawing = sample_image(3).convert("L")
    black = Image.new("RGBA", drawing.size, (0, 0, 0, 0))
    black.putalpha(drawing)
    np.testing.assert_array_equal(decode(encoded(black))[..., 0], 255 - np.asarray(drawing))  # black ink on white


def test_transparent_palette_entries_lie_on_white() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((3, 3), 1)
    pixels = decode(encoded(image, transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[3, 3].tolist() == [200, 10, 10]


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    grey = np.asarray(sample_image(4).convert("L"))
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode(encoded(deep)), grey)
    values = np.array([[0, 128, 129, 257, 65535, 65407, 65406]], dtype=np.uint16)
    expected = [int(value / 257 + 0.5) for value in values[0].tolist()]
    assert decode(encoded(Image.fromarray(values))).tolist() == [expected]


def test_the_orientation_tag_is_not_followed() -> None:
    image = sample_image(5)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(image, "JPEG", exif=exif.tobytes(), quality=95)
    np.testing.assert_array_equal(decode(turned), decode(encoded(image, "JPEG", quality=95)))


def test_an_animation_counts_by_its_first_frame() -> None:
    frames = [sample_image(seed).convert("L") for seed in range(3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert hash_of(decode(data)) == hash_by_imagehash(frames[0])


def test_floats_and_wide_integers_have_no_meaning_in_8_bits() -> None:
    code, found = refusal(encoded(Image.new("F", (4, 4), 0.5), "TIFF"))
    assert (code, "mode F" in found) == ("unknown-mode", True)
    code, found = refusal(encoded(Image.new("I", (4, 4), 70_000), "TIFF"))
    assert (code, "outside 16 bits" in found) == ("unknown-mode", True)


def test_half_a_file_is_refused_even_where_pillow_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for kind in ("JPEG", "PNG"):
        data = encoded(sample_image(6), kind)
        code, found = refusal(data[: len(data) // 2])
        assert code == "damaged-image"
        assert "truncated" in found
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # left as it was


def test_noise_and_text_are_no_images() -> None:
    assert refusal(b"hello")[0] == "not-an-image"
    assert refusal(os.urandom(4000))[0] == "not-an-image"
    assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")[0] == "not-an-image"  # no Ghostscript


def test_every_damaged_byte_is_a_refusal_or_an_image() -> None:
    data = bytearray(encoded(sample_image(7, 24, 24)))
    for place in range(0, len(data), 7):
        broken = bytes(data[:place]) + bytes([data[place] ^ 0xFF]) + bytes(data[place + 1 :])
        try:
            assert decode(broken, limit_pixels=10_000).ndim in (2, 3)
        except Unreadable as refused:
            assert refused.found


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    assert refusal(encoded(sample_image(8, 100, 100)), limit_pixels=9_999) == (
        "too-large",
        "has 100 x 100 pixels, more than the limit",
    )
    huge = encoded(Image.new("1", (8_000, 8_000)))
    assert len(huge) < 100_000
    assert refusal(huge)[0] == "too-large"
    thin = encoded(Image.new("L", (70_000, 1)))
    assert refusal(thin)[0] == "too-large"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_a_picture_converted_in_strips_is_the_whole_one(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (13, 7, 4), dtype=np.uint8)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 251)
    image = deep if mode == "I;16" else Image.fromarray(noise).convert(mode)
    whole = eight_bit_pixels(image)
    monkeypatch.setattr(module, "STRIP_PIXELS", 15)
    assert np.array_equal(eight_bit_pixels(image), whole)
    assert np.array_equal(whole, converted(image))
