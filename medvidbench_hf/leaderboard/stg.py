"""STG_mIoU as the board computes it.

Answer    "35.0 seconds: [235.08, 261.2, 561.58, 405.62] 39.0 seconds: [...]"; the word is "seconds", the box ends at
          the first "]" and goes through float(), so 1e1, 1_0, nan and inf are numbers. A box of other than four
          numbers becomes the one before it. Only where there is no such entry: [[1, 2, 3, 4]] boxes of integers, one
          for each true time in order.
Truth     struc_info's first item (or itself, if an object): its bbox_dict, else the item as a map from time to box
Value     mean box IoU over the true times. A time is looked up as text with one decimal; one that is missing, or
          whose box is [0, 0, 0, 0], takes the box used for the true time before it.
Column    mean over the records that have a true box
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isnan
from typing import Any

from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import NUMBER, Record, TaskLost, fps_of, number_of, text_of

ZERO = [0.0, 0.0, 0.0, 0.0]
COLUMN = "STG_mIoU"

_ENTRY = re.compile(rf"({NUMBER})\s++seconds:\s*+\[([^\]]*+)\]")
_DOUBLE = re.compile(r"\[\[\s*+(\d++)\s*+,\s*+(\d++)\s*+,\s*+(\d++)\s*+,\s*+(\d++)\s*+\]\]")


def parse(text: str, keys: Sequence[str] = ()) -> dict[str, list[float]]:
    """Time, as str(float(...)), to box. keys: the true times, for boxes in double brackets."""
    text = text[: text.rfind("]") + 1]  # without it, every unclosed bracket would be searched to the end of the text
    entries = _ENTRY.findall(text)
    if not entries:
        return {key: [float(v) for v in box] for key, box in zip(keys, _DOUBLE.findall(text), strict=False)}
    found: dict[str, list[float]] = {}
    before: list[float] | None = None
    for time, inside in entries:
        box = _four_floats(inside) or before
        if box is not None:
            found[str(float(time))] = before = box
    return found


def truth(record: Record) -> dict[str, Any]:
    """The true boxes by their time as text."""
    info = record.get("struc_info")
    item = (info[0] if info else None) if isinstance(info, list) else info
    if not isinstance(item, dict):
        return {}
    boxes = item.get("bbox_dict", item)
    return boxes if isinstance(boxes, dict) else {}


def score(record: Record) -> Row:
    """Raises TaskLost."""
    answer = text_of(record, "answer")
    fps_of(record)
    true = truth(record)
    said = parse(answer, list(true))
    used = ZERO
    ious, honest, exact = [], [], []
    for key, box in true.items():
        wanted = said.get(_one_decimal(key))
        missing = wanted is None or wanted == ZERO
        used = used if missing else wanted  # type: ignore[assignment]
        if not _is_box(box):
            continue
        for value in box:
            number_of(value, "struc_info.bbox_dict")
        ious.append(_iou(used, box))
        honest.append(0.0 if missing and used != ZERO else ious[-1])
        finer = said.get(str(float(key)), used) if missing else used
        exact.append(_iou(finer, box))
    if not ious:
        return Row({}, bool(said), flags=("stg-no-truth",))
    value = sum(ious) / len(ious)
    if isnan(value):
        return Row({COLUMN: {"": (value, 1)}}, bool(said), flags=("stg-not-a-number",))
    others = {"stg-carry-over": sum(honest) / len(honest), "stg-one-decimal": sum(exact) / len(exact)}
    without = {trap: {COLUMN: {"": (other, 1)}} for trap, other in others.items() if other != value}
    return Row({COLUMN: {"": (value, 1)}}, bool(said), without)


def _one_decimal(key: str) -> str:
    try:
        return f"{float(key):.1f}"
    except ValueError:
        raise TaskLost(f"field struc_info.bbox_dict: key {key[:40]!a} is no time") from None


def _four_floats(inside: str) -> list[float] | None:
    """Four numbers between commas; further "[" before them are no matter."""
    values = inside.strip().lstrip("[").split(",", 4)
    if len(values) != 4:
        return None
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Not ordered, not clipped, union at least 1e-6; not a number where a coordinate makes it so."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / (1e-6 if union < 1e-6 else union)
