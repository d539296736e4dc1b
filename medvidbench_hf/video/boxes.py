"""Box spaces. A space is a size: how many of its units the frame is wide and high.

Canvas pixels are `sample.canvas`, model pixels the size a model is shown, 0..1 is `UNIT`, 0..1000 is `THOUSAND`:

    convert(box, sample.canvas, THOUSAND)
"""

from __future__ import annotations

from math import isfinite

from medvidbench_hf.sample import Box, Canvas, InputError

UNIT = Canvas(1, 1)
THOUSAND = Canvas(1000, 1000)


def convert(box: Box, source: Canvas, target: Canvas) -> Box:
    """The same box in the units of another space. InputError for a coordinate that is not a finite number."""
    if not all(map(isfinite, box)):
        raise InputError(f"box {tuple(box)}: a coordinate is not a finite number")
    if min(source) <= 0 or min(target) <= 0:
        raise InputError(f"box {tuple(box)}: from {tuple(source)} to {tuple(target)}: a space without width or height")
    # Multiplied first: a box as wide as its source is then exactly as wide as its target.
    return Box(
        box[0] * target.width / source.width,
        box[1] * target.height / source.height,
        box[2] * target.width / source.width,
        box[3] * target.height / source.height,
    )
