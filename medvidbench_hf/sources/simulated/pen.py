"""A pen that draws in canvas pixels, points given as x + iy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw

Paint = tuple[int, int, int] | tuple[int, int, int, int]  # with opacity 0..255 as the fourth


class Pen:
    """Draws on an image whose pixels are `scale_x` by `scale_y` to a canvas pixel; `shift` moves all that is drawn."""

    def __init__(self, image: Image.Image, scale_x: float, scale_y: float, shift: complex = 0j) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._x, self._y, self._shift = scale_x, scale_y, shift

    def _flat(self, points: Iterable[complex]) -> list[float]:
        x, y, shift = self._x, self._y, self._shift
        flat: list[float] = []
        for p in points:
            p += shift
            flat += (p.real * x, p.imag * y)
        return flat

    def shape(self, points: Iterable[complex], paint: Paint, edge: Paint | None = None) -> None:
        self._draw.polygon(self._flat(points), paint, edge)

    def stroke(self, points: Sequence[complex], paint: Paint, width: float) -> None:
        self._draw.line(self._flat(points), paint, max(1, round(width * self._x)), "curve" if len(points) > 2 else None)

    def disc(self, middle: complex, radius: float, paint: Paint, edge: Paint | None = None) -> None:
        self.oval(middle, radius, radius, paint, edge)

    def oval(self, middle: complex, radius_x: float, radius_y: float, paint: Paint, edge: Paint | None = None) -> None:
        x, y = self._flat([middle])
        rx, ry = radius_x * self._x, radius_y * self._y
        self._draw.ellipse((x - rx, y - ry, x + rx, y + ry), paint, edge)


def rounded(corners: Sequence[complex], rounds: int = 2) -> list[complex]:
    """A closed outline with its corners cut again and again (Chaikin), which ends in a smooth curve."""
    points = list(corners)
    for _ in range(rounds):
        pairs = zip(points, [*points[1:], points[0]], strict=True)
        points = [q for a, b in pairs for q in (0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b)]
    return points


def shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    """The colour, lighter (factor > 1) or darker."""
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue
