"""What a judge gets and gives: pairs of captions, five scores for each, and pairs as plain files.

    {"reference": "The hook frees the cystic duct.", "candidate": "A tool works on tissue.", "item": "v7-3"}

A file of pairs is JSON Lines, a JSON list or CSV with these fields; item, task and question are optional, others are
left alone. Without `item` a pair is called by its number in the file, from 1.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.endpoint import Usage
from medvidbench_hf.sample import InputError

#: The paper's five, in the order of the board's codes.
DIMENSIONS = ("terminology", "instrument_anatomy", "specificity", "procedure_context", "action_state")
BOARD_CODES = ("R2", "R3", "R8", "R5", "R4")
LOWEST, HIGHEST = 1, 5

JUDGED_BY = ("model", "cache", "guard", "lexicon")
MAX_CHARS = 65_536  # of a text in a file
MAX_BYTES = 256 * 2**20  # of a file
MAX_NAME_CHARS = 200

_TASK = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,39}")


class Pair(NamedTuple):
    """Two texts to be compared. task: "video_summary", ... or "" for plain pairs. question: what the candidate answers,
    so that a copy of it is noticed; a judge is not shown it.
    """

    reference: str
    candidate: str
    task: str = ""
    question: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Five scores in the order of DIMENSIONS, each 1..5. by: one of JUDGED_BY, "guard" for the minimum without a call.

    reasons: dimension -> a sentence, where they were asked for. evidence: what a score rests on, JSON values.
    """

    scores: tuple[float, ...]
    by: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.scores) != len(DIMENSIONS) or not all(_is_score(score) for score in self.scores):
            raise InputError(f"scores: {self.scores!r}, expected {len(DIMENSIONS)} numbers from 1 to 5")
        if self.by not in JUDGED_BY:
            raise InputError(f"by: {self.by!r}, expected one of {', '.join(JUDGED_BY)}")

    @property
    def mean(self) -> float:
        """1..5."""
        return sum(self.scores) / len(self.scores)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge said to a list of pairs.

    judge       as tables show it: the model's name, or "lexicon"
    rubric      with its version and the start of its hash
    judgements  one a pair, in order; None where it failed
    failures    (position, reason)
    distinct    pairs that ask something of their own = guarded + cached + calls + those that cannot be judged
    calls       pairs that the model was asked about
    cached      answered before, or by another call of the same judge just then
    guarded     the minimum without a call
    usage       of these calls: repeats, refusals and attempts whose answer was lost included
    usd         what they cost; None without a price
    cut         pairs of which a text is longer than guard.MAX_CHARS, and was judged by its start alone
    """

    judge: str
    rubric: str
    judgements: tuple[Judgement | None, ...]
    failures: tuple[tuple[int, str], ...] = ()
    calls: int = 0
    cached: int = 0
    guarded: int = 0
    distinct: int = 0
    usage: Usage = field(default_factory=Usage)
    usd: float | None = None
    cut: int = 0

    def __post_init__(self) -> None:
        missing = tuple(k for k, judgement in enumerate(self.judgements) if judgement is None)
        if tuple(k for k, _ in self.failures) != missing:
            raise InputError(
                f"failures: positions {[k for k, _ in self.failures]!r:.80}, but there is no judgement at "
                f"{list(missing)!r:.80}"
            )


@dataclass(frozen=True, slots=True)
class Preview:
    """What judging a list of pairs would take. Fields as in Verdicts; tokens and dollars are estimates."""

    pairs: int
    distinct: int
    guarded: int
    cached: int
    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None

    def __str__(self) -> str:
        cost = "price not known" if self.usd is None else f"about ${self.usd:,.2f}"
        return (
            f"{self.pairs:,} pairs, {self.distinct:,} distinct: {self.calls:,} calls, {self.cached:,} in the cache, "
            f"{self.guarded:,} without a call; about {self.input_tokens:,} input and {self.output_tokens:,} output "
            f"tokens, {cost}"
        )


def checked(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """The pairs. Raises InputError for a field that is not text, or a task that is no name."""
    for k, pair in enumerate(pairs):
        if not isinstance(pair, Pair):
            raise InputError(f"pairs[{k}]: {type(pair).__name__}, expected a Pair(reference, candidate)")
        if fault := _fault(pair):
            raise InputError(f"pairs[{k}] {fault}")
    return pairs


def read_pairs(path: str | Path) -> list[tuple[str, Pair]]:
    """(item, Pair) in the file's order. Raises InputError that names file, line or entry, and field."""
    path = Path(path)
    found: dict[str, Pair] = {}
    for place, record in _records(path, _text(path)):
        where = f"{path} {place}"
        for name in ("reference", "candidate"):
            if record.get(name) is None:
                raise InputError(f"{where} field {name}: missing; the fields are {', '.join(record)!a:.80}")
        pair = Pair(*(record[name] if record.get(name) is not None else "" for name in Pair._fields))
        if fault := _fault(pair):
            raise InputError(f"{where} {fault}")
        for name, text in zip(Pair._fields, pair, strict=True):
            if len(text) > MAX_CHARS:
                raise InputError(f"{where} field {name}: {len(text):,} characters, at most {MAX_CHARS:,} are read")
        if not pair.reference.strip():
            raise InputError(f"{where} field reference: empty; there is nothing to compare with")
        item = record.get("item")
        if item is None or item == "":
            item = len(found) + 1
        if isinstance(item, bool) or not isinstance(item, str | int) or len(str(item)) > MAX_NAME_CHARS:
            raise InputError(f"{where} field item: {item!a:.60}, expected a short name")
        if str(item) in found:
            raise InputError(f"{where} field item: {str(item)!a:.60} names an earlier pair; each needs its own")
        found[str(item)] = pair
    if not found:
        raise InputError(f"{path}: holds no pair")
    return list(found.items())


def _fault(pair: Pair) -> str:
    """What is wrong with a pair's fields, or ""."""
    for name, value in zip(Pair._fields, pair, strict=True):
        if not isinstance(value, str):
            return f"field {name}: {type(value).__name__}, expected text"
    if pair.task and not _TASK.fullmatch(pair.task):
        return f"field task: {pair.task!a:.60}, expected a name such as video_summary"
    return ""


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MiB; split it")
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text (byte {error.start})") from None


def _records(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where it stands, record) of whichever of the three forms the text has."""
    first = text.lstrip()[:1]
    if first == "[":
        entries = _json(text, str(path))
        for k, entry in enumerate(entries, start=1):
            yield f"entry {k}", _object(entry, f"{path} entry {k}")
    elif first == "{":
        for n, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield f"line {n}", _object(_json(line, f"{path} line {n}"), f"{path} line {n}")
    else:
        yield from _rows(path, text)


def _rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    names: list[str] = []
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [cell.strip() for cell in row]
                if missing := {"reference", "candidate"} - set(names):
                    has = ", ".join(names)
                    raise InputError(f"{path} line {rows.line_num}: no column {min(missing)}; it has {has!a:.80}")
                if len(set(names)) < len(names):
                    raise InputError(f"{path} line {rows.line_num}: a column stands there twice: {names!r:.80}")
                continue
            if len(row) != len(names):
                raise InputError(
                    f"{path} line {rows.line_num}: {len(row)} cells for {len(names)} columns; quote a text with commas"
                )
            yield f"line {rows.line_num}", dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path} line {rows.line_num}: is not CSV ({error})") from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: is not JSON ({error})") from None


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: is a JSON {type(value).__name__}, expected an object with reference and candidate")
    return value


def _is_score(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and isfinite(value)
        and LOWEST <= value <= HIGHEST
    )
