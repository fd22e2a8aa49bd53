"""Computes the geometry of charts: curves, dots and stacked columns over axes with ticks.

`templates/charts.html` draws the records as vector graphics and sets colours, fonts and frames; no markup is made here.
Positions are in units of the chart's own width and height, from the top left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

WIDTH, HEIGHT = 640.0, 260.0
MOST_TICKS = 6
STEPS = (1, 2, 5, 10)  # distances between ticks, times a power of ten

Place = Callable[[float], float]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    place: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A line through points; `style` is the number of its colour, and `dashed` marks a variant of another curve."""

    name: str
    path: str
    style: int
    dashed: bool = False


@dataclass(frozen=True)
class Area:
    """Filled rectangles of one colour, as one path; `hue` is in degrees, None for grey."""

    name: str
    path: str
    hue: int | None


@dataclass(frozen=True)
class Dot:
    """A point of a scatter plot; `title` is shown when the mouse is over it."""

    x: float
    y: float
    title: str = ""


@dataclass(frozen=True)
class Hover:
    """A column of a chart from one place to another, whose values are shown when the mouse is over it."""

    left: float
    right: float
    title: str


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        text: description of the chart for screen readers.
        x_title, y_title: titles of the axes, with units.
        x_ticks, y_ticks: ticks of the axes.
        curves, areas, dots: contents of the chart; areas are drawn first.
        hovers: columns with values; without a frame of their own.
        width, height: size of the frame.
    """

    text: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...] = field(default=())
    areas: tuple[Area, ...] = field(default=())
    dots: tuple[Dot, ...] = field(default=())
    hovers: tuple[Hover, ...] = field(default=())
    width: float = WIDTH
    height: float = HEIGHT


def linear(low: float, high: float, length: float) -> Place:
    """A scale that maps `low` to 0 and `high` to `length`; if they are equal, it maps everything to 0."""
    return lambda value: length * (value - low) / (high - low) if high > low else 0.0


def logarithmic(low: float, high: float, length: float) -> Place:
    """A logarithmic scale that maps `low` to 0 and `high` to `length`; `low` must be above 0."""
    place = linear(log10(low), log10(high), length)
    return lambda value: place(log10(value))


def upwards(place: Place, height: float = HEIGHT) -> Place:
    """The same scale measured upwards from the bottom of the frame."""
    return lambda value: height - place(value)


def round_values(high: float) -> list[float]:
    """0 and up to MOST_TICKS round values up to `high`, evenly spaced.

    >>> round_values(130)
    [0, 50, 100]
    """
    if high <= 0:
        return [0]
    unit = 10.0 ** floor(log10(high / (MOST_TICKS - 1)))
    step = next(unit * step for step in STEPS if high / (unit * step) < MOST_TICKS)
    n_steps = floor(high / step * (1 + 1e-9))
    return [int(value) if value == int(value) else round(value, 12) for value in (i * step for i in range(n_steps + 1))]


def round_powers(high: float) -> list[int]:
    """1, 2, 5, 10, 20, ... up to `high`; powers of ten only if they span more than three decades.

    >>> round_powers(70)
    [1, 2, 5, 10, 20, 50]
    """
    decades = ceil(log10(high)) if high > 1 else 1
    within = STEPS[:3] if decades <= 3 else STEPS[:1]
    return [step * 10**power for power in range(decades + 1) for step in within if step * 10**power <= high] or [1]


def ticks(
    values: Iterable[float], place: Place, text: Callable[[float], str] = lambda value: f"{value:,g}"
) -> tuple[Tick, ...]:
    """Ticks at the given values."""
    return tuple(Tick(place(value), text(value)) for value in values)


def polyline(xs: Sequence[float], ys: Sequence[float]) -> str:
    """The SVG path through points, rounded to tenths of a unit."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True)) if xs else ""


def rectangles(boxes: Iterable[tuple[float, float, float, float]]) -> str:
    """The SVG path around boxes of (left, top, width, height), rounded to hundredths of a unit."""
    return "".join(f"M{x:.2f} {y:.2f}h{width:.2f}v{height:.2f}h{-width:.2f}z" for x, y, width, height in boxes)
