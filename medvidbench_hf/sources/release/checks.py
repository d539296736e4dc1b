"""What is odd about a row of the right form. Rows of the release are kept, flagged and listed, never dropped."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from medvidbench_hf import tasks
from medvidbench_hf.sample import Boxes, Sample, Segment, Segments, Span, Spans
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS

OUTSIDE = "truth outside the clip"
UNSEEN = "truth on no visible frame"
ZERO_LENGTH = "zero-length span"
OFF_CANVAS = "a box lies outside the canvas"
DISAGREE = "its text and its struc_info disagree"
NOT_GOLD = "its own answer does not score 1"
CANVAS_SLACK_PX = 3.0  # boxes are drawn by hand up to the border


def truth_flags(sample: Sample) -> dict[str, str]:
    """Kind of problem -> particulars, for what a row's truth and region say against its clip.

    The particulars name parts and never quote them: the list of odd rows may be published with rows that have no truth.
    """
    flags: dict[str, str] = {}
    boxes = [("the region's box", sample.region.box)] if sample.region else []
    spans: list[tuple[str, float, float]] = []
    instants: list[tuple[str, float]] = []
    match sample.truth:
        case Spans() | Segments() as truth:
            timed: Sequence[Span | Segment] = truth.spans if isinstance(truth, Spans) else truth.segments
            spans = [(f"span {k} of {len(timed)}", part.start_s, part.end_s) for k, part in enumerate(timed, 1)]
        case Boxes(items):
            instants = [(f"box {k} of {len(items)}", item.time_s) for k, item in enumerate(items, 1)]
            boxes += [(f"box {k} of {len(items)}", item.box) for k, item in enumerate(items, 1)]
    interval = sample.frame_interval_s
    end_s = max(sample.duration_s, sample.frame_times_s[-1])
    for name, start, end in [*spans, *((name, t, t) for name, t in instants)]:
        if start < -interval or end > end_s + interval:
            flags.setdefault(OUTSIDE, f"{name}; the clip lasts {end_s:g} s")
    for name, start, end in spans:
        if start == end:
            flags.setdefault(ZERO_LENGTH, name)
        missing = max(0.0, interval - (end - start)) / 2
        if not _any_frame(sample.frame_times_s, start - missing, end + missing):
            flags.setdefault(UNSEEN, name)
    for name, time_s in instants:
        if not _any_frame(sample.frame_times_s, time_s - interval / 2, time_s + interval / 2):
            flags.setdefault(UNSEEN, name)
    if sample.canvas != UNKNOWN_CANVAS:
        width, height = (side + CANVAS_SLACK_PX for side in sample.canvas)
        for name, box in boxes:
            low, high_x, high_y = min(box), max(box.x1, box.x2), max(box.y1, box.y2)
            if low < -CANVAS_SLACK_PX or high_x > width or high_y > height:
                flags.setdefault(OFF_CANVAS, f"{name}; the canvas has {'x'.join(map(str, sample.canvas))} pixels")
    if sample.truth is not None:
        if problem := tasks.gold_problem(sample):
            flags[NOT_GOLD] = problem.partition(":")[0]
        elif sample.answer is not None:
            value = tasks.score(sample, tasks.parse(sample, sample.answer)).value
            if value is not None and value < 1.0 - 1e-9:
                flags[DISAGREE] = f"the text scores {value:.3f} against the other"
    return flags


def _any_frame(times_s: tuple[float, ...], start: float, end: float) -> bool:
    k = bisect_left(times_s, start - 1e-6)
    return k < len(times_s) and times_s[k] <= end + 1e-6
