import numpy as np
import pytest

from piq_bench.images.lanczos import shrink
from piq_bench.images.lanczos_kernel import CACHED_LENGTH, ROWS, shrink_all_compiled, shrink_compiled

LONG = CACHED_LENGTH + 5
SIZES = [(256, 128), (1, 1), (31, 33), (ROWS - 1, 7), (ROWS + 1, 300), (3, LONG), (LONG, 5), (600, 257)]


@pytest.mark.parametrize("kind", ["noise", "hard", "smooth"])
@pytest.mark.parametrize("size", SIZES)
def test_compiled_integers_give_the_bytes_of_the_definition(size: tuple[int, int], kind: str) -> None:
    pixels = np.random.Generator(np.random.PCG64(sum(size))).integers(0, 256, (*size, 3), dtype=np.uint8)
    if kind == "hard":
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)  # overshoots, so that clipping counts
    if kind == "smooth":
        pixels = np.sort(pixels, axis=0)
    np.testing.assert_array_equal(shrink_compiled(pixels), shrink(pixels))


def test_grey_pixels_and_views_are_shrunk_too() -> None:
    pixels = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    for seen in (pixels[..., 0], pixels[::-2, 3::2], pixels[..., ::-1]):
        np.testing.assert_array_equal(shrink_compiled(seen), shrink(seen))
    assert pixels.flags.writeable


def test_all_are_shrunk_in_their_order() -> None:
    images = [np.full((40 + number, 50), number, dtype=np.uint8) for number in range(20)]
    assert shrink_all_compiled(iter(images))[:, 3, 3].tolist() == list(range(20))
    assert shrink_all_compiled([]).shape == (0, 32, 32)
