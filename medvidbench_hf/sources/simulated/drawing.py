"""Drawing a clip: a still scene made once, tools and traces drawn on it frame by frame, light laid over the result.

Frames are drawn at twice the wanted size and halved. All positions are canvas pixels, so every size shows the same
picture and boxes follow at any size.
"""

from __future__ import annotations

import cmath
from math import pi

import numpy as np

from medvidbench_hf.sample import InputError
from medvidbench_hf.sources.simulated import bench, scenes, traces
from medvidbench_hf.sources.simulated.pen import Pen, shade
from medvidbench_hf.sources.simulated.script import Clip, Track
from medvidbench_hf.sources.simulated.tools import TOOLS, outline

GLOVES = {"open": (168, 214, 206), "nursing": (150, 128, 226)}
SUPER = 2  # drawn pixels per pixel of the result


def render(clip: Clip, size_px: int = 112) -> np.ndarray:
    """The frames of a clip, uint8 (n_frames, height, width, 3); size_px is the longer side."""
    if size_px < 16:
        raise InputError(f"size_px {size_px} is too small to show anything: give 16 or more")
    width, height = frame_size(clip, size_px)
    scale = (SUPER * width / clip.canvas.width, SUPER * height / clip.canvas.height)
    scene, margin = scenes.scene(clip, (SUPER * width, SUPER * height))
    frames = np.empty((len(clip.frame_times_s), height, width, 3), np.uint8)
    light = light_map(clip, width, height)
    lights: dict[int, np.ndarray] = {}
    for k, time_s in enumerate(clip.frame_times_s):
        if k and time_s == clip.frame_times_s[k - 1]:
            frames[k] = frames[k - 1]
            continue
        sway = clip.sway(time_s)
        left, top = margin[0] - round(sway.real * scale[0]), margin[1] - round(sway.imag * scale[1])
        image = scene.crop((left, top, left + SUPER * width, top + SUPER * height))
        pen = Pen(image, *scale)
        action = clip.action_at(time_s)
        if clip.grades and not clip.actions:
            bench.draw_progress(pen, clip, time_s)
        if action is not None:
            traces.draw_under(pen, clip, action, time_s)
        for track in reversed(clip.visible_at(time_s)):  # the action's tool over the helper
            _draw_tool(pen, clip, track, time_s)
        if action is not None:
            traces.draw_over(pen, clip, action, time_s)
        step = action.step if action is not None else -1
        if step not in lights:
            tint = clip.world.ring[step].tint if step >= 0 else (1.0, 1.0, 1.0)
            lights[step] = (light * np.asarray(tint, np.float32) * 128).astype(np.uint16)
        small = np.asarray(image.reduce(SUPER), np.uint16)
        frames[k] = np.minimum((small * lights[step]) >> 7, 255)
    return frames


def frame_size(clip: Clip, size_px: int) -> tuple[int, int]:
    """(width, height) of frames whose longer side is size_px."""
    width, height = clip.canvas
    longer = max(width, height)
    return max(1, round(size_px * width / longer)), max(1, round(size_px * height / longer))


def light_map(clip: Clip, width: int, height: int) -> np.ndarray:
    """(height, width, 3) float32: the light on the scene, 1 for as drawn.

    Red falls from left to right and blue from top to bottom, always the same way, so that a place has a colour of its
    own. Darker to the corners, as through an endoscope.
    """
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    edge = 0.55 if clip.source == "SimulatedLaparoscopy" else 0.14
    fade = 1.04 - edge * np.clip(0.5 * (x * x + y * y), 0, 1) ** 1.5
    return np.stack([fade * (1 - 0.12 * x), fade * (1 + 0 * x), fade * (1 - 0.14 * y)], axis=2)


def _draw_tool(pen: Pen, clip: Clip, track: Track, time_s: float) -> None:
    tool, head = TOOLS[track.tool], clip.world.head_px
    tip, angle, opening = clip.pose(track, time_s)
    frame = cmath.rect(head, angle)
    shadow = complex(0.06, 0.09) * head
    behind = _behind(tool.shaft_width, long=clip.world.domain in ("laparoscopic", "robotic"))
    shapes = outline(tool, opening)
    for points in ([behind[0]] if track.tool == "left hand" else []) + [shapes[0][1], behind[0]]:
        pen.shape([tip + shadow + p * frame for p in points], (20, 8, 8, 70))
    if clip.world.domain in GLOVES:
        _draw_hand(pen, tip, frame, GLOVES[clip.world.domain], is_hand=track.tool == "left hand", cuff=tool.shaft)
    else:
        for points, colour in zip(behind, (tool.shaft, shade(tool.shaft, 1.5)), strict=True):
            pen.shape([tip + p * frame for p in points], colour)
    edge = shade(shapes[0][0], 0.45)
    for colour, points in shapes:
        pen.shape([tip + p * frame for p in points], colour, edge)
    # One highlight along the head makes flat colour look round.
    if track.tool != "left hand":
        light = (255, 255, 255, 90)
        pen.stroke([tip + p * frame for p in (complex(0.66, -0.05), complex(0.97, -0.05))], light, 0.045 * head)


def _behind(width: float, *, long: bool) -> tuple[tuple[complex, ...], tuple[complex, ...]]:
    """The shaft behind a head, and the light on it, in the head's frame."""
    half, end = width / 2, 9.0 if long else 1.6
    return (
        (complex(0.98, -half), complex(end, -half), complex(end, half), complex(0.98, half)),
        (complex(0.98, -0.5 * half), complex(end, -0.5 * half), complex(end, -0.1 * half), complex(0.98, -0.1 * half)),
    )


def _draw_hand(
    pen: Pen, tip: complex, frame: complex, glove: tuple[int, int, int], *, is_hand: bool, cuff: tuple[int, int, int]
) -> None:
    """The gloved hand behind a tool and its sleeve; behind a hand the sleeve only."""
    sleeve = (58, 128, 138) if not is_hand else cuff
    far, near = 7.0, 0.96 if is_hand else 1.5
    arm = [complex(near, -0.3), complex(far, -0.75), complex(far, 0.75), complex(near, 0.3)]
    pen.shape([tip + p * frame for p in arm], sleeve, shade(sleeve, 0.6))
    if is_hand:
        return
    turned = [complex(1.3, 0.0) + cmath.rect(0.38, 2 * pi * k / 10) * 1.0 for k in range(10)]
    pen.shape([tip + p * frame for p in turned], glove, shade(glove, 0.6))
    for y in (-0.2, 0.02, 0.22):
        finger = [complex(0.86, y - 0.08), complex(1.25, y - 0.1), complex(1.25, y + 0.1), complex(0.86, y + 0.09)]
        pen.shape([tip + p * frame for p in finger], shade(glove, 1.08), shade(glove, 0.6))
