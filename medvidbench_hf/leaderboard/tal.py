"""TAG_mIoU@0.3 and @0.5 as the board computes them.

Answer    "22.0-78.0, 89.0-94.0 seconds."; any "number - number" counts, whatever stands around it. Only where there
          is none: "22 to 78", and "0:00:22 to 0:01:18" (which also gives a bogus "22 to 0").
Truth     the spans of every item of struc_info, which must be a list; gnd is never read
Value     each true span, in order, takes the unused answer with the highest IoU, if that is >= the threshold (first
          on ties); mean IoU over the pairs so made, 0 without any. Misses and extra spans cost nothing.
Column    mean over all records, also those without truth (0)
"""

from __future__ import annotations

import re

from medvidbench_hf import tasks
from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import NUMBER, Record, TaskLost, fps_of, number_of, text_of
from medvidbench_hf.sample import Span
from medvidbench_hf.tasks.matching import widen

Pair = tuple[float, float]

THRESHOLDS = {"TAG_mIoU@0.3": 0.3, "TAG_mIoU@0.5": 0.5}

_HYPHEN = re.compile(rf"({NUMBER})\s*+-\s*+({NUMBER})")
_UNIT = r"(?:\s*+(?:seconds?+|s))?+"
_TO = re.compile(rf"({NUMBER}){_UNIT}\s++to\s++({NUMBER})", re.IGNORECASE)
_PLAIN = re.compile(rf"{NUMBER}-{NUMBER}(?:, {NUMBER}-{NUMBER})*+ seconds?+\.?")
_CLOCK = re.compile(r"(?<!\d)(\d++):(\d++):(\d++)\s++to\s++(\d++):(\d++):(\d++)", re.IGNORECASE)


def parse(text: str) -> list[Pair]:
    """(start, end) in seconds, in reading order; reversed ones are kept as they are."""
    found = [(float(a), float(b)) for a, b in _HYPHEN.findall(text)]
    if found:
        return found
    found = [(round(float(a), 2), round(float(b), 2)) for a, b in _TO.findall(text)]
    for clock in _CLOCK.findall(text):
        h1, m1, s1, h2, m2, s2 = map(float, clock)
        found.append((h1 * 3600 + m1 * 60 + s1, h2 * 3600 + m2 * 60 + s2))
    return found


def truth(record: Record) -> list[Pair]:
    """The true spans, in seconds. Raises TaskLost."""
    info = record.get("struc_info")
    if not isinstance(info, list):
        return []
    spans: list[Pair] = []
    for item in info:
        listed = (item.get("spans") if isinstance(item, dict) else None) or []
        if not isinstance(listed, list) or not all(isinstance(span, dict) for span in listed):
            raise TaskLost("field struc_info.spans is not a list of objects")
        for span in listed:
            start, end = (number_of(span.get(key), f"struc_info.spans.{key}") for key in ("start", "end"))
            spans.append((start, end))
    return spans


def score(record: Record) -> Row:
    """Raises TaskLost."""
    answer, fps = text_of(record, "answer"), fps_of(record)
    said, true = parse(answer), truth(record)
    values = _values(said, true, fps)
    without = {"tal-free-misses": _values(said, true, fps, costed=True)}
    if fps > 0 and any(0 <= end - start < 1 / fps for start, end in (*said, *true)):
        without["tal-short-spans"] = _values(_widened(said, 1 / fps), _widened(true, 1 / fps), fps)
    if not _PLAIN.fullmatch(answer):
        meant = tasks.tal.parse(answer).value
        without["tal-reading"] = _values([(s.start_s, s.end_s) for s in meant.spans] if meant else [], true, fps)
    return Row(
        values,
        bool(said),
        {trap: others for trap, others in without.items() if others != values},
        ("tal-no-truth",) if not true else (),
    )


def _widened(pairs: list[Pair], interval_s: float) -> list[Pair]:
    return [widen(Span(*pair), interval_s) if pair[0] <= pair[1] else pair for pair in pairs]


def _values(
    said: list[Pair], true: list[Pair], fps: float, costed: bool = False
) -> dict[str, dict[str, tuple[float, int]]]:
    """Column -> part. costed: over the larger of the numbers of spans, instead of over the pairs."""
    # The board multiplies both sides by fps, which IoU does not see unless fps is 0.
    iou = [[_iou(_scaled(p, fps), _scaled(t, fps)) for p in said] for t in true]  # (n_true, n_said)
    values = {}
    for column, threshold in THRESHOLDS.items():
        pairs = _match(iou, threshold)
        n = max(len(said), len(true)) if costed else len(pairs)
        values[column] = {"": (sum(pairs) / n if pairs else 0.0, 1)}
    return values


def _match(iou: list[list[float]], threshold: float) -> list[float]:
    used: set[int] = set()
    pairs = []
    for row in iou:
        best, at = 0.0, -1
        for k, value in enumerate(row):
            if k not in used and value > best:
                best, at = value, k
        if at >= 0 and best >= threshold:
            used.add(at)
            pairs.append(best)
    return pairs


def _scaled(pair: Pair, fps: float) -> Pair:
    return pair[0] * fps, pair[1] * fps


def _iou(a: Pair, b: Pair) -> float:
    """Overlap over the outer extent of both; 0 where there is none."""
    overlap = min(a[1], b[1]) - max(a[0], b[0])
    extent = max(a[1], b[1]) - min(a[0], b[0])
    return overlap / extent if overlap > 0 and extent > 0 else 0.0
