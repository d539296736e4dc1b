"""The still scene behind the tools: tissue, wound, bedside table or suturing pad, larger than the frame by the sway."""

from __future__ import annotations

import cmath
from math import ceil, pi

import numpy as np
from PIL import Image

from medvidbench_hf.sources.simulated import bench
from medvidbench_hf.sources.simulated.pen import Pen, rounded, shade
from medvidbench_hf.sources.simulated.script import Clip, Dice
from medvidbench_hf.sources.simulated.world import SOURCE_NAMES

SECOND_STREAM = 1  # the scene's draws are apart from the script's, so that neither changes with the other


def scene(clip: Clip, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """The scene as an image and the margin (x, y) by which it reaches over a frame of `size`, in drawn pixels."""
    scale = (size[0] / clip.canvas.width, size[1] / clip.canvas.height)
    reach = clip.world.sway_px
    margin = (ceil(reach * scale[0]) + 1, ceil(reach * scale[1]) + 1)
    whole = (size[0] + 2 * margin[0], size[1] + 2 * margin[1])
    key = (SOURCE_NAMES.index(clip.source), clip.seed, SECOND_STREAM)
    dice = Dice(*key)
    noise = np.random.default_rng((*key, SECOND_STREAM))
    dark, light = _COLOURS[clip.source]
    image = _tissue(noise, whole, dark, light, fine=clip.world.domain in ("laparoscopic", "open"))
    pen = Pen(image, *scale, shift=complex(margin[0] / scale[0], margin[1] / scale[1]))
    _DRAWINGS[clip.source](pen, clip, dice)
    return image, margin


_COLOURS = {
    "SimulatedLaparoscopy": ((126, 38, 36), (214, 112, 96)),
    "SimulatedOpenSurgery": ((134, 26, 30), (216, 96, 84)),
    "SimulatedNursing": ((148, 170, 172), (192, 208, 206)),
    "SimulatedRobotics": ((176, 140, 110), (206, 172, 142)),
}


def _tissue(
    noise: np.random.Generator, size: tuple[int, int], dark: tuple[int, ...], light: tuple[int, ...], *, fine: bool
) -> Image.Image:
    """Smooth noise between two colours, of an amount of detail that does not depend on the size."""
    half = (max(1, size[0] // 2), max(1, size[1] // 2))
    level = np.zeros((half[1], half[0]), np.float32)
    for cells, weight in ((5, 0.5), (12, 0.3), (40, 0.2 if fine else 0.06)):
        grid = Image.fromarray(noise.random((cells * size[1] // size[0] + 1, cells), np.float32))
        level += weight * np.asarray(grid.resize(half, Image.Resampling.BICUBIC))
    low, high = np.asarray(dark, np.float32), np.asarray(light, np.float32)
    mixed = low + np.clip(1.6 * level[..., None] - 0.3, 0, 1) * (high - low)
    return Image.fromarray(mixed.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _vessels(pen: Pen, clip: Clip, dice: Dice, n: int) -> None:
    width, height = clip.canvas
    for _ in range(n):
        point, angle = complex(dice.uniform(0, width), dice.uniform(0, height)), dice.uniform(0, 2 * pi)
        path = [point]
        for _ in range(5):
            angle += dice.uniform(-0.6, 0.6)
            point += cmath.rect(0.07 * width, angle)
            path.append(point)
        pen.stroke(path, (120, 16, 30, 120), 0.008 * width)


def _shine(pen: Pen, clip: Clip, dice: Dice, n: int) -> None:
    """Wet spots that mirror the lamp."""
    width, height = clip.canvas
    for _ in range(n):
        middle, size = complex(dice.uniform(0, width), dice.uniform(0, height)), dice.uniform(0.008, 0.018) * width
        pen.oval(middle, 1.6 * size, size, (255, 236, 228, 90))
        pen.oval(middle, 0.8 * size, 0.5 * size, (255, 250, 246, 190))


def _laparoscopy(pen: Pen, clip: Clip, dice: Dice) -> None:
    """The gall bladder under the liver, with what the three criteria of the critical view grade.

    Tubes from its neck: none, one or two. Plate: the pale strip beside it, covered, half or wholly cleared. Triangle:
    seven lumps of fat between neck and liver, three, or none.
    """
    tubes, plate, triangle = clip.grades
    width, height = clip.canvas
    flip = dice.pick((False, True))

    def at(x: float, y: float) -> complex:
        return complex(width * (1 - x if flip else x), height * y)

    _vessels(pen, clip, dice, 5)
    liver = [at(-0.1, -0.1), at(1.1, -0.1), at(1.1, 0.16), at(0.84, 0.26), at(0.5, 0.2), at(0.2, 0.28), at(-0.1, 0.24)]
    pen.shape(rounded(liver), (112, 34, 30), (84, 20, 22))
    _shine(pen, clip, dice, 8)
    # The plate: a strip along the upper edge of the gall bladder.
    strip = [at(0.22, 0.24), at(0.36, 0.185), at(0.5, 0.215), at(0.63, 0.3)]
    if plate:
        pen.stroke(strip if plate == 2 else strip[2:], (250, 240, 206), 0.058 * width)
    # Fat in the triangle between neck and liver.
    for k in range((7, 3, 0)[triangle]):
        middle = at(0.72 + 0.055 * (k % 4), 0.27 + 0.1 * (k // 4) + 0.02 * (k % 2))
        pen.oval(middle, 0.036 * width, 0.032 * width, (244, 206, 84), (176, 130, 40))
        pen.oval(middle - 5 - 5j, 0.012 * width, 0.01 * width, (255, 240, 170))
    # Tubes leave the neck downwards.
    for k in range(tubes):
        path = [at(0.68, 0.43), at(0.76 + 0.08 * k, 0.54 - 0.05 * k), at(0.8 + 0.12 * k, 0.68 - 0.1 * k)]
        colour = ((206, 226, 150), (250, 110, 110))[k]
        pen.stroke(path, shade(colour, 0.5), 0.05 * width)
        pen.stroke(path, colour, 0.034 * width)
    body = [at(0.2, 0.38), at(0.24, 0.29), at(0.36, 0.25), at(0.5, 0.28), at(0.62, 0.37), at(0.71, 0.4)]
    body += [at(0.69, 0.46), at(0.58, 0.47), at(0.44, 0.5), at(0.3, 0.49), at(0.22, 0.45)]
    pen.shape(rounded(body), (92, 138, 112), (52, 88, 74))
    pen.oval(at(0.37, 0.36), 0.09 * width, 0.035 * height, (134, 178, 146, 200))
    pen.oval(at(0.34, 0.34), 0.03 * width, 0.012 * height, (226, 244, 226, 220))


def _open(pen: Pen, clip: Clip, dice: Dice) -> None:
    """Green drapes around a window of skin with an open wound."""
    width, height = clip.canvas
    middle = complex(width, height) / 2
    _vessels(pen, clip, dice, 4)
    _shine(pen, clip, dice, 10)
    # Everything outside the wound: a ring of skin, then drapes, as polygons with the wound's outline cut out.
    wobble = [dice.uniform(0.94, 1.06) for _ in range(24)]
    wound = [
        middle + complex(0.4 * width, 0.34 * height).real * w * cmath.rect(1, 2 * pi * k / 24)
        for k, w in enumerate(wobble)
    ]
    skin = [middle + (p - middle) * 1.12 for p in wound]
    far = [middle + (p - middle) * 3.0 for p in wound]
    for inner, outer, colour in ((skin, far, (44, 116, 112)), (wound, skin, (226, 172, 142))):
        for k in range(len(wound)):
            pen.shape([inner[k - 1], inner[k], outer[k], outer[k - 1]], colour)
    for k in range(0, len(wound), 6):
        pen.stroke([skin[k], skin[k] + (skin[k] - middle) * 0.5], (34, 94, 92), 0.012 * width)
    pen.stroke([*wound, wound[0]], (150, 60, 56), 0.01 * width)


def _nursing(pen: Pen, clip: Clip, dice: Dice) -> None:
    """A bedside table, a towel, and the patient's arm across it."""
    width, height = clip.canvas
    flip, low = dice.pick((False, True)), dice.uniform(0.46, 0.6)

    def at(x: float, y: float) -> complex:
        return complex(width * (1 - x if flip else x), height * y)

    pen.shape([at(0.06, 0.1), at(0.94, 0.06), at(0.96, 0.9), at(0.04, 0.94)], (216, 228, 232), (180, 196, 204))
    for k in range(4):
        pen.stroke([at(0.05, 0.2 + 0.2 * k), at(0.95, 0.17 + 0.2 * k)], (202, 218, 224), 0.008 * width)
    arm = [at(-0.1, low - 0.17), at(0.3, low - 0.15), at(0.62, low - 0.1), at(0.78, low - 0.1), at(0.9, low - 0.05)]
    arm += [at(0.9, low + 0.07), at(0.78, low + 0.11), at(0.62, low + 0.1), at(0.3, low + 0.15), at(-0.1, low + 0.17)]
    arm = rounded(arm)
    pen.shape([p + complex(5, 8) for p in arm], (60, 70, 80, 80))
    pen.shape(arm, (222, 172, 140), (176, 124, 98))
    for k in range(4):  # fingers
        y = low - 0.045 + 0.035 * k
        pen.stroke([at(0.88, y), at(0.965, y + 0.006 * (k - 1))], (222, 172, 140), 0.024 * width)
    pen.stroke([at(0.1, low - 0.04), at(0.4, low - 0.01), at(0.66, low - 0.03)], (140, 140, 170, 120), 0.01 * width)
    pen.oval(at(0.4, low - 0.08), 0.2 * width, 0.02 * height, (244, 206, 180, 150))
    pen.shape([at(0.7, 0.1), at(0.92, 0.09), at(0.93, 0.26), at(0.71, 0.27)], (164, 172, 182), (110, 118, 130))
    pen.disc(at(0.77, 0.18), 0.025 * width, (236, 240, 244), (120, 128, 140))
    pen.disc(at(0.86, 0.18), 0.018 * width, (120, 160, 210), (80, 100, 140))


_DRAWINGS = {
    "SimulatedLaparoscopy": _laparoscopy,
    "SimulatedOpenSurgery": _open,
    "SimulatedNursing": _nursing,
    "SimulatedRobotics": bench.draw_pad,
}
