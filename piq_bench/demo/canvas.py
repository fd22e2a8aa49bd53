"""Paints an image: fills shapes, applies light and lens effects to the whole, and converts it to bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.demo.draw import Place, Shape, Stroke, curve
from piq_bench.demo.people import Colour
from piq_bench.demo.random import Draws
from piq_bench.records import FloatArray

HEIGHT = 256
WIDTH = 128
OUTLINE_PIXELS = 1.3


@dataclass(frozen=True, slots=True)
class Cloth:
    """A pattern in two colours, laid out in the coordinates of a place.

    Attributes:
        kind: "stripes" (across), "pinstripes" (along), "checks", "dots" or "blocks" (one band).
        second: the other colour.
        size: length of one repeat, in the place's units.
    """

    kind: str
    second: Colour
    size: float
    place: Place

    def share(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """How much of the second colour each pixel has; in [0, 1]."""
        u, v = self.place.coordinates(x, y)
        u, v = u / self.size, v / self.size
        a = wave(u)
        b = wave(v)
        if self.kind == "stripes":
            return soft(b - 0.5, self.size)
        if self.kind == "pinstripes":
            return soft(a - 0.72, self.size) * 0.8
        if self.kind == "checks":
            return 0.5 * (soft(a - 0.5, self.size) + soft(b - 0.5, self.size))
        if self.kind == "dots":
            a, b = 1.0 - a, 1.0 - b
            return soft(0.42 - np.sqrt(a * a + b * b), self.size)
        return soft(0.22 - np.maximum(v, -v), self.size)


@dataclass(frozen=True, slots=True)
class Paint:
    """How a shape is filled.

    Attributes:
        colour: red, green, blue in [0, 1].
        bulge: how far from the edge, in pixels, the surface still curves; 0 is flat.
        relief: how strongly light and shade show that curve.
        outline: how much darker the very edge is.
        alpha: 1 covers what is below.
        cloth: a pattern in a second colour.
    """

    colour: Colour
    bulge: float = 0.0
    relief: float = 0.35
    outline: float = 0.0
    alpha: float = 1.0
    cloth: Cloth | None = None


class Canvas:
    """An image of 256 rows and, unless told otherwise, 128 columns, painted back to front.

    Attributes:
        pixels: shape (3, 256, width), float64; red, green, blue, about [0, 1].
        light: direction in which light falls on curved surfaces, a vector of length about 1.
    """

    def __init__(self, light: tuple[float, float] = (0.6, 0.7), width: int = WIDTH) -> None:
        self.pixels: FloatArray = np.zeros((3, HEIGHT, width))
        self.light = light
        self.width = width
        self.x: FloatArray = (np.arange(width, dtype=np.float64) + 0.5).reshape(1, -1)
        self.y: FloatArray = (np.arange(HEIGHT, dtype=np.float64) + 0.5).reshape(-1, 1)

    def fill(self, shape: Shape, paint: Paint) -> None:
        """Paints a shape over what is already there."""
        left, top, right, bottom = shape.box
        columns = slice(max(0, int(left) - 2), min(self.width, int(max(right, -3.0)) + 3))
        rows = slice(max(0, int(top) - 2), min(HEIGHT, int(max(bottom, -3.0)) + 3))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return
        x, y = self.x[:, columns], self.y[rows]
        distance = shape.distance(x, y)
        cover = np.minimum(np.maximum(0.5 - distance, 0.0), 1.0) * paint.alpha
        light = self.shading(distance, paint)
        colour: FloatArray = np.array(paint.colour).reshape(3, 1, 1)
        if paint.cloth is not None:
            second = np.array(paint.cloth.second).reshape(3, 1, 1)
            colour = colour + (second - colour) * paint.cloth.share(x, y)
        if light is not None:
            colour = colour * light
        target = self.pixels[:, rows, columns]
        target += (colour - target) * cover

    def shading(self, distance: FloatArray, paint: Paint) -> FloatArray | None:
        """Factor on the colour of each pixel: near the edge, the surface curves towards the light or away from it."""
        light: FloatArray | None = None
        if paint.bulge > 0.0 and distance.shape[0] > 2 and distance.shape[1] > 2:
            rim = 1.0 - np.minimum(np.maximum(distance / -paint.bulge, 0.0), 1.0)
            slope_y = np.zeros(distance.shape)
            slope_x = np.zeros(distance.shape)
            slope_y[1:-1] = distance[2:] - distance[:-2]
            slope_x[:, 1:-1] = distance[:, 2:] - distance[:, :-2]
            facing = (slope_x * self.light[0] + slope_y * self.light[1]) * -0.5
            light = 1.0 + paint.relief * (rim * facing - 0.35 * rim * rim + 0.08)
        if paint.outline > 0.0:
            edge = 1.0 - paint.outline * np.minimum(np.maximum(1.0 + distance / OUTLINE_PIXELS, 0.0), 1.0)
            light = edge if light is None else light * edge
        return light

    def line(self, points: Sequence[tuple[float, float]], width: float, colour: Colour, alpha: float = 1.0) -> None:
        """A line of even width through points; three points are a curve."""
        path = curve(*points) if len(points) == 3 else list(points)
        self.fill(Stroke(path, [width / 2.0] * len(path)), Paint(colour, alpha=alpha))

    def blend(self, colour: Sequence[FloatArray | float], cover: FloatArray | float) -> None:
        """Paints over the whole canvas, each pixel with the opacity `cover`."""
        for channel, value in enumerate(colour):
            target = self.pixels[channel]
            target += (value - target) * cover

    def blur(self, passes: int) -> None:
        """Softens the image: each pass takes 1/4, 1/2, 1/4 of three neighbours, along both axes."""
        for _ in range(passes):
            wide = np.concatenate([self.pixels[:, :, :1], self.pixels, self.pixels[:, :, -1:]], axis=2)
            self.pixels = 0.25 * wide[:, :, :-2] + 0.5 * wide[:, :, 1:-1] + 0.25 * wide[:, :, 2:]
            tall = np.concatenate([self.pixels[:, :1], self.pixels, self.pixels[:, -1:]], axis=1)
            self.pixels = 0.25 * tall[:, :-2] + 0.5 * tall[:, 1:-1] + 0.25 * tall[:, 2:]

    def grain(self, draws: Draws, strength: float) -> None:
        """Adds noise: the sum of two uniform numbers for each value, at most `strength` up or down."""
        words = draws.bits(self.pixels.size // 2)
        low = (words & np.uint64(0xFFFF)) + ((words >> np.uint64(16)) & np.uint64(0xFFFF))
        high = ((words >> np.uint64(32)) & np.uint64(0xFFFF)) + (words >> np.uint64(48))
        noise = np.concatenate([low, high]).astype(np.float64).reshape(self.pixels.shape)
        self.pixels += (noise / 65535.0 - 1.0) * strength

    def bytes(self) -> NDArray[np.uint8]:
        """Shape (256, width, 3), uint8."""
        scaled = np.floor(np.minimum(np.maximum(self.pixels, 0.0), 1.0) * 255.0 + 0.5)
        return np.ascontiguousarray(np.moveaxis(scaled, 0, 2).astype(np.uint8))


def wave(x: FloatArray) -> FloatArray:
    """A triangle wave of period 1 between 0 and 1, 1 at whole numbers."""
    place = x - np.floor(x) - 0.5
    return 2.0 * np.maximum(place, -place)


def soft(level: FloatArray, size: float) -> FloatArray:
    """0 below and 1 above zero, with a smooth step about a pixel wide where one repeat is `size` pixels."""
    return np.minimum(np.maximum(level * size * 0.5 + 0.5, 0.0), 1.0)
