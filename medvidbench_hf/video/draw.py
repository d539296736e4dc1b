"""Boxes on frames."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from medvidbench_hf.sample import Box, Canvas
from medvidbench_hf.video.boxes import convert

Colour = tuple[int, int, int]


def draw_boxes(frame: np.ndarray, boxes: Iterable[tuple[Box, Colour]], canvas: Canvas, width_px: int = 2) -> np.ndarray:
    """A copy of the frame with boxes drawn on it.

    frame: (height, width, 3) uint8 of any size. boxes: in canvas pixels; they are scaled to the frame. Draw before
    any later resize. The line runs inside the box.
    """
    image = Image.fromarray(frame)
    pen = ImageDraw.Draw(image)
    for box, colour in boxes:
        x1, y1, x2, y2 = convert(box, canvas, Canvas(image.width, image.height))
        left, right = sorted((x1, x2))
        top, bottom = sorted((y1, y2))
        pen.rectangle(
            (round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1)),
            outline=colour,
            width=width_px,
        )
    return np.asarray(image)
