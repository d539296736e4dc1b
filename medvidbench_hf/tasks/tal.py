"""tal: when does an action happen? (Temporal action localisation; the paper's TAG.)

Question  "... Possible actions include: Handwashing, Disinfect skin. When does Handwashing happen?"
Answer    "22.0-78.0, 89.0-94.0 seconds."
Truth     Spans((Span(22.0, 78.0), Span(89.0, 94.0)))   clip-local seconds
Score     summed temporal IoU of the best one-to-one matching / max(n predicted, n true)

Spans shorter than one frame interval, true or predicted, are widened to it. Columns TAG_mIoU@0.3 and @0.5 count
only pairs with IoU >= 0.3 and 0.5. The question wordings are in tal.txt; the answer format is the release's.
"""

from __future__ import annotations

import re
from typing import Any

from medvidbench_hf.sample import Span, Spans
from medvidbench_hf.tasks.answer import (
    FoundRange,
    Parsed,
    Score,
    answer_parts,
    final_answer,
    find_ranges,
    json_span,
    number,
    plain,
    read_json,
    unique,
    walk,
)
from medvidbench_hf.tasks.matching import best_sum, f1, most_pairs, tiou, widen

# What may stand between two ranges of one list: "22-78 seconds (first wash) and", or "Segment 2:" on the next line.
_JOINT = re.compile(
    r"\s{0,3}(?:\([^()\n]{0,40}\))?[\s,;&|.\])]{0,4}"
    r"(?:(?:and|then|also|again|from|between|first|second|third|next|finally|later)\b[\s:,]{0,3}){0,4}"
    r"(?:[-#]\s|\d{1,2}[.)]\s|(?:segment|span|event|interval|range)\s?\d{0,2}\s?:?)?[\s\[(]{0,4}",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can\s?not|unable\sto|(?:does|did|do|is|was|are|were)(?:\snot|n't)\s"
    r"(?:occur|happen|appear|take|present|visible|shown|seen|performed))\b",
    re.IGNORECASE,
)


def render(truth: Spans) -> str:
    return ", ".join(f"{number(s.start_s)}-{number(s.end_s)}" for s in truth.spans) + " seconds."


def parse(text: str) -> Parsed[Spans]:
    """Read spans from the release's format or from what models write instead (lists, prose, clocks, JSON)."""
    text, issues = final_answer(text)
    text = plain(text, issues)
    spans = _json_spans(read_json(text))
    if spans:
        issues.append("JSON read")
    else:
        for part in answer_parts(text):
            spans = [Span(found.start_s, found.end_s) for found in _said_to_be_times(part, issues)]
            if spans:
                if part is not text:
                    issues.append("text before the answer removed")
                break
    if not spans:
        return Parsed(None, unique([*issues, "no time span found"]))
    kept = tuple(dict.fromkeys(spans))
    if len(kept) < len(spans):
        issues.append("repeated span removed")
    return Parsed(Spans(kept), unique(issues))


def score(parsed: Parsed[Spans], truth: Spans, frame_interval_s: float = 0.0) -> Score:
    """Score in 0..1. An unread answer is 0; a truth without spans cannot be scored and gives None."""
    if not truth.spans:
        return Score(None)
    predicted = parsed.value.spans if parsed.value else ()
    iou = tiou([widen(s, frame_interval_s) for s in predicted], [widen(s, frame_interval_s) for s in truth.spans])
    n = max(iou.shape)
    parts = {"miou": best_sum(iou) / n}
    for threshold in (0.3, 0.5):
        parts[f"miou@{threshold}"] = best_sum(iou, threshold) / n
    for threshold in (0.3, 0.5, 0.7):
        parts[f"f1@{threshold}"] = f1(len(most_pairs(iou, threshold)), *iou.shape)
    return Score(parts["miou"], parts)


def _json_spans(value: Any) -> list[Span]:
    """Spans of objects with a start and an end; of bare pairs only where no object has them."""
    items = list(walk(value))
    named = [span for item in items if isinstance(item, dict) and (span := json_span(item))]
    return named or [span for item in items if isinstance(item, list) and (span := json_span(item))]


def _said_to_be_times(text: str, issues: list[str]) -> list[FoundRange]:
    """The ranges that belong to a list with a unit; all ranges where no list has one; none after a refusal.

    "4-0 suture, 2019-2021" are no times beside "22.0-78.0, 89.0-94.0 seconds", whose unit covers its whole list.
    """
    every = find_ranges(text, issues)
    if every and _REFUSAL.search(text, 0, every[0].at):
        issues.append("the answer says that there is no span")
        return []
    lists: list[list[FoundRange]] = []
    for found in every:
        if lists and _JOINT.fullmatch(text, lists[-1][-1].until, found.at):
            lists[-1].append(found)
        else:
            lists.append([found])
    certain = [found for group in lists if any(f.certain for f in group) for found in group]
    if lists and not certain:
        issues.append("no unit: taken as seconds")
    if certain and len(certain) < len(every):
        issues.append("ranges without a unit left out")
    return certain or every
