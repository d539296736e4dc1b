"""The official release's own forms, read into Samples.

The merged form is what the release's inference writes and its board evaluates: an object keyed by row index, each row
with `metadata`, `qa_type`, `struc_info`, `question`, `gnd`, `answer` and `data_source`. It has no frame list, so a
sample made from it can be scored and says so in `time_rule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from medvidbench_hf import tasks
from medvidbench_hf.sample import (
    LONGEST_SIDE_PX,
    VARIANTS,
    Box,
    Boxes,
    Canvas,
    Label,
    NamedScore,
    Sample,
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

#: source -> domain; aliases are folded by `fold_source`
DOMAINS = {
    "avos": "open",
    "cholect50": "laparoscopic",
    "cholectrack20": "laparoscopic",
    "cholec80cvs": "laparoscopic",
    "copesd": "endoscopic",
    "egosurgery": "open",
    "jigsaws": "robotic",
    "nurvid": "nursing",
}
#: where the canvas of a source's boxes is known without its frames, in pixels
CANVASES = {"cholectrack20": Canvas(854, 480), "egosurgery": Canvas(1920, 1080)}
UNKNOWN_CANVAS = Canvas(LONGEST_SIDE_PX, LONGEST_SIDE_PX)  # clips nothing


def merged_sample(index: int, record: Mapping[str, Any], task: str, options: Sequence[str] = ()) -> Sample:
    """A record of the merged form as a Sample of `task`.

    Truth is read from struc_info in every shape the release has, else from gnd; where neither holds one it is None.
    options: the question's label list, which the form does not have apart.
    """
    name = str(record.get("qa_type"))
    variant = next((variant for variant in VARIANTS if variant and name.endswith(f"_{variant}")), "")
    metadata = _dict(record.get("metadata"))
    source = next((str(record[k]) for k in ("data_source", "dataset_name", "dataset") if record.get(k)), "Unknown")
    folded = fold_source(source)
    reference = gnd if isinstance(gnd := record.get("gnd"), str) else ""
    fps = _number(record.get("fps", metadata.get("fps")))
    return Sample(
        index=index,
        split="test",
        id=str(record.get("id", "")),
        task=task,
        variant=variant,
        source=source,
        domain=DOMAINS.get(folded, "laparoscopic"),  # of an unknown source; scoring does not look at it
        video_id=str(metadata.get("video_id") or "unknown"),
        question=str(record.get("question") or "(the form holds none)"),
        options=tuple(options),
        fps=fps if fps is not None and fps > 0 else 1.0,
        frame_times_s=(0.0,),
        time_rule="none: the merged form has no frame list",
        canvas=CANVASES.get(folded, UNKNOWN_CANVAS),
        clip_start_s=0.0,
        clip_end_s=0.0,
        licence="not stated in the merged form",
        answer=reference,
        truth=_truth(task, record.get("struc_info"), reference),
    )


def fold_source(source: str) -> str:
    """ "Cholec80-CVS" and "Cholec80_CVS" are one source."""
    return fold(source).replace(" ", "")


def _truth(task: str, info: Any, reference: str) -> Truth | None:
    if task in ("video_summary", "region_caption"):
        return Text(reference) if reference.strip() else None
    if task == "next_action":
        return Label(reference.strip()) if reference.strip() else None
    items = info if isinstance(info, list) else [info]
    read = {"tal": _spans, "stg": _boxes, "dense_captioning": _segments}.get(task, _scores)
    return read(items) or tasks.TASKS[task].parse(reference).value


def _spans(items: list[Any]) -> Spans | None:
    listed = [span for item in items if isinstance(item, dict) for span in _list(item.get("spans"))]
    spans = [Span(min(times), max(times)) for span in listed if (times := _times(span))]
    return Spans(tuple(spans)) if spans else None


def _boxes(items: list[Any]) -> Boxes | None:
    """The first item's bbox_dict, or the item itself as a map from time to box."""
    first = _dict(items[0] if items else None)
    boxes = []
    for time, box in _dict(first.get("bbox_dict", first)).items():
        values = [_number(v) for v in _list(box)]
        time_s = _number(time)
        if time_s is not None and len(values) == 4 and None not in values:
            boxes.append(TimedBox(time_s, Box(*(v for v in values if v is not None))))
    return Boxes(tuple(boxes)) if boxes else None


def _segments(items: list[Any]) -> Segments | None:
    """[[{...}]], [{"dc_segments": [...]}] or [{...}]."""
    first = items[0] if items else None
    nested = first if isinstance(first, list) else first.get("dc_segments") if isinstance(first, dict) else None
    segments = [
        Segment(min(times), max(times), str(item["caption"]).strip())
        for item in (items if nested is None else _list(nested))
        if isinstance(item, dict) and "caption" in item and (times := _times(item))
    ]
    return Segments(tuple(segments)) if segments else None


def _scores(items: list[Any]) -> Scores | None:
    first = _dict(items[0] if items else None)
    cvs = {name: name.lower().replace(" ", "_") for name in CRITERIA}
    table = first.get("cvs_scores") or first.get("skill_scores")
    if not isinstance(table, dict):
        return None
    pairs = [(name, table.get(key)) for name, key in cvs.items()] if "cvs_scores" in first else list(table.items())
    scores = [NamedScore(name, int(value)) for name, value in pairs if value is not None and value in range(10)]
    return Scores(tuple(scores)) if scores else None


def _times(item: Any) -> tuple[float, float] | None:
    start, end = (_number(item.get(key)) for key in ("start", "end")) if isinstance(item, dict) else (None, None)
    return None if start is None or end is None else (start, end)


def _number(value: Any) -> float | None:
    """A finite number, or a text that is one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
