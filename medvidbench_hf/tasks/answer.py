"""What every task shares about answers: the types `Parsed` and `Score`, and reading text that models wrote.

Readers here work on untrusted text. They run in linear time, look at the first 65,536 characters only, and never
raise: what cannot be read is `Parsed(None, issues)`. Every repair is named in `issues`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from medvidbench_hf.sample import Span

MAX_CHARS = 65_536

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """An answer as read: its value, or None where nothing could be read, and what had to be repaired."""

    value: T | None
    issues: tuple[str, ...] = ()


class CaptionPair(NamedTuple):
    """Two texts to be judged. `tiou` is the temporal IoU that paired them, 1.0 for whole-clip captions."""

    candidate: str
    reference: str
    tiou: float = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """The `strict` score of one answer.

    value: 0..1, or None where only a judge can tell. parts: the same and further measures by name.
    pairs: captions for the judge.
    """

    value: float | None
    parts: dict[str, float] = field(default_factory=dict)
    pairs: tuple[CaptionPair, ...] = ()


# One character for one, so that a position in the plain text is the same position in the original.
_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d", "-"),
        **dict.fromkeys("\u00a0\u202f\u2009\t\r", " "),
        **dict.fromkeys("*`", " "),
    }
)
_MARKER = re.compile(r"(?:final\s{1,3})?answer(?:\s{1,3}is)?\s{0,3}[:=]", re.IGNORECASE)


def final_answer(text: str) -> tuple[str, list[str]]:
    """The part of a reply that answers: reasoning, answer tags and code fences taken away."""
    issues = []
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
        issues.append(f"cut at {MAX_CHARS} characters")
    end = text.rfind("</think>")
    if end >= 0:
        text = text[end + len("</think>") :]
        issues.append("reasoning removed")
    elif "<think>" in text:
        text = text[: text.find("<think>")]
        issues.append("reasoning without an end removed")
    start = text.rfind("<answer>")
    if start >= 0:
        text = text[start + len("<answer>") :].split("</answer>", 1)[0]
        issues.append("answer tags removed")
    stripped = text.strip()
    if stripped.startswith("```"):
        inside = stripped.strip("`")
        first, newline, rest = inside.partition("\n")
        text = rest if newline and first.strip().isalnum() else inside
        issues.append("code fence removed")
    return text, issues


def plain(text: str, issues: list[str]) -> str:
    """`text` with ASCII hyphens and spaces and without emphasis marks, position for position."""
    result = text.translate(_PLAIN)
    if result != text:
        issues.append("dashes, spaces or markdown made plain")
    return result


def after_marker(text: str, issues: list[str]) -> str:
    """What follows the last "Answer:", where there is one and something follows."""
    last = max(_MARKER.finditer(text), key=re.Match.end, default=None)
    if last is None or not text[last.end() :].strip():
        return text
    if text[: last.start()].strip():
        issues.append("text before the answer removed")
    return text[last.end() :]


def read_json(text: str) -> Any:
    """The JSON value that is the text, or None. Numbers keep their spelling's value; NaN is not JSON."""
    text = text.strip()
    if not text or text[0] not in "[{":
        return None
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def walk(value: Any) -> Iterator[Any]:
    """Every dict and list inside a JSON value, parents first, in reading order."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, list):
            yield item
            stack.extend(reversed(item))


def number(value: float) -> str:
    """Shortest exact decimal with at least one place: 22 -> "22.0", 1.25 -> "1.25"."""
    return np.format_float_positional(value, trim="0")


# --- times -----------------------------------------------------------------------------------------------------

# Possessive and bounded quantifiers, and a look-behind that starts a number only at its first digit, keep every
# search linear. A clock is mm:ss or h:mm:ss.
CLOCK = r"\d{1,3}:\d{2}(?::\d{2})?(?:\.\d++)?"
NUMBER = r"(?:\d++(?:\.\d++)?+|\.\d++)"
TIME = rf"(?<!\d:)(?<![\w.])(?:{CLOCK}|{NUMBER})(?!:?\d)"
UNIT = r"\s{0,3}(?:seconds?|secs?|s)\b"
RANGE = re.compile(
    rf"(?P<a>{TIME})(?P<unit_a>{UNIT})?\s{{0,3}}(?:-|to\b|until\b|till\b|through\b|and\b)\s{{0,3}}(?P<b>{TIME})(?P<unit_b>{UNIT})?"
    rf"|[\[(]\s{{0,3}}(?P<c>{TIME})(?:{UNIT})?\s{{0,3}},\s{{0,3}}(?P<d>{TIME})(?:{UNIT})?\s{{0,3}}[\])](?P<unit_d>{UNIT})?"
    rf"|\bstart(?:[ _]time)?\W{{1,5}}(?P<e>{TIME})(?:{UNIT})?\W{{1,5}}end(?:[ _]time)?\W{{1,5}}(?P<f>{TIME})"
    rf"(?P<unit_f>{UNIT})?",
    re.IGNORECASE,
)
_START_KEYS = ("start", "start_s", "start_time", "begin", "from")
_END_KEYS = ("end", "end_s", "end_time", "stop", "to")


class FoundRange(NamedTuple):
    """A time range in a text, where it stands, and whether the text says that it is one (unit, clock, brackets)."""

    start_s: float
    end_s: float
    at: int
    until: int
    certain: bool


def time_s(text: str) -> float:
    """Seconds from "12.5", "1:05" (mm:ss) or "0:01:05"."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def find_ranges(text: str, issues: list[str]) -> list[FoundRange]:
    """Every time range in a plain text, in reading order; ends put in order."""
    found = []
    for match in RANGE.finditer(text):
        group = match.groupdict()
        first, last = next((group[x], group[y]) for x, y in ("ab", "cd", "ef") if group[x])
        start, end = time_s(first), time_s(last)
        if not (isfinite(start) and isfinite(end)):
            issues.append(f"time out of range dropped: {match[0][:40]}")
            continue
        if end < start:
            start, end = end, start
            issues.append(f"reversed span put in order: {start}-{end}")
        if ":" in first:
            issues.append("clock time read as mm:ss or h:mm:ss")
        if group["a"] is None or "-" not in match[0]:
            issues.append("span not written as a-b")
        certain = ":" in first or group["a"] is None or any(group[u] for u in ("unit_a", "unit_b"))
        found.append(FoundRange(start, end, match.start(), match.end(), certain))
    return found


def json_seconds(value: Any) -> float | None:
    """A time inside JSON: a number, or a text that is one, with or without unit."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\s{{0,3}}({TIME})(?:{UNIT})?\s{{0,3}}", value[:40], re.IGNORECASE)
        value = time_s(match[1]) if match else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if isfinite(seconds) else None


def json_span(item: Any) -> Span | None:
    """The span that a JSON object or a pair of numbers holds, or None."""
    if isinstance(item, dict):
        keys = {str(key).strip().lower().replace(" ", "_"): value for key, value in item.items()}
        start = next((keys[key] for key in _START_KEYS if key in keys), None)
        end = next((keys[key] for key in _END_KEYS if key in keys), None)
    elif isinstance(item, list) and len(item) == 2:
        start, end = item
    else:
        return None
    first, last = json_seconds(start), json_seconds(end)
    if first is None or last is None:
        return None
    return Span(min(first, last), max(first, last))


def unique(issues: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(issues))


def fold(text: str) -> str:
    """Lower case, with every run of spaces, punctuation and underscores as one space."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
