"""Signed distances against plain geometry, point by point."""

import ast
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import piq_bench.demo
from piq_bench.demo.draw import (
    Cut,
    Ellipse,
    Place,
    Point,
    Polygon,
    Rectangle,
    Shape,
    Stroke,
    Union,
    curve,
    direction,
    mix,
)

coordinate = st.floats(-20, 20).map(lambda value: round(value, 2))
points = st.tuples(coordinate, coordinate)
radius = st.floats(0.5, 6).map(lambda value: round(value, 2))


def at(shape: Shape, point: Point) -> float:
    """The distance of one point."""
    return float(shape.distance(np.array([[point[0]]]), np.array([[point[1]]]))[0, 0])


def to_segment(point: Point, start: Point, end: Point) -> tuple[float, float]:
    """Distance to a segment and where on it the nearest point is, by trigonometry."""
    length = math.dist(start, end)
    if length < 1e-4:
        return math.dist(point, start), 0.0
    share = sum((p - s) * (e - s) for p, s, e in zip(point, start, end, strict=True)) / length**2
    share = min(1.0, max(0.0, share))
    nearest = tuple(s + share * (e - s) for s, e in zip(start, end, strict=True))
    return math.dist(point, nearest), share


def winding(point: Point, corners: list[Point]) -> bool:
    """Even-odd rule by a ray to the right."""
    inside = False
    for (x, y), (to_x, to_y) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y > point[1]) != (to_y > point[1]) and point[0] < x + (point[1] - y) * (to_x - x) / (to_y - y):
            inside = not inside
    return inside


@given(st.lists(st.tuples(points, radius), min_size=2, max_size=5), points)
def test_a_stroke_is_as_far_as_its_nearest_piece(knots: list[tuple[Point, float]], point: Point) -> None:
    path, radii = [knot for knot, _ in knots], [size for _, size in knots]
    assume(all(math.dist(a, b) > 0.1 for a, b in pairwise(path)))
    pieces = []
    for i in range(len(path) - 1):
        distance, share = to_segment(point, path[i], path[i + 1])
        pieces.append(distance - (radii[i] + share * (radii[i + 1] - radii[i])))
    assert at(Stroke(path, radii), point) == pytest.approx(min(pieces), abs=1e-5)


@given(st.lists(points, min_size=3, max_size=6), st.floats(0, 2), points)
def test_a_polygon_is_as_far_as_its_nearest_side(corners: list[Point], rounding: float, point: Point) -> None:
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    assume(all(math.dist(a, b) > 0.1 for a, b in sides))
    edge = min(to_segment(point, start, end)[0] for start, end in sides)
    assume(edge > 1e-6)
    expected = -edge if winding(point, corners) else edge
    assert at(Polygon(corners, rounding), point) == pytest.approx(expected - rounding, abs=1e-5)


@given(points, radius, radius, st.integers(0, 359), points)
def test_an_ellipse_knows_inside_from_outside(centre: Point, rx: float, ry: float, turn: int, point: Point) -> None:
    cos, sin = direction(turn)
    dx, dy = point[0] - centre[0], point[1] - centre[1]
    level = math.hypot((dx * cos + dy * sin) / rx, (dy * cos - dx * sin) / ry)
    assume(abs(level - 1) > 1e-3)
    assert (at(Ellipse(centre, rx, ry, (cos, sin)), point) < 0) == (level < 1)


def test_a_circle_is_exact() -> None:
    assert at(Ellipse((3, 4), 2, 2), (0, 0)) == pytest.approx(5 - 2)
    assert at(Ellipse((0, 0), 2, 2), (1, 0)) == pytest.approx(-1)


@given(points, radius, radius, points)
def test_a_round_rectangle_is_the_polygon_of_its_corners(corner: Point, wide: float, high: float, point: Point) -> None:
    x, y = corner
    polygon = Polygon([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], 1.5)
    rectangle = Rectangle((x, y, x + wide, y + high), 1.5)
    assert at(rectangle, point) == pytest.approx(at(polygon, point), abs=1e-4)
    assert rectangle.box == polygon.box


def test_a_sharp_rectangle_is_right_beside_its_sides() -> None:
    shape = Rectangle((0, 0, 10, 4))
    assert [at(shape, point) for point in ((5, 2), (-3, 2), (5, 6), (12, 3))] == [-2, 3, 2, 2]


@given(points, points, radius, points)
def test_union_and_cut_follow_set_algebra(one: Point, other: Point, size: float, point: Point) -> None:
    first, second = Ellipse(one, size, size), Ellipse(other, 5, 5)
    inside = [at(first, point) < 0, at(second, point) < 0]
    assert (at(Union((first, second)), point) < 0) == any(inside)
    assert (at(Cut(first, within=second), point) < 0) == all(inside)
    assume(at(second, point) != 0)
    assert (at(Cut(first, without=second), point) < 0) == (inside[0] and not inside[1])
    assert at(Union((first, second), blend=3.0), point) <= at(Union((first, second)), point)


@given(points, st.integers(-180, 180), st.floats(0.2, 3), st.booleans(), points)
def test_a_place_and_its_coordinates_are_inverse(
    origin: Point, turn: int, scale: float, flip: bool, point: Point
) -> None:
    place = Place((5.0, -2.0)).inside(*origin, degrees=turn, scale=scale, flip=flip)
    x, y = place.at(*point)
    u, v = place.coordinates(np.array([[x]]), np.array([[y]]))
    assert (u[0, 0], v[0, 0]) == pytest.approx(point, abs=1e-6)
    assert place.scale == pytest.approx(scale)
    assert place.upright == (turn == 0 and not flip)


def test_turns_are_clockwise_and_nested() -> None:
    quarter = Place().inside(10, 0, degrees=90, scale=2)
    assert quarter.at(1, 0) == (10, 2)
    assert quarter.inside(1, 0, degrees=-90).at(3, 0) == (16, 2)
    assert quarter.inside(0, 0, flip=True).at(1, 0) == (10, -2)


def test_curves_and_colours_go_from_end_to_end() -> None:
    path = curve((0, 0), (5, 10), (10, 0))
    assert (path[0], path[-1]) == ((0, 0), (10, 0))
    assert max(y for _, y in path) == pytest.approx(5, abs=0.2)
    assert mix((0, 0, 0), (1, 0.5, 0), 0.5) == (0.5, 0.25, 0)


@given(st.lists(points, min_size=2, max_size=5), radius, points)
def test_nothing_lies_outside_its_box(path: list[Point], size: float, point: Point) -> None:
    shapes: list[Shape] = [
        Stroke(path, [size] * len(path)),
        Polygon(path, size),
        Ellipse(path[0], size, 2.0, (0.6, 0.8)),
    ]
    for shape in [*shapes, Union(shapes), Cut(shapes[1], within=shapes[0])]:
        left, top, right, bottom = shape.box
        if not (left <= point[0] <= right and top <= point[1] <= bottom):
            assert at(shape, point) > -1e-6


EXACT = {
    "arange", "argsort", "array", "ascontiguousarray", "asarray", "bitwise_or", "bool_", "concatenate", "dtype",
    "empty", "flatnonzero", "float64", "floor", "int64", "logical_xor", "maximum", "minimum", "moveaxis", "ones",
    "random", "sqrt", "uint64", "uint8", "where", "zeros",
}  # fmt: skip


def test_images_are_made_of_operations_that_ieee_754_fixes() -> None:
    """Processors differ in sin, cos, exp, pow and in the order of sums: array code must not use them."""
    for file in sorted(Path(piq_bench.demo.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
                assert node.attr in EXACT, f"{file.name} uses np.{node.attr}"
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
                assert ast.unparse(node) in ("2.0 ** (-53)",), f"{file.name}: {ast.unparse(node)}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math":
                assert node.attr in ("sqrt", "isqrt") or file.name == "draw.py", f"{file.name} uses math.{node.attr}"
