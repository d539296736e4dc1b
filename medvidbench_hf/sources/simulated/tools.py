"""The shapes of tools. The same polygons are drawn and boxed, so that a box follows its tool exactly.

A tool's head lies on the real axis of its own frame: the tip at 0, the end at 1, in units of the head's length. Behind
it comes a shaft or a gloved hand, which is drawn and belongs to no box.
"""

from __future__ import annotations

import cmath
from math import pi
from typing import NamedTuple

from medvidbench_hf.sources.simulated.world import Colour

Points = tuple[complex, ...]
Shape = tuple[Colour, Points]

STEEL, DARK, WHITE = (205, 210, 218), (52, 54, 62), (246, 247, 250)
YELLOW, ORANGE, BLUE, MAGENTA = (246, 214, 52), (246, 126, 28), (48, 92, 236), (228, 44, 164)
GREEN, CYAN, INDIGO, RED, BROWN, GOLD = (
    (58, 200, 72), (64, 216, 222), (72, 60, 190), (222, 40, 44), (140, 84, 40), (232, 178, 48)
)  # fmt: skip


class Tool(NamedTuple):
    """fixed: shapes of the head. jaw: its upper jaw, closed; the lower one is the mirror image, and both turn about
    `pivot` by up to `swing` radians. colour: what a looker can tell the tool by, the first shape's colour."""

    fixed: tuple[Shape, ...]
    jaw: tuple[Shape, ...] = ()
    pivot: float = 0.6
    swing: float = 0.0
    shaft: Colour = (96, 100, 110)
    shaft_width: float = 0.16

    @property
    def colour(self) -> Colour:
        return self.fixed[0][0]


def outline(tool: Tool, opening: float) -> list[Shape]:
    """The head's shapes in its own frame with the jaws `opening` (0..1) open."""
    if not tool.jaw:
        return list(tool.fixed)
    turn = cmath.rect(1.0, tool.swing * opening)
    shapes = []
    for colour, points in tool.jaw:
        # Seen from the pivot the jaw points towards -1: turning by a negative angle lifts it to positive y.
        upper = tuple((p - tool.pivot) * turn.conjugate() + tool.pivot for p in points)
        shapes += [(colour, upper), (colour, tuple(p.conjugate() for p in upper))]
    return [*shapes, *tool.fixed]


def _bar(x1: float, x2: float, half: float, y: float = 0.0) -> Points:
    return (complex(x1, y - half), complex(x2, y - half), complex(x2, y + half), complex(x1, y + half))


def _disc(x: float, y: float, radius: float, n: int = 12) -> Points:
    return tuple(complex(x, y) + cmath.rect(radius, 2 * pi * k / n) for k in range(n))


def _path(*xy: tuple[float, float]) -> Points:
    return tuple(complex(x, y) for x, y in xy)


_RING_FINGER = ((0.12, -0.42), (0.5, -0.44), (0.62, -0.2), (0.62, 0.2), (0.5, 0.44), (0.12, 0.42))

TOOLS: dict[str, Tool] = {
    # laparoscopy
    "grasper": Tool(
        ((STEEL, _bar(0.56, 1.0, 0.11)), (DARK, _bar(0.66, 0.72, 0.11)), (DARK, _bar(0.82, 0.88, 0.11))),
        ((STEEL, _path((0, 0.01), (0.02, 0.12), (0.35, 0.16), (0.6, 0.12), (0.6, 0.01))),
         (DARK, _path((0.14, 0.05), (0.14, 0.09), (0.42, 0.11), (0.42, 0.05)))),
        swing=0.4,
    ),
    "probe": Tool(
        ((YELLOW, _disc(0.15, 0, 0.15)), (YELLOW, _bar(0.15, 1.0, 0.09)), (DARK, _bar(0.42, 0.5, 0.09)),
         (DARK, _bar(0.62, 0.7, 0.09)), (DARK, _bar(0.82, 0.9, 0.09))),
    ),
    "hook": Tool(
        ((ORANGE, _bar(0.42, 1.0, 0.12)), (DARK, _bar(0.04, 0.42, 0.045)), (DARK, _bar(0.0, 0.1, 0.16, 0.13)),
         (WHITE, _bar(0.0, 0.1, 0.04, 0.29))),
    ),
    "clip applier": Tool(
        ((BLUE, _bar(0.5, 1.0, 0.14)), (WHITE, _bar(0.6, 0.66, 0.14))),
        ((BLUE, _path((0, 0.05), (0, 0.15), (0.52, 0.15), (0.52, 0.03))),),
        swing=0.28,
    ),
    "scissors": Tool(
        ((MAGENTA, _bar(0.6, 1.0, 0.13)), (WHITE, _disc(0.62, 0, 0.07, 8))),
        ((MAGENTA, _path((0, 0.0), (0.14, 0.09), (0.66, 0.12), (0.66, -0.03))),),
        swing=0.6,
    ),
    "bipolar forceps": Tool(
        ((GREEN, _bar(0.62, 1.0, 0.14)), (DARK, _bar(0.78, 0.86, 0.14))),
        ((GREEN, _path((0, 0.02), (0.03, 0.09), (0.22, 0.24), (0.48, 0.25), (0.66, 0.12), (0.62, 0.02), (0.42, 0.14),
                       (0.24, 0.13))),),
        swing=0.3,
    ),
    "specimen bag": Tool(
        ((CYAN, _path((0.0, -0.16), (0.04, -0.28), (0.3, -0.38), (0.66, -0.34), (0.8, -0.14), (0.8, 0.14), (0.66, 0.34),
                      (0.3, 0.38), (0.04, 0.28), (0.0, 0.16))),
         ((30, 140, 150), _path((0.62, -0.3), (0.72, -0.28), (0.74, 0.28), (0.62, 0.3), (0.68, 0))),
         (DARK, _bar(0.76, 1.0, 0.08))),
    ),
    "irrigator": Tool(
        ((WHITE, _bar(0.0, 1.0, 0.12)), (BLUE, _bar(0.74, 0.84, 0.12)), (DARK, _disc(0.12, 0, 0.045, 6)),
         (DARK, _disc(0.28, 0, 0.045, 6)), (DARK, _disc(0.44, 0, 0.045, 6))),
    ),
    # open surgery
    "left hand": Tool(
        (((168, 214, 206), _path((0.36, -0.36), (0.9, -0.4), (1.0, -0.3), (1.0, 0.3), (0.86, 0.38), (0.4, 0.3))),
         ((168, 214, 206), _path((0.0, -0.3), (0.06, -0.38), (0.45, -0.36), (0.45, -0.22), (0.06, -0.22))),
         ((188, 230, 222), _path((-0.08, -0.1), (-0.02, -0.18), (0.45, -0.18), (0.45, -0.03), (-0.02, -0.02))),
         ((168, 214, 206), _path((-0.02, 0.08), (0.04, 0.01), (0.45, 0.02), (0.45, 0.16), (0.04, 0.17))),
         ((188, 230, 222), _path((0.2, 0.44), (0.28, 0.34), (0.62, 0.2), (0.7, 0.34), (0.34, 0.5)))),
        shaft=(60, 130, 140), shaft_width=0.6,
    ),
    "scalpel": Tool(
        ((CYAN, _bar(0.4, 1.0, 0.09)),
         (WHITE, _path((0, 0.02), (0.12, -0.1), (0.42, -0.12), (0.42, 0.1), (0.2, 0.12)))),
    ),
    "retractor": Tool(
        ((GOLD, _bar(0.24, 0.38, 0.42)), (GOLD, _bar(0.0, 0.26, 0.07, -0.35)), (GOLD, _bar(0.0, 0.26, 0.07)),
         (GOLD, _bar(0.0, 0.26, 0.07, 0.35)), (GOLD, _bar(0.36, 1.0, 0.09))),
    ),
    "cautery pencil": Tool(
        ((BLUE, _bar(0.26, 1.0, 0.14)), (STEEL, _bar(0.0, 0.28, 0.05)), (YELLOW, _bar(0.5, 0.66, 0.08))),
    ),
    "needle holder": Tool(
        ((GREEN, _bar(0.5, 1.0, 0.13)), (STEEL, _path(*_RING_FINGER[:3], (0.54, -0.2), (0.42, -0.34), (0.12, -0.34)))),
        ((GREEN, _path((0.1, 0.0), (0.12, 0.08), (0.55, 0.14), (0.55, 0.0))),),
        swing=0.2,
    ),
    "gauze": Tool(
        ((WHITE, _path((0.02, -0.34), (0.4, -0.4), (0.72, -0.3), (0.76, 0.1), (0.68, 0.38), (0.3, 0.36), (0.0, 0.3),
                       (0.06, 0.0))),
         ((200, 206, 216), _path((0.1, -0.22), (0.62, -0.2), (0.62, -0.15), (0.1, -0.17))),
         ((200, 206, 216), _path((0.12, 0.0), (0.64, 0.04), (0.64, 0.09), (0.12, 0.05))),
         ((200, 206, 216), _path((0.12, 0.2), (0.6, 0.22), (0.6, 0.27), (0.12, 0.25)))),
    ),
    # nursing
    "sponge": Tool(
        (((84, 160, 250), _path((0.0, -0.26), (0.06, -0.34), (0.6, -0.34), (0.66, -0.26), (0.66, 0.26), (0.6, 0.34),
                                (0.06, 0.34), (0.0, 0.26))),
         (WHITE, _disc(0.16, -0.14, 0.1, 8)), (WHITE, _disc(0.42, 0.12, 0.13, 8)), (WHITE, _disc(0.14, 0.18, 0.07, 8))),
    ),
    "swab": Tool(
        ((BROWN, _path((0.0, 0.0), (0.05, 0.14), (0.24, 0.18), (0.4, 0.1), (0.44, 0.0), (0.4, -0.1), (0.24, -0.18),
                       (0.05, -0.14))), ((238, 226, 196), _bar(0.4, 1.0, 0.05))),
    ),
    "tourniquet": Tool(
        ((INDIGO, _path((0.0, -0.5), (0.22, -0.5), (0.26, -0.1), (0.8, -0.1), (0.8, 0.1), (0.26, 0.1), (0.22, 0.5),
                        (0.0, 0.5))), (WHITE, _bar(0.08, 0.2, 0.12))),
    ),
    "cannula": Tool(
        (((250, 110, 190), _path((0.4, -0.06), (0.52, -0.36), (0.66, -0.36), (0.66, 0.36), (0.52, 0.36), (0.4, 0.06))),
         (STEEL, _bar(0.0, 0.42, 0.035)), (WHITE, _bar(0.62, 0.9, 0.1))),
    ),
    "syringe": Tool(
        ((RED, _bar(0.24, 0.56, 0.12)), (WHITE, _bar(0.54, 0.84, 0.15)), (STEEL, _bar(0.0, 0.24, 0.03)),
         (WHITE, _bar(0.2, 0.26, 0.15)), (DARK, _bar(0.82, 0.88, 0.22))),
    ),
    "dressing": Tool(
        ((GREEN, _bar(0.0, 0.68, 0.36)), (WHITE, _bar(0.08, 0.6, 0.28)), ((222, 214, 200), _bar(0.2, 0.48, 0.14))),
    ),
    "gauge": Tool(
        ((DARK, _disc(0.36, 0, 0.37, 16)), (WHITE, _disc(0.36, 0, 0.27, 16)),
         (RED, _path((0.36, -0.04), (0.18, 0.16), (0.4, 0.04))), (DARK, _bar(0.7, 0.95, 0.07))),
    ),
    "clipboard": Tool(
        ((BROWN, _bar(0.0, 0.82, 0.4)), (WHITE, _bar(0.06, 0.7, 0.33)), (STEEL, _bar(0.68, 0.8, 0.16)),
         ((120, 130, 160), _bar(0.14, 0.18, 0.25)), ((120, 130, 160), _bar(0.28, 0.32, 0.25)),
         ((120, 130, 160), _bar(0.42, 0.46, 0.25))),
    ),
    # robotics
    "needle driver": Tool(
        ((STEEL, _bar(0.5, 1.0, 0.14)), (DARK, _disc(0.56, 0, 0.09, 8)), (DARK, _bar(0.84, 0.92, 0.14))),
        ((STEEL, _path((0, 0.0), (0.02, 0.08), (0.55, 0.14), (0.55, 0.0))),),
        swing=0.35, shaft=(70, 74, 84), shaft_width=0.2,
    ),
}  # fmt: skip
