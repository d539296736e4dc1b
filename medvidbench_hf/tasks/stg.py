"""stg: where is an object at each requested time? (Spatiotemporal grounding.)

Question  "... Track the hook from 35.0 to 43.0 seconds, predicting its location every 4 seconds."
Answer    "35.0 seconds: [235.08, 261.2, 561.58, 405.62] 39.0 seconds: [274.26, 261.2, 561.58, 405.62]"
Truth     Boxes((TimedBox(35.0, Box(235.08, 261.2, 561.58, 405.62)), ...))   canvas pixels
Score     mean box IoU over the requested times

A requested time takes the predicted box nearest to it within half a frame interval; one that finds none counts 0,
as does a box with a number that is not finite. Boxes are put in order and clipped to the canvas before the IoU.
The question wordings are in stg.txt; the answer format is the release's.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from medvidbench_hf.sample import Box, Boxes, Canvas, TimedBox
from medvidbench_hf.tasks.answer import (
    LONGEST_S,
    NUMBER,
    TIME,
    UNIT,
    Parsed,
    Score,
    final_answer,
    json_seconds,
    number,
    plain,
    read_json,
    time_s,
    unique,
    walk,
)

_VALUE = rf"(-?{NUMBER}\.?(?:e[+-]?\d{{1,3}})?|nan|-?inf(?:inity)?)"
_COMMA = r"[\s,()\[\]]{1,6}"
_ENTRY = re.compile(
    rf"(?P<time>{TIME})(?P<unit>{UNIT})?['\"\])]{{0,2}}(?P<between>[^\d\[\]()\n]{{0,40}})"
    rf"[\[(]{{1,2}}\s{{0,3}}{_VALUE}{_COMMA}{_VALUE}{_COMMA}{_VALUE}{_COMMA}{_VALUE}\s{{0,3}}[\])]{{1,2}}",
    re.IGNORECASE,
)
_BOX_KEYS = ("box", "bbox", "bbox_2d", "box_2d", "bounding_box", "coordinates")
_TIME_KEYS = ("time", "time_s", "time_seconds", "timestamp", "t", "second", "seconds")


def render(truth: Boxes) -> str:
    return " ".join(f"{number(time)} seconds: [{', '.join(map(number, box))}]" for time, box in truth.boxes)


def parse(text: str) -> Parsed[Boxes]:
    """Read timed boxes from the release's format, from brackets of other kinds, or from JSON."""
    text, issues = final_answer(text)
    text = plain(text, issues)
    found: dict[float, Box | None] = {}

    def add(time: float, coordinates: list[Any]) -> None:
        box = _box(coordinates)
        if box is None:
            issues.append(f"box at {time} s dropped: not four finite numbers")
        if time in found:
            issues.append(f"time {time} s repeated: the last box counts")
        found[time] = box

    value = read_json(text)
    if value is not None:
        for time, coordinates in _json_boxes(value):
            add(time, coordinates)
        if found:
            issues.append("JSON read")
    if not found:
        for match in _ENTRY.finditer(text):
            if match["unit"] is None and not set(":.|") & set(match["time"] + match["between"]):
                continue  # "the 2 [...]": nothing says that the number is a time
            if match["unit"] is None:
                issues.append("no unit: taken as seconds")
            time = time_s(match["time"])
            if time <= LONGEST_S:
                add(time, list(match.groups()[3:]))
    boxes = tuple(TimedBox(time, box) for time, box in found.items() if box is not None)
    if not boxes:
        return Parsed(None, unique([*issues, "no timed box found"]))
    return Parsed(Boxes(boxes), unique(issues))


def score(parsed: Parsed[Boxes], truth: Boxes, frame_interval_s: float, canvas: Canvas) -> Score:
    """Score in 0..1. A truth without boxes cannot be scored and gives None."""
    if not truth.boxes:
        return Score(None)
    predicted = parsed.value.boxes if parsed.value else ()
    total, answered = 0.0, 0
    for time, box in truth.boxes:
        nearest = min(predicted, key=lambda p: abs(p.time_s - time), default=None)
        # The slack covers the rounding of times to 0.1 s and of 1 / fps.
        if nearest is not None and abs(nearest.time_s - time) <= frame_interval_s / 2 + 1e-6:
            total += box_iou(_on_canvas(nearest.box, canvas), _on_canvas(box, canvas))
            answered += 1
    n = len(truth.boxes)
    return Score(total / n, {"miou": total / n, "answered": answered / n})


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two ordered boxes; 0 where neither has an area."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    overlap = max(width, 0.0) * max(height, 0.0)
    union = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - overlap
    return overlap / union if union > 0 else 0.0


def _on_canvas(box: Box, canvas: Canvas) -> Box:
    x1, y1, x2, y2 = box
    left, right = (x1, x2) if x1 <= x2 else (x2, x1)
    top, bottom = (y1, y2) if y1 <= y2 else (y2, y1)
    width, height = float(canvas.width), float(canvas.height)
    return Box(
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )


def _box(coordinates: list[Any]) -> Box | None:
    try:
        values = [float(c) for c in coordinates]
    except (TypeError, ValueError, OverflowError):
        return None
    return Box(*values) if len(values) == 4 and all(map(isfinite, values)) else None


def _json_boxes(value: Any) -> list[tuple[float, list[Any]]]:
    """(time, coordinates) from {"1.0": [...]} and from [{"time": 1.0, "box": [...]}], in reading order."""
    found: list[tuple[float, list[Any]]] = []
    for item in walk(value):
        if not isinstance(item, dict):
            continue
        keys = {str(key).strip().lower(): entry for key, entry in item.items()}
        box = next((keys[k] for k in _BOX_KEYS if k in keys), None)
        time = next((json_seconds(keys[k]) for k in _TIME_KEYS if k in keys), None)
        if isinstance(box, list) and time is not None:
            found.append((time, box))
        for key, entry in keys.items():
            seconds = json_seconds(key)
            if isinstance(entry, dict):
                entry = next((entry[k] for k in _BOX_KEYS if k in entry), None)
            if seconds is not None and isinstance(entry, list):
                found.append((seconds, entry))
    return found
