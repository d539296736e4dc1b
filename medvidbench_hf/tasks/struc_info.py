"""`struc_info`, the structured truth of the release's rows: read in every shape that it has, written in one.

    tal               [{"spans": [{"start": 22.0, "end": 78.0}]}]  also procedure, action, action_list
    stg               [{"bbox_dict": {"10": [x1, y1, x2, y2]}}]  or the plain dict
    dense_captioning  [[{"start", "end", "caption"}]]  or [{"dc_segments": [...]}], or flat
    skill_assessment  [{"skill_scores": {aspect: 3}, "skill_level": "N"}]
    cvs_assessment    [{"cvs_scores": {"two_structures": 2, ...}}]

The other tasks have their answer as text only.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from medvidbench_hf import tasks
from medvidbench_hf.sample import (
    Box,
    Boxes,
    Label,
    NamedScore,
    Scores,
    Segment,
    Segments,
    Span,
    Spans,
    Text,
    TimedBox,
    Truth,
)
from medvidbench_hf.tasks.answer import fold
from medvidbench_hf.tasks.cvs_assessment import CRITERIA
from medvidbench_hf.tasks.skill_assessment import ASPECTS

CVS_KEYS = {name: name.lower().replace(" ", "_") for name in CRITERIA}  # "Two structures" -> "two_structures"


def struc_info(truth: Truth) -> list[Any]:
    """A truth in the release's structured form; [] for the tasks that have only text."""
    match truth:
        case Spans(spans):
            return [{"spans": [{"start": s.start_s, "end": s.end_s} for s in spans]}]
        case Boxes(boxes):
            return [{"bbox_dict": {str(float(time_s)): list(box) for time_s, box in boxes}}]
        case Segments(segments):
            return [[{"start": s.start_s, "end": s.end_s, "caption": s.caption} for s in segments]]
        case Scores(scores):
            values = {name.lower(): value for name, value in scores}
            criteria = {key: values[name.lower()] for name, key in CVS_KEYS.items() if name.lower() in values}
            return [{"cvs_scores": criteria}] if criteria else [{"skill_scores": dict(scores)}]
        case Label() | Text():
            return []


def read_truth(task: str, info: Any, reference: str) -> Truth | None:
    """A row's truth; None where neither field holds one. Parts that cannot be read are left out of it."""
    if task in ("video_summary", "region_caption"):
        return Text(reference) if reference.strip() else None
    if task == "next_action":
        return Label(reference.strip()) if reference.strip() else None
    items = info if isinstance(info, list) else [info]
    read = {"tal": _spans, "stg": _boxes, "dense_captioning": _segments}.get(task, _scores)
    return read(items) or tasks.TASKS[task].parse(reference).value


def unread(task: str, info: Any) -> str | None:
    """What of a struc_info is not in the truth that `read_truth` makes of it, as counts; None where all of it is."""
    items = info if isinstance(info, list) else [info]
    first = as_dict(items[0] if items else None)
    match task:
        case "tal":
            parts = [span for item in items for span in as_list(as_dict(item).get("spans"))]
            found = _spans(items)
            n_read = len(found.spans) if found else 0
        case "stg":
            parts = [box for item in items for box in as_dict(as_dict(item).get("bbox_dict", item)).values()]
            read = _boxes(items)
            n_read = len(read.boxes) if read else 0
        case "dense_captioning":
            parts = [part for item in items for part in _segment_list(item)]
            events = _segments(items)
            n_read = len(events.segments) if events else 0
        case "skill_assessment" | "cvs_assessment":
            table = as_dict(first.get("cvs_scores") or first.get("skill_scores"))
            parts = list(table.values())
            scores = _scores(items)
            n_read = len(scores.scores) if scores else 0
        case _:
            return None
    return f"{len(parts) - n_read} of {len(parts)} parts" if n_read < len(parts) else None


def _segment_list(item: Any) -> list[Any]:
    """The events of one item: [{...}], {"dc_segments": [...]}, or the event itself."""
    if isinstance(item, list):
        return item
    return as_list(item["dc_segments"]) if isinstance(item, dict) and "dc_segments" in item else [item]


def _whole(value: Any) -> int | None:
    """A grade from 0 to 9, also as text."""
    number = None if isinstance(value, bool) else finite(value)
    return int(number) if number is not None and number in range(10) else None


def _spans(items: list[Any]) -> Spans | None:
    listed = [span for item in items if isinstance(item, dict) for span in as_list(item.get("spans"))]
    spans = [Span(min(times), max(times)) for span in listed if (times := _times(span))]
    return Spans(tuple(spans)) if spans else None


def _boxes(items: list[Any]) -> Boxes | None:
    """The first item's bbox_dict, or the item itself as a map from time to box."""
    first = as_dict(items[0] if items else None)
    boxes = []
    for time, box in as_dict(first.get("bbox_dict", first)).items():
        values = [finite(v) for v in as_list(box)]
        time_s = finite(time)
        if time_s is not None and len(values) == 4 and None not in values:
            boxes.append(TimedBox(time_s, Box(*(v for v in values if v is not None))))
    return Boxes(tuple(boxes)) if boxes else None


def _segments(items: list[Any]) -> Segments | None:
    """[[{...}]], [{"dc_segments": [...]}] or [{...}]."""
    first = items[0] if items else None
    nested = first if isinstance(first, list) else first.get("dc_segments") if isinstance(first, dict) else None
    segments = [
        Segment(min(times), max(times), str(item["caption"]).strip())
        for item in (items if nested is None else as_list(nested))
        if isinstance(item, dict) and "caption" in item and (times := _times(item))
    ]
    return Segments(tuple(segments)) if segments else None


def _scores(items: list[Any]) -> Scores | None:
    first = as_dict(items[0] if items else None)
    table = first.get("cvs_scores") or first.get("skill_scores")
    if not isinstance(table, dict):
        return None
    if "cvs_scores" in first:
        pairs = [(name, table.get(key)) for name, key in CVS_KEYS.items()]
    else:  # in the order of the form, whatever that of the file
        order = {fold(name): place for place, name in enumerate(ASPECTS)}
        pairs = sorted(table.items(), key=lambda pair: order.get(fold(str(pair[0])), len(order)))
    scores = [NamedScore(name, whole) for name, value in pairs if (whole := _whole(value)) is not None]
    return Scores(tuple(scores)) if scores else None


def _times(item: Any) -> tuple[float, float] | None:
    start, end = (finite(item.get(key)) for key in ("start", "end")) if isinstance(item, dict) else (None, None)
    return None if start is None or end is None else (start, end)


def finite(value: Any) -> float | None:
    """A finite number, or a text that is one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
