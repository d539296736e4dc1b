"""What a judge is asked, and how its reply is read. The texts are ours and stand in rubrics/.

board         The board's protocol: one user message, temperature 0, no schema; aspects R2 R3 R8 R5 R4; a reply of five
              lines "R2: 4".
comparative   How close is the candidate to the reference? Five dimensions, a JSON schema; a reason each on request.

Both hold a part that says what counts in the domain. Rubric and domain texts have a version in their first line, and a
cached judgement belongs to the sha256 of all texts it rests on, so an edited text never meets an old judgement.

How reading "board" differs from the board's own, which takes for each aspect by itself the first hit of "R2: n", then
"R2 = n", "R2 : n", "R2 n" and "**R2**: n", wherever it stands, and any integer:
- the five codes are one verdict: five in a row, in the order asked or in numeric order; in any other only where the
  reply holds no further score, since a verdict and a code quoted beside it could be read as a third
- the last such verdict counts, not the first, since a judge may quote or reconsider before it decides
- a verdict with a score outside 1..5 is none (the board takes 45 and 0)
Alike: case counts, only the integer part is read (4.5 is 4), all five are needed, and "[4]", JSON and "R2 (name): 4"
are no verdict. A reply of just the five lines, as both ask for, is read the same. And a candidate that `guard.minimum`
names gets 1 unasked, where the board asks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from medvidbench_hf.judge.guard import RUBRICS, quoted, without_address
from medvidbench_hf.judge.pairs import BOARD_CODES, DIMENSIONS, HIGHEST, LOWEST, Pair
from medvidbench_hf.sample import InputError
from medvidbench_hf.tasks.answer import walk

NAMES = ("board", "comparative")
DOMAINS = ("surgical_video", "radiology", "endoscopy_still")
TEMPERATURE = 0.0

REPLY_MAX_CHARS = 65_536  # the end of a longer reply is read
REASON_MAX_CHARS = 400

_PLACE = re.compile(r"\{(task|domain|reference|candidate|answer)\}")
_SCORE = {"type": "integer", "enum": list(range(LOWEST, HIGHEST + 1))}


class Verdict(NamedTuple):
    """scores: five integers 1..5 in the order of DIMENSIONS. reasons: dimension -> sentence, where there are any."""

    scores: tuple[int, ...]
    reasons: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Rubric:
    """A question to a judge. text has places {task}, {reference}, {candidate}, {answer}; see `rubric`."""

    name: str
    domain: str
    version: int
    sha256: str
    text: str
    answer: str = ""
    answer_with_reasons: str = ""

    def __str__(self) -> str:
        domain = "" if self.domain == DOMAINS[0] else f" {self.domain}"
        return f"{self.name} v{self.version}{domain} ({self.sha256[:6]})"

    def messages(self, pair: Pair, reasons: bool = False) -> list[dict[str, Any]]:
        """One user message. Both texts stand in it as JSON strings (`guard.quoted`), the candidate without what is
        addressed to the judge.
        """
        parts = {
            "task": pair.task.replace("_", " ") or "medical captioning",
            "reference": quoted(pair.reference),
            "candidate": quoted(without_address(pair)),
            "answer": self.answer_with_reasons if reasons else self.answer,
        }
        # In one pass, so that a text which holds "{answer}" gets nothing filled in.
        return [{"role": "user", "content": _PLACE.sub(lambda match: parts[match[1]], self.text)}]

    def schema(self, reasons: bool = False) -> dict[str, Any] | None:
        """The JSON schema of a reply; None for the board's, which is lines of text."""
        if self.name == "board":
            return None
        return _object(
            {
                name: _object({"reason": {"type": "string"}, "score": _SCORE}) if reasons else _SCORE
                for name in DIMENSIONS
            }
        )

    def read(self, reply: str) -> Verdict | None:
        """The last complete verdict of a reply; None where there is none. Linear time, never raises."""
        reply = reply[-REPLY_MAX_CHARS:]
        return read_lines(reply) if self.name == "board" else read_object(reply)


def rubric(name: str = "board", domain: str = "surgical_video") -> Rubric:
    """name: one of NAMES; domain: one of DOMAINS. Raises InputError."""
    for value, known, what in ((name, NAMES, "rubric"), (domain, DOMAINS, "domain")):
        if value not in known:
            raise InputError(f"unknown {what} {value!r}; known: {', '.join(known)}")
    version, text = _read(name)
    domain_version, domain_text = _read(domain)
    answers = [_read(f"{name}_{form}")[1] for form in ("scores", "reasons")] if name == "comparative" else ["", ""]
    text = text.replace("{domain}", domain_text)
    used = json.dumps([name, version, domain, domain_version, text, *answers])
    return Rubric(name, domain, version, hashlib.sha256(used.encode()).hexdigest(), text, *answers)


def _read(name: str) -> tuple[int, str]:
    """(version, text) of a file whose first line is "version: 1"."""
    path = RUBRICS / f"{name}.txt"
    first, _, text = path.read_text(encoding="utf-8").partition("\n")
    version = first.removeprefix("version: ")
    if not version.isdecimal():
        raise InputError(f"{path}: the first line is {first!r:.60}, expected version: and a number")
    return int(version), text.strip()


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


# --- reading ---------------------------------------------------------------------------------------------------

NUMERIC = tuple(sorted(BOARD_CODES))
_LINE = re.compile(
    r"(?<![A-Za-z0-9_])(?:\*\*(R[23458])\*\*:|(R[23458])(?:\s?[:=]|\s))\s{0,3}([0-9]+)",
)


def read_lines(reply: str) -> Verdict | None:
    """The last complete verdict in the board's lines, all five scores 1..5; see the top of this file."""
    found = [(match[1] or match[2], match[3].lstrip("0")) for match in _LINE.finditer(reply)]
    for last in range(len(found), len(BOARD_CODES) - 1, -1):
        score = dict(found[last - len(BOARD_CODES) : last])
        ordered = tuple(score) in (BOARD_CODES, NUMERIC) or (len(found) == len(score) == len(BOARD_CODES))
        if ordered and all(len(digits) == 1 and LOWEST <= int(digits) <= HIGHEST for digits in score.values()):
            return Verdict(tuple(int(score[code]) for code in BOARD_CODES))
    return None


_OPENING = re.compile(r"\{\s{0,20}\"")
_OPENINGS_TRIED = 64
_TEXT_SCORE = re.compile(r"\s{0,3}([0-9])(?:\.0{1,3})?\s{0,3}")


def read_object(reply: str) -> Verdict | None:
    """The last JSON object in a reply, alone, fenced or amid prose, that has a valid score for each dimension.

    A score is an integer, a whole float (4.0) or either as text; it may stand in an object with "score" and "reason".
    Of nested objects the outer one counts.
    """
    found, at = None, 0
    for opening in [match.start() for match in _OPENING.finditer(reply)][-_OPENINGS_TRIED:]:
        if opening < at:  # inside an object that was read
            continue
        try:
            value, at = _DECODER.raw_decode(reply, opening)
        except (ValueError, RecursionError):
            continue
        found = next(filter(None, map(_verdict, walk(value))), found)
    return found


def _verdict(value: Any) -> Verdict | None:
    if not isinstance(value, dict) or not all(name in value for name in DIMENSIONS):
        return None
    scores, reasons = [], {}
    for name in DIMENSIONS:
        entry = value[name]
        if isinstance(entry, dict):
            reason = entry.get("reason")
            if isinstance(reason, str) and reason.strip():
                reasons[name] = reason.strip()[:REASON_MAX_CHARS]
            entry = entry.get("score")
        score = _score(entry)
        if score is None:
            return None
        scores.append(score)
    return Verdict(tuple(scores), reasons)


def _score(value: Any) -> int | None:
    if isinstance(value, str) and (match := _TEXT_SCORE.fullmatch(value)):
        value = int(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST <= value <= HIGHEST:
        return None
    return int(value) if value == int(value) else None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
