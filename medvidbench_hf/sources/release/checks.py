"""What is odd about a row of the right form. Rows of the release are kept, flagged and listed, never dropped."""

from __future__ import annotations

from bisect import bisect_left

from medvidbench_hf import tasks
from medvidbench_hf.sample import Boxes, Sample, Segments, Spans
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS

OUTSIDE = "truth outside the clip"
UNSEEN = "truth on no visible frame"
ZERO_LENGTH = "zero-length span"
OFF_CANVAS = "a box lies outside the canvas"
DISAGREE = "its text and its struc_info disagree"
NOT_GOLD = "its own answer does not score 1"
CANVAS_SLACK_PX = 3.0  # boxes are drawn by hand up to the border


def truth_flags(sample: Sample) -> dict[str, str]:
    """Kind of problem -> particulars, for what a row's truth and region say against its clip."""
    flags: dict[str, str] = {}
    boxes = [(sample.region.time_s, sample.region.box)] if sample.region else []
    spans: list[tuple[float, float]] = []
    instants: list[float] = []
    match sample.truth:
        case Spans(items) | Segments(items):
            spans = [(item.start_s, item.end_s) for item in items]
        case Boxes(items):
            boxes += [(item.time_s, item.box) for item in items]
            instants = [item.time_s for item in items]
    interval = sample.frame_interval_s
    end_s = max(sample.duration_s, sample.frame_times_s[-1])
    for start, end in [*spans, *((t, t) for t in instants)]:
        if start < -interval or end > end_s + interval:
            flags.setdefault(OUTSIDE, f"{start:g}-{end:g} s, the clip lasts {end_s:g} s")
    for start, end in spans:
        if start == end:
            flags.setdefault(ZERO_LENGTH, f"{start:g}-{end:g} s")
        missing = max(0.0, interval - (end - start)) / 2
        if not _any_frame(sample.frame_times_s, start - missing, end + missing):
            flags.setdefault(UNSEEN, f"{start:g}-{end:g} s")
    for time_s in instants:
        if not _any_frame(sample.frame_times_s, time_s - interval / 2, time_s + interval / 2):
            flags.setdefault(UNSEEN, f"{time_s:g} s")
    if sample.canvas != UNKNOWN_CANVAS:
        width, height = (side + CANVAS_SLACK_PX for side in sample.canvas)
        for time_s, box in boxes:
            low, high_x, high_y = min(box), max(box.x1, box.x2), max(box.y1, box.y2)
            if low < -CANVAS_SLACK_PX or high_x > width or high_y > height:
                where = ", ".join(f"{value:g}" for value in box)
                flags.setdefault(OFF_CANVAS, f"[{where}] at {time_s:g} s, on {'x'.join(map(str, sample.canvas))}")
    if sample.truth is not None:
        if problem := tasks.gold_problem(sample):
            flags[NOT_GOLD] = problem
        elif sample.answer is not None:
            value = tasks.score(sample, tasks.parse(sample, sample.answer)).value
            if value is not None and value < 1.0 - 1e-9:
                flags[DISAGREE] = f"the answer {sample.answer[:60]!r} scores {value:.3f} against its own struc_info"
    return flags


def _any_frame(times_s: tuple[float, ...], start: float, end: float) -> bool:
    k = bisect_left(times_s, start - 1e-6)
    return k < len(times_s) and times_s[k] <= end + 1e-6
