"""A small rasteriser: shapes given by their signed distance, filled with smooth edges on a float64 canvas.

An image must be the same on every machine. Array code therefore uses only + - * / sqrt floor min max and
comparisons, which IEEE 754 fixes to the last bit; numpy's own sin, cos and exp differ between processors. Angles
become cosines in Python and are rounded to nine digits. Coordinates are in pixels, x to the right, y down; the pixel
in row r and column c has its centre at (c + 0.5, r + 0.5).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from piq_bench.demo.people import Colour
from piq_bench.records import FloatArray

Point = tuple[float, float]
Box = tuple[float, float, float, float]

CURVE_STEPS = 7
TINY = 1e-9


def direction(degrees: float) -> Point:
    """Cosine and sine of an angle, equal on every machine."""
    radians = math.radians(degrees)
    return round(math.cos(radians), 9), round(math.sin(radians), 9)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two, `share` of the way to the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (red, green, blue)


@dataclass(frozen=True, slots=True)
class Place:
    """A coordinate frame on the canvas: where its origin is, and what its two axes are in pixels."""

    origin: Point = (0.0, 0.0)
    along: Point = (1.0, 0.0)
    down: Point = (0.0, 1.0)

    def at(self, x: float, y: float) -> Point:
        """The pixel coordinates of a point."""
        return (
            self.origin[0] + x * self.along[0] + y * self.down[0],
            self.origin[1] + x * self.along[1] + y * self.down[1],
        )

    def points(self, points: Sequence[Point]) -> list[Point]:
        """The pixel coordinates of several points."""
        return [self.at(x, y) for x, y in points]

    @property
    def upright(self) -> bool:
        """Whether the axes are those of the canvas."""
        return self.along[1] == 0.0 and self.down[0] == 0.0 and self.along[0] > 0.0 and self.down[1] > 0.0

    @property
    def scale(self) -> float:
        """Pixels per unit along y."""
        return math.sqrt(self.down[0] * self.down[0] + self.down[1] * self.down[1])

    def inside(self, x: float, y: float, *, degrees: float = 0.0, scale: float = 1.0, flip: bool = False) -> "Place":
        """A frame within this one: moved to (x, y), turned clockwise, scaled and, with `flip`, mirrored."""
        cos, sin = direction(degrees)
        side = -scale if flip else scale
        along = (
            side * cos * self.along[0] + side * sin * self.down[0],
            side * cos * self.along[1] + side * sin * self.down[1],
        )
        down = (
            scale * cos * self.down[0] - scale * sin * self.along[0],
            scale * cos * self.down[1] - scale * sin * self.along[1],
        )
        return Place(self.at(x, y), along, down)

    def coordinates(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The frame's own coordinates of pixels: the inverse of `at`."""
        area = self.along[0] * self.down[1] - self.along[1] * self.down[0]
        dx, dy = x - self.origin[0], y - self.origin[1]
        u = (dx * self.down[1] - dy * self.down[0]) / area
        v = (dy * self.along[0] - dx * self.along[1]) / area
        return u, v


class Shape(Protocol):
    """Something with an inside: its bounding box, and how far pixels are from its edge (negative inside)."""

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Signed distance of pixels in columns `x` (1, n) and rows `y` (m, 1); shape (m, n)."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse with radii `rx` and `ry` along its own axes; `axis` is the first one's direction, of length 1."""

    centre: Point
    rx: float
    ry: float
    axis: Point = (1.0, 0.0)

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        cos, sin = self.axis
        half_width = math.sqrt(self.rx * self.rx * cos * cos + self.ry * self.ry * sin * sin)
        half_height = math.sqrt(self.rx * self.rx * sin * sin + self.ry * self.ry * cos * cos)
        x, y = self.centre
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """First-order distance: exact at the edge, right to a few per cent nearby."""
        cos, sin = self.axis
        dx, dy = x - self.centre[0], y - self.centre[1]
        u = (dx * cos + dy * sin) / self.rx
        v = (dy * cos - dx * sin) / self.ry
        level = np.sqrt(u * u + v * v)
        u, v = u / self.rx, v / self.ry
        slope = np.sqrt(u * u + v * v)
        return (level - 1.0) * ((level + TINY) / (slope + TINY))  # at the very centre both are 0


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line through points, with a radius at each point and round ends."""

    points: Sequence[Point]
    radii: Sequence[float]

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        reach = max(self.radii)
        return around(self.points, reach)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The least of the distances to the line's pieces."""
        along, off = pieces(self.points[:-1], self.points[1:], x, y)
        first = np.array(self.radii[:-1]).reshape(-1, 1, 1)
        last = np.array(self.radii[1:]).reshape(-1, 1, 1)
        nearest: FloatArray = np.minimum.reduce(np.sqrt(off) - (first + (last - first) * along), axis=0)
        return nearest


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled polygon, its corners rounded outwards by `rounding`."""

    points: Sequence[Point]
    rounding: float = 0.0

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        return around(self.points, self.rounding)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Distance to the nearest side, its sign by the even-odd rule."""
        ends = [*self.points[1:], self.points[0]]
        _, off = pieces(self.points, ends, x, y)
        first, last = np.array(self.points).reshape(-1, 2, 1, 1), np.array(ends).reshape(-1, 2, 1, 1)
        rise = last[:, 1] - first[:, 1]
        slope = (last[:, 0] - first[:, 0]) / np.where(rise == 0.0, 1.0, rise)  # a level side is never crossed
        crosses = (first[:, 1] > y) != (last[:, 1] > y)
        inside = np.logical_xor.reduce(crosses & (x - first[:, 0] < (y - first[:, 1]) * slope), axis=0)
        edge: FloatArray = np.sqrt(np.minimum.reduce(off, axis=0))
        return np.where(inside, -edge, edge) - self.rounding


@dataclass(frozen=True, slots=True)
class Rectangle:
    """An upright rectangle, its corners rounded outwards by `rounding`; faster than the same polygon."""

    corners: Box
    rounding: float = 0.0

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        left, top, right, bottom = self.corners
        return (left - self.rounding, top - self.rounding, right + self.rounding, bottom + self.rounding)

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Distance to the nearest side; beyond a sharp corner the larger of the two."""
        left, top, right, bottom = self.corners
        across = np.maximum(left - x, x - right)
        down = np.maximum(top - y, y - bottom)
        if not self.rounding:
            return np.maximum(across, down)
        beyond_x, beyond_y = np.maximum(across, 0.0), np.maximum(down, 0.0)
        corner: FloatArray = np.sqrt(beyond_x * beyond_x + beyond_y * beyond_y)
        return corner + np.minimum(np.maximum(across, down), 0.0) - self.rounding


@dataclass(frozen=True, slots=True)
class Union:
    """Several shapes as one; their seams are smoothed over `blend` pixels."""

    parts: Sequence[Shape]
    blend: float = 0.0

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        boxes = [part.box for part in self.parts]
        return (
            min(box[0] for box in boxes),
            min(box[1] for box in boxes),
            max(box[2] for box in boxes),
            max(box[3] for box in boxes),
        )

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The least of the parts' distances, a little less where two are near."""
        nearest = self.parts[0].distance(x, y)
        for part in self.parts[1:]:
            other = part.distance(x, y)
            if self.blend:
                gap = nearest - other
                near = np.maximum(self.blend - np.maximum(gap, -gap), 0.0)
                nearest = np.minimum(nearest, other) - near * near / (4.0 * self.blend)
            else:
                nearest = np.minimum(nearest, other)
        return nearest


@dataclass(frozen=True, slots=True)
class Cut:
    """The part of `shape` inside `within` and outside `without`."""

    shape: Shape
    within: Shape | None = None
    without: Shape | None = None

    @property
    def box(self) -> Box:
        """Left, top, right, bottom."""
        return self.shape.box

    def distance(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """The greatest of the distances to the sides that are left."""
        farthest = self.shape.distance(x, y)
        if self.within is not None:
            farthest = np.maximum(farthest, self.within.distance(x, y))
        if self.without is not None:
            farthest = np.maximum(farthest, -self.without.distance(x, y))
        return farthest


def curve(start: Point, control: Point, end: Point) -> list[Point]:
    """Points along a quadratic curve."""
    points = []
    for step in range(CURVE_STEPS + 1):
        t = step / CURVE_STEPS
        a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]))
    return points


def pieces(
    starts: Sequence[Point], ends: Sequence[Point], x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """For each straight piece: how far along it the nearest point lies, in [0, 1], and the squared distance to it.

    Both of shape (n_pieces, rows, columns): all pieces at once, since most shapes cover few pixels.
    """
    start, end = np.array(starts), np.array(ends)
    start_x, start_y = start[:, 0].reshape(-1, 1, 1), start[:, 1].reshape(-1, 1, 1)
    step_x, step_y = end[:, 0].reshape(-1, 1, 1) - start_x, end[:, 1].reshape(-1, 1, 1) - start_y
    dx, dy = x - start_x, y - start_y
    length = step_x * step_x + step_y * step_y + TINY
    along = np.minimum(np.maximum(dx * (step_x / length) + dy * (step_y / length), 0.0), 1.0)
    off_x, off_y = dx - along * step_x, dy - along * step_y
    return along, off_x * off_x + off_y * off_y


def around(points: Sequence[Point], reach: float) -> Box:
    """The bounding box of points, `reach` wider on every side."""
    return (
        min(x for x, _ in points) - reach,
        min(y for _, y in points) - reach,
        max(x for x, _ in points) + reach,
        max(y for _, y in points) + reach,
    )
