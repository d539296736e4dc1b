"""What a question of the release says in words and a row says nowhere else: its label list, and the times asked for."""

from __future__ import annotations

import ast
import re
from contextlib import suppress

_BRACKETS = re.compile(r"\[\s*(['\"][^\[\]]{0,8000})\]")
# Questions without brackets print the labels between one of these openings and the end of the sentence.
_OPENING = re.compile(
    r"(?:\bactions such as|\bactions like|\b(?:phases|actions)(?: in (?:this|the) video)? include:?|"
    r"\bprocedure may involve:|\bpossible (?:phases|actions) are:|"
    r"\bgo through these phases:|\bfind all occurrences of|\bmatching)\s+",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\.(?=\s+[A-Z]|\s*$)| may appear in | and list them |\n")
_RANGE = re.compile(
    r"\b(?:from|between)\s+(\d+(?:\.\d+)?)\s*(?:seconds?|s)?\s+(?:to|and)\s+(\d+(?:\.\d+)?)\s*(?:seconds?|s)\b",
    re.IGNORECASE,
)
_STRIDE = re.compile(r"\bevery\s+(\d+(?:\.\d+)?)\s*(?:seconds?|s)\b", re.IGNORECASE)
MOST_TIMES = 10_000


def label_list(question: str) -> tuple[str, ...]:
    """The labels that a question prints, as a Python list or between commas; () where it prints none.

    Lists that are printed with brackets are exact. Those between commas are read up to the end of the sentence.
    """
    bracketed = _BRACKETS.search(question)
    if bracketed:
        with suppress(ValueError, SyntaxError):
            labels = ast.literal_eval(f"[{bracketed[1]}]")
            if all(isinstance(label, str) for label in labels):
                return _distinct(labels)
    opening = _OPENING.search(question)
    if not opening:
        return ()
    closing = _CLOSING.search(question, opening.end())
    listed = question[opening.end() : closing.start() if closing else len(question)]
    labels = [re.sub(r"^(?:and|or)\s+", "", label.strip()) for label in listed.split(",")]
    if len(labels) == 1:  # "cutting or tying"
        labels = re.split(r"\s+or\s+", labels[0])
    return _distinct(labels)


def requested_times(question: str) -> tuple[float, ...]:
    """The times at which an stg question asks for boxes: start, start + stride, ... up to end; () if it names none."""
    span, stride = _RANGE.search(question), _STRIDE.search(question)
    if span is None:
        return ()
    start_s, end_s = float(span[1]), float(span[2])
    step_s = float(stride[1]) if stride else 0.0
    if end_s < start_s or step_s <= 0:
        return ()
    count = min(MOST_TIMES, int((end_s - start_s) / step_s + 1e-9) + 1)
    return tuple(round(start_s + k * step_s, 6) for k in range(count))


def _distinct(labels: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for label in labels if (stripped := label.strip())))
