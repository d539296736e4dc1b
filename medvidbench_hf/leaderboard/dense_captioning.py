"""DVC_F1 as the board computes it, and the event pairs that its judge sees for DVC_llm.

Answer    "0.0-4.5 seconds: cutting: ..." on a line of its own; the first may stand anywhere, the next only at the
          start of a line, so a numbered list is one event. Only where there is none: lines with a range behind
          "**Start Time:**", "Time Range:" and the like. If any two events overlap, all are cut at all boundaries.
Truth     struc_info[0] if that is a list; its dc_segments if it has them; else struc_info itself. Objects with
          start, end and caption count.
Value     precision and recall of events that any event of the other side covers with IoU > 0.3, 0.5, 0.7, each
          averaged over the three; F1 of the two averages. Times are cut to whole frames, int(seconds * fps).
Column    mean per source over the records with events on both sides, weighted by that source's number of all records
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf import tasks
from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import NUMBER, Record, TaskLost, fps_of, kind_of, number_of, text_of
from medvidbench_hf.tasks import matching

COLUMN = "DVC_F1"
Pair = tuple[float, float]
THRESHOLDS = (0.3, 0.5, 0.7)

_HEADER = rf"({NUMBER})-({NUMBER})\s++seconds?+:"
_FIRST = re.compile(rf"{_HEADER}\s++")
_NEXT = re.compile(rf"\n(?={_HEADER})")
_LINE = re.compile(
    r"(?:^|\*\*Start Time:\*\*|Start(?: \(?Time\)?)?:?|Time Range:|Time Interval:)"
    rf"\s*+({NUMBER})\s*+[-\u2013]\s*+({NUMBER})"
    r"\s*+seconds?+\s*+(?:\*\*Description:\*\*|-)\s*+(.+)"
)


class Event(NamedTuple):
    """A captioned event; times as they stand in the file, in seconds unless the file has something else."""

    start_s: Any
    end_s: Any
    caption: str


def parse(text: str) -> list[Event]:
    """The events of an answer before any cutting; an event with the times of an earlier one is left out."""
    found, at = [], 0
    while header := _FIRST.search(text, at):
        following = _NEXT.search(text, header.end())
        at = following.start() if following else len(text)
        found.append(Event(float(header[1]), float(header[2]), text[header.end() : at].strip()))
    if not found:
        for line in text.splitlines():
            if match := _LINE.search(line.strip()):
                found.append(Event(float(match[1]), float(match[2]), match[3].strip().rstrip(".")))
    return list({(event.start_s, event.end_s): event for event in reversed(found)}.values())[::-1]


def truth(record: Record) -> list[Event]:
    """The true events, times as in the file. Raises TaskLost."""
    info = record.get("struc_info")
    if not isinstance(info, list) or not info:
        return []
    listed = info
    if isinstance(info[0], list):
        listed = info[0]
    elif isinstance(info[0], dict) and "dc_segments" in info[0]:
        listed = info[0]["dc_segments"] or []
        if not isinstance(listed, list):
            raise TaskLost(f"field struc_info.dc_segments is {kind_of(listed)}, not a list")
    keys = ("start", "end", "caption")
    return [Event(*(d[k] for k in keys)) for d in listed if isinstance(d, dict) and all(k in d for k in keys)]


def cut(events: list[Event]) -> list[Event]:
    """The same events where none overlap; else atomic intervals, each with the caption of its longest event."""
    ordered = sorted(events, key=lambda e: (e.start_s, e.end_s))
    if all(a.end_s <= b.start_s for a, b in pairwise(ordered)):
        return ordered
    bounds = sorted({t for e in ordered for t in (e.start_s, e.end_s)})
    by_length = sorted(ordered, key=lambda e: e.start_s - e.end_s)  # the longest first
    position = {t: k for k, t in enumerate(bounds)}
    # Each interval takes the first event of by_length that covers it: painted once, found by skipping painted ones.
    caption: list[str | None] = [None] * len(bounds)
    skip = list(range(len(bounds)))
    for event in by_length:
        k = _free(skip, position[event.start_s])
        while k < position[event.end_s]:
            caption[k] = event.caption
            skip[k] = k + 1
            k = _free(skip, k)
    return [Event(a, b, text) for (a, b), text in zip(pairwise(bounds), caption, strict=False) if text is not None]


def score(record: Record) -> Row:
    """Raises TaskLost."""
    answer, fps = text_of(record, "answer"), fps_of(record)
    said, true = parse(answer), truth(record)
    if not true:
        return Row({}, bool(said), flags=("dvc-no-truth",))
    if not said:
        return Row({}, False, {"dvc-left-out": {COLUMN: {"": (0.0, 1)}}})
    frames, pieces = [_frames(event, fps) for event in true], cut(said)
    value = f1([_frames(event, fps) for event in pieces], frames)
    others = {
        "dvc-any-cover": _one_to_one([_frames(event, fps) for event in pieces], frames),
        "dvc-cut": f1([_frames(event, fps) for event in said], frames) if len(pieces) > len(said) else value,
        "dvc-frames": f1(
            [(e.start_s, e.end_s) for e in pieces], [(float(e.start_s), float(e.end_s)) for e in true], inclusive=True
        ),
    }
    if (
        len(said) == 1
        and len(re.findall(_HEADER, answer)) > 1
        and (meant := tasks.dense_captioning.parse(answer).value)
    ):
        events = [Event(*segment) for segment in meant.segments]
        others["dvc-collapsed"] = f1([_frames(event, fps) for event in cut(events)], frames)
    without = {key: {COLUMN: {"": (other, 1)}} for key, other in others.items() if other != value}
    return Row({COLUMN: {"": (value, 1)}}, True, without)


def f1(said: Sequence[Pair], true: Sequence[Pair], inclusive: bool = False) -> float:
    """F1 of precision and recall, each averaged over the thresholds.

    IoU is the overlap over the smaller of outer extent and summed lengths, plus 1e-8; ends are put in order. With
    `inclusive` the 1e-8 is left out and an IoU at the threshold counts.
    """
    best_said = [0.0] * len(said)
    best_true = [0.0] * len(true)
    slack = 0.0 if inclusive else 1e-8
    ordered = [(min(b), max(b)) for b in true]
    for i, a in enumerate(said):
        a1, a2 = min(a), max(a)
        for k, (b1, b2) in enumerate(ordered):
            overlap = min(a2, b2) - max(a1, b1)
            if overlap > 0:
                value = overlap / (min(max(a2, b2) - min(a1, b1), (a2 - a1) + (b2 - b1)) + slack)
                best_said[i] = max(best_said[i], value)
                best_true[k] = max(best_true[k], value)

    def share(best: list[float]) -> float:
        passed = (sum(v >= t if inclusive else v > t for v in best) for t in THRESHOLDS)
        return sum(n / len(best) for n in passed) / len(THRESHOLDS)

    precision, recall = share(best_said), share(best_true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _one_to_one(said: Sequence[Pair], true: Sequence[Pair]) -> float:
    """Mean over the thresholds of the F1 of a one-to-one matching."""
    iou = matching.tiou([(min(pair), max(pair)) for pair in said], [(min(pair), max(pair)) for pair in true])
    pairs = (len(matching.most_pairs(iou, float(np.nextafter(t, 1)))) for t in THRESHOLDS)
    return sum(matching.f1(n, len(said), len(true)) for n in pairs) / len(THRESHOLDS)


def judged_pairs(record: Record) -> dict[float, list[tuple[str, str]]]:
    """Threshold -> (reference, candidate) captions: each event takes its best true one with IoU >= threshold.

    The board judges a pair again at each threshold it passes. Raises TaskLost.
    """
    said, true = parse(text_of(record, "answer")), truth(record)
    if said:
        for event in true:
            for value in event[:2]:
                number_of(value, "struc_info: a time, which the judge compares,")
    pairs: dict[float, list[tuple[str, str]]] = {threshold: [] for threshold in THRESHOLDS}
    for event in said:
        ious = [_lengths_iou(event, t) for t in true]
        best = max(range(len(true)), key=lambda k: ious[k], default=None)
        for threshold in THRESHOLDS:
            if best is not None and ious[best] >= threshold:
                pairs[threshold].append((str(true[best].caption), event.caption))  # as its prompt would hold it
    return pairs


def _lengths_iou(a: Event, b: Event) -> float:
    overlap = max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
    union = (a.end_s - a.start_s) + (b.end_s - b.start_s) - overlap
    return overlap / union if union > 0 else 0.0


def _frames(event: Event, fps: float) -> tuple[int, int]:
    try:
        return int(float(event.start_s) * fps), int(float(event.end_s) * fps)
    except (TypeError, ValueError, OverflowError) as error:
        raise TaskLost(f"a time of {event.start_s!a:.40} to {event.end_s!a:.40} is no frame ({error})") from None


def _free(skip: list[int], k: int) -> int:
    """The first unpainted position at or after k; the way there is shortened for the next time."""
    way = []
    while k < len(skip) and skip[k] != k:
        way.append(k)
        k = skip[k]
    for step in way:
        skip[step] = k
    return k
