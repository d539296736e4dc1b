"""The suturing pad of SimulatedRobotics, and the traces by which six aspects of skill can be seen.

    Respect for tissue         red tears beside the wound, none (5) to eight (1)
    Suture/needle handling     needles dropped in the tray below, none (5) to four (1)
    Time and motion            how jagged the path on the panel above is
    Flow of operation          stops, the knots on that path, none (5) to four (1)
    Quality of final product   stitches over the wound, five straight ones (5) to one crooked (1)
    Overall performance        the median of the five

All of it appears in the first 60% of the clip and stays; the tools leave before the end.
"""

from __future__ import annotations

import cmath
from math import sin

from medvidbench_hf.sources.simulated.pen import Pen
from medvidbench_hf.sources.simulated.script import Clip, Dice
from medvidbench_hf.sources.simulated.world import SOURCE_NAMES

THIRD_STREAM = 2
TEARS = {5: 0, 4: 2, 3: 4, 2: 6, 1: 8}
JAGS_PX = {5: 0.0, 4: 8.0, 3: 16.0, 2: 25.0, 1: 36.0}  # half the height of the path's teeth, canvas pixels
PATH_POINTS = 28


def draw_pad(pen: Pen, clip: Clip, dice: Dice) -> None:
    """Panel (above), pad with its wound (middle) and tray (below)."""
    width, height = clip.canvas

    def block(top: float, bottom: float, paint: tuple[int, int, int], edge: tuple[int, int, int]) -> None:
        corners = (complex(0.03, top), complex(0.97, top), complex(0.97, bottom), complex(0.03, bottom))
        pen.shape([complex(c.real * width, c.imag * height) for c in corners], paint, edge)

    block(0.03, 0.3, (36, 42, 54), (90, 100, 120))
    block(0.34, 0.79, (238, 186, 160), (196, 134, 110))
    block(0.83, 0.97, (70, 84, 98), (120, 134, 150))
    for k in range(5):
        y = 0.38 + 0.09 * k + dice.uniform(-0.01, 0.01)
        pen.stroke(
            [complex(0.05 * width, y * height), complex(0.95 * width, (y + 0.01) * height)], (230, 174, 148), 3.0
        )
    wound = [complex(x / 20 * width, (0.565 + 0.008 * sin(x)) * height) for x in range(2, 19)]
    pen.stroke(wound, (240, 150, 130), 16.0)
    pen.stroke(wound, (150, 40, 44), 6.0)


def draw_progress(pen: Pen, clip: Clip, time_s: float) -> None:
    """What has been done up to a time."""
    tissue, needle, motion, flow, _, quality = clip.grades
    width, height = clip.canvas
    done = min(1.0, (0.12 + time_s / clip.end_s) / 0.6)
    dice = Dice(SOURCE_NAMES.index(clip.source), clip.seed, THIRD_STREAM)

    path = []
    for k in range(PATH_POINTS + 1):
        tooth = JAGS_PX[motion] * dice.uniform(0.7, 1.0) * (-1) ** k
        x = 0.06 + 0.88 * k / PATH_POINTS
        path.append(complex(x * width, 0.165 * height + 10 * sin(9 * x) + tooth))
    drawn = path[: max(2, round(done * PATH_POINTS) + 1)]
    pen.stroke(drawn, (90, 232, 240), 4.0)
    for k in range(round(done * (5 - flow))):
        at = round(PATH_POINTS * (0.1 + 0.2 * k + dice.uniform(0, 0.08)))
        pen.disc(complex(path[at].real, 0.165 * height), 13.0, (255, 150, 30), (255, 230, 170))

    stitches = round(done * quality)
    crooked = (5 - quality) * 0.16
    for k in range(stitches):
        middle = complex((0.17 + 0.165 * k) * width, 0.565 * height)
        side = cmath.rect(34.0, 1.5708 + crooked * (-1) ** k)
        pen.stroke([middle - side, middle + side], (30, 34, 120), 9.0)
        pen.disc(middle - side, 7.0, (30, 34, 120))

    for k in range(round(done * TEARS[tissue])):
        row = k % 2
        x, y = 0.13 + 0.1 * k + dice.uniform(-0.02, 0.02), (0.43, 0.71)[row] + dice.uniform(-0.025, 0.025)
        middle = complex(x * width, y * height)
        pen.disc(middle, 13.0, (206, 16, 28), (120, 0, 10))
        pen.disc(middle - 4 - 4j, 3.5, (255, 150, 150))

    for k in range(round(done * (5 - needle))):
        middle = complex((0.16 + 0.22 * k + dice.uniform(-0.03, 0.03)) * width, 0.905 * height)
        turn = dice.uniform(-0.5, 0.5)
        arc = [middle + cmath.rect(20.0, turn + 0.3 * a) + 8j for a in range(-11, 1)]
        pen.stroke(arc, (250, 250, 200), 6.0)
