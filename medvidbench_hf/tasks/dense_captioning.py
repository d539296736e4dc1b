"""dense_captioning: which events happen when, and what is each?

Question  "... Create an event list restricted to actions in ['cutting', 'tying', 'suturing']. For each event:
          start time, end time, description."
Answer    "36.0-49.0 seconds: place an underpad: The clinician places an underpad under the patient."
          one event a line
Truth     Segments((Segment(36.0, 49.0, "place an underpad: The clinician ..."),))   clip-local seconds
Score     temporal F1, mean over IoU thresholds 0.3, 0.5, 0.7 (>=), by one-to-one matching; captions are not in it

Segments shorter than one frame interval are widened to it. `Score.pairs` holds the captions that match at 0.3, each
with its IoU, for the caption metrics. An answer in which no event can be read scores 0. The question wordings are
in dense_captioning.txt; the answer format is the release's.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from medvidbench_hf.sample import Segment, Segments
from medvidbench_hf.tasks.answer import (
    CaptionPair,
    FoundRange,
    Parsed,
    Score,
    final_answer,
    find_ranges,
    json_span,
    number,
    plain,
    read_json,
    unique,
    walk,
)
from medvidbench_hf.tasks.matching import f1, most_pairs, tiou, widen

THRESHOLDS = (0.3, 0.5, 0.7)
_CAPTION_KEYS = ("caption", "description", "event", "text", "action", "label")
_SPAN_KEYS = ("timestamp", "timestamps", "segment", "time", "interval", "span")
# What may stand between the line's start and its range: a bullet, a number, "Event 3:", "From", an opening bracket.
_LEAD = re.compile(
    r"(?:\s|[-#>|•\[(]|\d{1,3}[.)](?=\s)"
    r"|(?:event|segment|(?:start )?time(?:stamp| range| interval)?)\s?\d{0,3}\s?[:.)-]?"
    r"|(?:from|between|during|at)\s){0,12}",
    re.IGNORECASE,
)
# What stands before a range that opens the next event of a list on one line, with the end of the event before it.
_NEXT_ON_LINE = re.compile(r"(?:^|[.:;!|,\])]\s{0,3}|\s)(?:[-•\[(]|\d{1,3}[.)])?\s{0,2}$")
_AFTER_RANGE = re.compile(r"\s{0,3}[\])]?\s{0,3}(?P<separator>[:|,-])?\s{0,3}", re.IGNORECASE)
_DESCRIPTION = re.compile(r"(?:description|caption)\s{0,3}:\s{0,3}", re.IGNORECASE)


def render(truth: Segments) -> str:
    return "\n".join(f"{number(s.start_s)}-{number(s.end_s)} seconds: {s.caption}" for s in truth.segments)


def parse(text: str) -> Parsed[Segments]:
    """Read events from the release's format, from bulleted, numbered or one-line lists, or from JSON."""
    text, issues = final_answer(text)
    segments = _json_segments(read_json(text))
    if segments:
        issues.append("JSON read")
    else:
        segments = _text_segments(text, issues)
    if not segments:
        return Parsed(None, unique([*issues, "no event found"]))
    kept = tuple(dict.fromkeys(segments))
    if len(kept) < len(segments):
        issues.append("repeated event removed")
    return Parsed(Segments(kept), unique(issues))


def score(parsed: Parsed[Segments], truth: Segments, frame_interval_s: float = 0.0) -> Score:
    """Score in 0..1. A truth without segments cannot be scored and gives None."""
    if not truth.segments:
        return Score(None)
    predicted = parsed.value.segments if parsed.value else ()
    iou = tiou([widen(s, frame_interval_s) for s in predicted], [widen(s, frame_interval_s) for s in truth.segments])
    matched = {threshold: most_pairs(iou, threshold) for threshold in THRESHOLDS}
    parts = {f"f1@{threshold}": f1(len(pairs), *iou.shape) for threshold, pairs in matched.items()}
    parts["f1"] = sum(parts.values()) / len(parts)
    pairs = tuple(
        CaptionPair(predicted[i].caption, truth.segments[j].caption, float(iou[i, j]))
        for i, j in matched[THRESHOLDS[0]]
    )
    return Score(parts["f1"], parts, pairs)


def _text_segments(text: str, issues: list[str]) -> list[Segment]:
    """Events whose ranges open a line; the first may follow a lead-in; on a single line any may follow another."""
    readable = plain(text, issues)
    one_line = "\n" not in text.strip()
    headers: list[_Header] = []
    for found in find_ranges(readable, issues):
        # A look further back than a lead-in can be long would make the search quadratic.
        line = max(readable.rfind("\n", max(0, found.at - 81), found.at) + 1, found.at - 80)
        lead = readable[line : found.at]
        after = _AFTER_RANGE.match(readable, found.until)
        assert after is not None  # every part of it is optional
        said = found.certain or after["separator"] == ":"
        if _LEAD.fullmatch(lead) and readable[line - 1 : line] in ("", "\n"):
            headers.append(_Header(found, line, after, said))
        elif (one_line or not headers) and said and (boundary := _NEXT_ON_LINE.search(lead)) and boundary[0].strip():
            issues.append("several events on one line" if headers else "text before the first event left out")
            headers.append(_Header(found, line + boundary.start() + 1, after, said))
    if any(header.said for header in headers):
        headers = [header for header in headers if header.said]  # "2-3 towels are used" is no event beside these
    if any(readable[header.begins : header.range.at].strip() for header in headers):
        issues.append("bullets or numbers removed")
    segments = []
    for k, header in enumerate(headers):
        stop = headers[k + 1].begins if k + 1 < len(headers) else len(text)
        begin = header.after.end()
        if header.after["separator"] != ":" and (description := _DESCRIPTION.match(readable, begin)):
            begin = description.end()
        caption = text[begin : max(begin, stop)].strip()
        if one_line and k + 1 < len(headers):
            caption = caption.rstrip(";|,")
        segments.append(Segment(header.range.start_s, header.range.end_s, caption.strip("*` \n")))
    return segments


class _Header(NamedTuple):
    """A time range that opens an event: where the event begins, what follows the range, whether it is surely one."""

    range: FoundRange
    begins: int
    after: re.Match[str]
    said: bool


def _json_segments(value: Any) -> list[Segment]:
    segments = []
    for item in walk(value):
        if not isinstance(item, dict):
            continue
        keys = {str(key).strip().lower(): entry for key, entry in item.items()}
        span = json_span(item) or next((s for k in _SPAN_KEYS if (s := _span(keys.get(k)))), None)
        caption = next((keys[k] for k in _CAPTION_KEYS if isinstance(keys.get(k), str)), "")
        if span:
            segments.append(Segment(span.start_s, span.end_s, caption.strip()))
    return segments


def _span(value: Any) -> Any:
    """A span from [a, b] or from "a-b seconds"."""
    if isinstance(value, str):
        return next(iter(find_ranges(plain(value[:80], []), [])), None)
    return json_span(value)
