"""What an action leaves where it works: smoke, clips, stitches, foam. Traces last as long as their action.

They grow by stages of one and a half frames, 1 to 4, so that they show at every sampling rate. They end with the
action, because a trace that stayed would tell the past of the clip in one frame.
"""

from __future__ import annotations

import cmath
from math import pi

from medvidbench_hf.sources.simulated.pen import Pen
from medvidbench_hf.sources.simulated.script import Clip, Track

STAGES = 4


def stage(clip: Clip, action: Track, time_s: float) -> int:
    """How far the trace has grown, 1..STAGES."""
    return min(STAGES, 1 + int((time_s - action.start_s) * clip.fps / 1.5))


def _line(clip: Clip, action: Track, time_s: float) -> tuple[complex, complex, float]:
    """Where the trace lies (canvas pixels, x + iy), its direction, and its unit of length."""
    along = cmath.rect(1.0, action.angle)
    size = clip.world.head_px
    place = action.place - 0.4 * size * along + clip.sway(time_s)
    return place, along * 1j, size


def draw_under(pen: Pen, clip: Clip, action: Track, time_s: float) -> None:
    """The part of the trace that lies on the scene, below the tool."""
    place, across, size = _line(clip, action, time_s)
    n = stage(clip, action, time_s)
    ends = [place - across * 0.16 * n * size, place + across * 0.16 * n * size]
    row = [place + across * size * 0.24 * (k - 1.5) for k in range(n)]
    match clip.world.ring[action.step].effect:
        case "dimple":
            pen.disc(place, 0.16 * size * (1 + 0.3 * n), (60, 10, 20, 90))
            pen.disc(place, 0.08 * size * (1 + 0.3 * n), (40, 0, 10, 90))
        case "groove":
            pen.stroke([ends[0], place + across * 1j * 0.06 * size, ends[1]], (74, 12, 14), 0.15 * size)
            pen.stroke([ends[0], place + across * 1j * 0.06 * size, ends[1]], (30, 4, 8), 0.06 * size)
        case "clips":
            for middle in row:
                side = across * 1j * 0.15 * size
                pen.stroke([middle - side, middle + side], (30, 40, 70), 0.15 * size)
                pen.stroke([middle - side, middle + side], (226, 236, 255), 0.1 * size)
        case "slit":
            side = across * 1j * 0.03 * n * size
            pen.shape([ends[0], place + side, ends[1], place - side], (56, 0, 26), (250, 190, 190))
        case "char":
            for k, middle in enumerate(row):
                pen.disc(middle + across * 1j * 0.08 * size * (-1) ** k, 0.15 * size, (44, 26, 16, 235))
                pen.disc(middle + across * 1j * 0.08 * size * (-1) ** k, 0.07 * size, (206, 196, 170, 235))
        case "lump":
            pen.disc(place + across * 1j * 0.2 * size, 0.07 * size * (1 + n), (236, 206, 92), (150, 120, 40))
        case "water":
            pen.oval(place, 0.22 * size * (1 + 0.3 * n), 0.14 * size * (1 + 0.3 * n), (170, 220, 255, 120))
            for k in range(2 * n):
                pen.disc(place + cmath.rect(0.5 * size, 2.4 * k), 0.05 * size, (196, 234, 255, 230), (90, 150, 210))
        case "incision":
            pen.stroke(ends, (196, 8, 20), 0.14 * size)
            pen.stroke(ends, (96, 0, 8), 0.05 * size)
            for middle in row[::2]:
                pen.disc(middle + 0.16j * size, 0.09 * size, (214, 10, 24))
        case "pull":
            for k in range(n):
                side = across * 1j * size * (0.12 + 0.13 * k)
                pen.stroke([place - across * 0.4 * size - side, place + across * 0.4 * size - side], (120, 30, 30), 4.0)
        case "smoke":
            pen.disc(place, 0.2 * size, (60, 34, 18, 235))
        case "stitches":
            for middle in row:
                side = (across * 1j + 0.3 * across) * 0.2 * size
                pen.stroke([middle - side, middle + side], (24, 24, 70), 0.08 * size)
        case "wipe":
            pen.oval(place, 0.34 * size * (1 + 0.25 * n), 0.26 * size * (1 + 0.25 * n), (250, 226, 216, 150))
        case "foam":
            for k in range(3 * n):
                bubble = place + cmath.rect(0.16 * size * (1 + 0.28 * k), 2.4 * k)
                pen.disc(bubble, 0.11 * size, (244, 250, 255, 230), (170, 196, 226))
        case "iodine":
            pen.oval(place, 0.22 * size * (1 + 0.4 * n), 0.16 * size * (1 + 0.4 * n), (178, 92, 20, 190))
        case "band":
            for side in (-0.16, 0.1):
                start = place + complex(side * size, -0.16 * size * (2 + n))
                pen.stroke([start, start + 0.32j * size * (2 + n)], (72, 60, 190), 0.12 * size)
        case "drops":
            for k in range(n + 1):
                pen.disc(place + complex(0.2 * (k - 1), 0.24 + 0.1 * (k % 2)) * size, 0.1 * size, (206, 8, 26))
        case "jet":
            pen.disc(place, 0.1 * size * (1 + n), (252, 170, 170, 170), (200, 60, 60))
        case "patch":
            half = 0.16 * size * (1 + 0.3 * n)
            pen.shape(
                [place + half * c for c in (-1 - 0.7j, 1 - 0.7j, 1 + 0.7j, -1 + 0.7j)], (238, 232, 214), (90, 190, 120)
            )
        case "cuff":
            width, tall = 0.2 * size * (1 + 0.2 * n), 0.7 * size
            corners = (complex(-width, -tall), complex(width, -tall), complex(width, tall), complex(-width, tall))
            pen.shape([place + 0.3 * size + c for c in corners], (112, 118, 134), (60, 64, 76))
        case "notes":
            corner = place - complex(1.0, 0.3) * size
            sheet = [corner + c * size for c in (0, 0.6, 0.6 + 0.76j, 0.76j)]
            pen.shape(sheet, (252, 250, 240), (120, 120, 130))
            for k in range(n):
                start = corner + complex(0.08, 0.16 + 0.15 * k) * size
                pen.stroke([start, start + 0.44 * size], (40, 50, 160), 0.06 * size)


def draw_over(pen: Pen, clip: Clip, action: Track, time_s: float) -> None:
    """The part of the trace that lies in front of the tool: smoke and sparks."""
    heavy = {"groove": 2, "char": 5, "smoke": 5}.get(clip.world.ring[action.step].effect, 0)
    if not heavy:
        return
    size = clip.world.head_px
    tip = clip.pose(action, time_s).tip
    for k in range(heavy):
        drift = complex(0.18 * ((k * 7 + int(3 * time_s)) % 5 - 2), -0.16 - 0.2 * k) * size
        radius = (0.16 + 0.05 * k) * size
        for share in (1.0, 0.75, 0.5):
            pen.disc(tip + drift, share * radius, (222, 222, 228, 44))
    if heavy == 5:
        rays = [tip + cmath.rect(0.16 * size if k % 2 else 0.05 * size, 2 * pi * k / 12) for k in range(12)]
        pen.shape(rays, (255, 252, 214))
