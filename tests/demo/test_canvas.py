import numpy as np
import pytest

from piq_bench.demo.canvas import HEIGHT, WIDTH, Canvas, Cloth, Paint, soft, wave
from piq_bench.demo.draw import Ellipse, Place, Rectangle, Stroke
from piq_bench.demo.random import Draws

WHITE = (1.0, 1.0, 1.0)


def test_a_filled_shape_covers_as_many_pixels_as_its_area() -> None:
    canvas = Canvas()
    canvas.fill(Ellipse((64.3, 120.7), 20, 30), Paint(WHITE))
    assert canvas.pixels[0].sum() == pytest.approx(np.pi * 20 * 30, rel=0.01)
    assert canvas.pixels[0].max() == 1.0


def test_edges_are_smooth_and_pixels_have_their_centre_at_a_half() -> None:
    canvas = Canvas()
    canvas.fill(Rectangle((10.0, 20.0, 12.25, 23.0)), Paint((1.0, 0.5, 0.0)))
    assert canvas.pixels[0, 21, 9:14].tolist() == [0.0, 1.0, 1.0, 0.25, 0.0]
    assert canvas.pixels[1, 21, 10] == 0.5


@pytest.mark.parametrize("centre", [(-50.0, 30.0), (300.0, 30.0), (64.0, -90.0), (64.0, 400.0)])
def test_what_lies_off_the_canvas_is_not_painted(centre: tuple[float, float]) -> None:
    canvas = Canvas()
    canvas.fill(Ellipse(centre, 20, 20), Paint(WHITE, bulge=5.0, outline=0.5))
    assert not canvas.pixels.any()


def test_light_falls_on_the_side_it_comes_from() -> None:
    canvas = Canvas(light=(1.0, 0.0))  # falls to the right
    canvas.fill(Ellipse((64, 128), 30, 30), Paint((0.5, 0.5, 0.5), bulge=20.0, relief=0.5))
    assert canvas.pixels[0, 128, 40] > canvas.pixels[0, 128, 64] > canvas.pixels[0, 128, 88]


def test_an_outline_darkens_the_edge_alone() -> None:
    canvas = Canvas()
    canvas.fill(Ellipse((64, 128), 30, 30), Paint(WHITE, outline=0.5))
    assert canvas.pixels[0, 128, 64] == 1.0
    assert canvas.pixels[0, 128, 34] < 0.8


@pytest.mark.parametrize("kind", ["stripes", "pinstripes", "checks", "dots", "blocks"])
def test_every_pattern_shows_both_colours(kind: str) -> None:
    canvas = Canvas()
    cloth = Cloth(kind, (0.0, 0.0, 1.0), 20.0, Place((64.0, 128.0)).inside(0, 0, degrees=30))
    canvas.fill(Rectangle((4, 4, 124, 252)), Paint((1.0, 0.0, 0.0), cloth=cloth))
    inside = canvas.pixels[:, 10:240, 10:110]
    assert inside[0].max() == pytest.approx(1.0, abs=0.01)
    assert inside[2].max() > 0.7
    assert np.allclose(inside[0] + inside[2], 1.0)


def test_a_line_through_three_points_is_a_curve() -> None:
    bent, straight = Canvas(), Canvas()
    bent.line([(20, 20), (64, 90), (110, 20)], 2.0, WHITE)
    straight.fill(Stroke([(20, 20), (110, 20)], [1.0, 1.0]), Paint(WHITE))
    assert bent.pixels[0, 20, 64] == 0.0
    assert straight.pixels[0, 20, 64] == 1.0


def test_blur_keeps_flat_areas_and_the_sum_inside() -> None:
    canvas = Canvas()
    canvas.pixels += 0.25
    canvas.blur(2)
    assert (canvas.pixels == 0.25).all()
    canvas.pixels[0, 100, 60] = 1.25
    canvas.blur(1)
    assert canvas.pixels[0, 99:102, 59:62].tolist() == [
        [0.3125, 0.375, 0.3125],
        [0.375, 0.5, 0.375],
        [0.3125, 0.375, 0.3125],
    ]


def test_grain_is_centred_and_bounded() -> None:
    canvas = Canvas()
    canvas.grain(Draws("grain", 1), 0.1)
    assert abs(canvas.pixels).max() <= 0.1
    assert abs(canvas.pixels.mean()) < 0.001
    assert canvas.pixels.std() == pytest.approx(0.1 / 6**0.5, rel=0.02)  # of the sum of two even numbers


def test_bytes_are_rounded_and_clipped() -> None:
    canvas = Canvas()
    canvas.pixels[:, 0, 0] = [-0.3, 0.5, 7.0]
    pixels = canvas.bytes()
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels.dtype == np.dtype(np.uint8)
    assert pixels[0, 0].tolist() == [0, 128, 255]


def test_a_wave_is_one_at_whole_numbers() -> None:
    assert wave(np.array([-1.0, 0.0, 0.25, 0.5, 3.0])).tolist() == [1.0, 1.0, 0.5, 0.0, 1.0]
    assert soft(np.array([-1.0, 0.0, 1.0]), 10.0).tolist() == [0.0, 0.5, 1.0]
