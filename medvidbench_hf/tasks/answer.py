"""What every task shares about answers: the types `Parsed` and `Score`, and reading text that models wrote.

Readers here work on untrusted text. They run in linear time, look at the first 65,536 characters only, and never
raise: what cannot be read is `Parsed(None, issues)`. Every repair is named in `issues`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
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
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d~\u2192\u27f6", "-"),
        **dict.fromkeys("\u00a0\u202f\u2009\t\r*`", " "),
    }
)
_THINK_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_THINK_START = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_FENCE = re.compile(r"```[^\n`]{0,40}\n")
_MARKER = re.compile(
    r"(?:final\s{1,3})?answer(?:\s{1,3}is)?\s{0,3}[:=]|(?:final\s{1,3})?answer\s{1,3}is\b|final\s{1,3}answer\s{0,3}[-\n]",
    re.IGNORECASE,
)
_MARKERS_TRIED = 8
_JSON_START = re.compile(r"\[\s{0,8}[\[{]|\{\s{0,8}\"")


def final_answer(text: str) -> tuple[str, list[str]]:
    """The part of a reply that answers: reasoning, answer tags and an outer code fence taken away."""
    issues = []
    if len(text) > MAX_CHARS:
        text = text[:MAX_CHARS]
        issues.append(f"cut at {MAX_CHARS} characters")
    end = max((match.end() for match in _THINK_END.finditer(text)), default=None)
    start = _THINK_START.search(text)
    if end is not None:
        text = text[end:]
        issues.append("reasoning removed")
    elif start:
        text = text[: start.start()]
        issues.append("reasoning without an end removed")
    close = text.rfind("</answer>")
    opening = text.rfind("<answer>", 0, close) if close >= 0 else -1
    if opening >= 0:
        text = text[opening + len("<answer>") : close]
        issues.append("answer tags removed")
    stripped = text.strip()
    fence = _FENCE.match(stripped)
    if fence and stripped.endswith("```") and len(stripped) > fence.end() + 2:
        text = stripped[fence.end() : -3]
        issues.append("code fence removed")
    return text, issues


def plain(text: str, issues: list[str]) -> str:
    """`text` with ASCII hyphens and spaces and without emphasis marks, position for position."""
    result = text.translate(_PLAIN)
    if result != text:
        issues.append("dashes, spaces or markdown made plain")
    return result


def answer_parts(text: str) -> list[str]:
    """What follows each "Answer:", the last one first, then the whole text: the first that can be read counts."""
    ends = [match.end() for match in _MARKER.finditer(text)][-_MARKERS_TRIED:]
    return [part for end in reversed(ends) if (part := text[end:]).strip()] + [text]


def read_json(text: str) -> Any:
    """The JSON value that the text is, or that stands in its last code fence or amid its prose; None without one."""
    fences = text.split("```")
    whole = [text, fences[-2].partition("\n")[2]] if len(fences) >= 3 else [text]
    for part in map(str.strip, whole):
        if part[:1] in ("[", "{"):
            with suppress(ValueError, RecursionError):
                return _DECODER.decode(part)
    start = _JSON_START.search(text)
    if start:
        with suppress(ValueError, RecursionError):
            return _DECODER.raw_decode(text, start.start())[0]
    return None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_NOT_ANSWERS = frozenset(
    {"reasoning", "explanation", "comment", "thought", "rationale", "resolution", "video_size", "size"}
)


def walk(value: Any) -> Iterator[Any]:
    """Every dict and list inside a JSON value, parents first, in reading order; explanations and sizes left out."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(reversed([entry for key, entry in item.items() if str(key).lower() not in _NOT_ANSWERS]))
        elif isinstance(item, list):
            yield item
            stack.extend(reversed(item))


def number(value: float) -> str:
    """Shortest exact decimal with at least one place: 22 -> "22.0", 1.25 -> "1.25"."""
    return np.format_float_positional(value, trim="0")


# --- times -----------------------------------------------------------------------------------------------------

# Possessive and bounded quantifiers, and a look-behind that starts a number only at its first digit, keep every
# search linear. A clock is mm:ss or h:mm:ss.
CLOCK = r"\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:\.\d++)?"
NUMBER = r"(?:\d++(?:\.\d++)?+|\.\d++)"
TIME = rf"(?<!\d[:,])(?<![\w.])(?:{CLOCK}|{NUMBER})(?![:,]?\d|e[+-]?\d)"
UNIT = r"\s{0,3}(?:seconds?|secs?|s)\b"
_ABOUT = r"(?:(?:about|around|approximately|roughly|second|t\s?=)\s{0,3})?"
_TO = r"(?:-{1,3}>?|(?:up\s)?to\b|until\b|till\b|through\b|and\b)"
_START = r"\b(?:start|begin)(?:s|ning|ting|ing)?(?:[ _]?(?:time|at|s|seconds))?(?:\s?\(s\))?"
_END = r"(?:and\s)?(?:it\s)?(?:end|finish|stop)(?:s|es|ing|ping)?(?:[ _]?(?:time|at|s|seconds))?(?:\s?\(s\))?"
RANGE = re.compile(
    rf"(?P<a>{TIME})(?P<unit_a>{UNIT})?\s{{0,3}}{_TO}\s{{0,3}}{_ABOUT}(?P<b>{TIME})(?P<unit_b>{UNIT})?"
    rf"|[\[(]\s{{0,3}}(?P<c>{TIME})(?:{UNIT})?\s{{0,3}},\s{{0,3}}(?P<d>{TIME})(?:{UNIT})?\s{{0,3}}[\])](?P<unit_d>{UNIT})?"
    rf"|{_START}\W{{1,5}}(?P<e>{TIME})(?:{UNIT})?\W{{1,5}}{_END}\W{{1,5}}(?P<f>{TIME})(?P<unit_f>{UNIT})?",
    re.IGNORECASE,
)
_NOT_SECONDS = re.compile(
    r"\s?(?:%|(?:min|minutes?|hours?|hrs?|ms|milliseconds?|times|frames?|mm|cm|ml|mg)\b)", re.IGNORECASE
)
LONGEST_S = 1e6  # no clip lasts eleven days
_START_KEYS = ("start", "begin", "from")
_END_KEYS = ("end", "stop", "finish", "to")


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
        dashed = match["a"] is not None
        first, last = next(pair for pair in (match.group(*ends) for ends in ("ab", "cd", "ef")) if pair[0])
        start, end = time_s(first), time_s(last)
        if max(start, end) > LONGEST_S or _NOT_SECONDS.match(text, match.end()):
            continue
        if end < start:
            start, end = end, start
            issues.append(f"reversed span put in order: {start}-{end}")
        if ":" in first:
            issues.append("clock time read as mm:ss or h:mm:ss")
        if not dashed or "-" not in match[0]:
            issues.append("span not written as a-b")
        certain = ":" in first or not dashed or match["unit_a"] is not None or match["unit_b"] is not None
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
    return seconds if 0 <= seconds <= LONGEST_S else None


def json_span(item: Any) -> Span | None:
    """The span that a JSON object or a pair of numbers holds, or None."""
    if isinstance(item, dict):
        keys = {_json_key(key): value for key, value in item.items()}
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


def _json_key(key: object) -> str:
    """ "start_time", "startSeconds" and "Start (s)" are all "start"."""
    bare = re.sub(r"[\W_]", "", str(key)[:40].lower())
    return re.sub(r"(?:time|seconds|second|secs|sec|(?<=d|t|n)s)$", "", bare)


def unique(issues: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(issues))


def fold(text: str) -> str:
    """Lower case, with every run of spaces, punctuation and underscores as one space."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()
