"""CVS_acc as the board computes it.

Answer    "Two structures: 2, Cystic plate: 1, Hepatocystic triangle: 0"; split at commas, and each piece gives at most
          one component, so answers on separate lines give one. Any integer counts.
Truth     struc_info[0].cvs_scores; without it, gnd read like an answer
Value     per component exact match, only where the answer has the component: what cannot be read costs nothing
Column    mean over the components within a source, then mean over the sources, whatever their sizes
"""

from __future__ import annotations

import re
from typing import Any

from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import CVS_COMPONENTS, Record, TaskLost, kind_of, text_of

COLUMN = "CVS_acc"

_PATTERNS = {key: re.compile(rf"{name}:\s*+(\d++)") for key, name in CVS_COMPONENTS.items()}


def parse(text: str) -> dict[str, int]:
    """Component -> number. Raises ValueError for a number of more digits than Python converts (4,300)."""
    found: dict[str, int] = {}
    for part in text.split(","):
        part = part.lower()
        for key, name in CVS_COMPONENTS.items():
            if name in part:
                if match := _PATTERNS[key].search(part):
                    found[key] = int(match[1])
                break
    return found


def truth(record: Record) -> dict[str, Any]:
    """Component -> true score. Raises TaskLost."""
    scores = first_item(record).get("cvs_scores")
    if scores and not isinstance(scores, dict):
        raise TaskLost(f"field struc_info.cvs_scores is {kind_of(scores)}, not an object")
    known = {key: scores[key] for key in CVS_COMPONENTS if key in scores} if scores else {}
    return known or parse_or_lose(text_of(record, "gnd"), parse)


def score(record: Record) -> Row:
    """Raises TaskLost."""
    said, true = parse_or_lose(text_of(record, "answer"), parse), truth(record)
    return form_row(COLUMN, said, true, "cvs-left-out")


def first_item(record: Record) -> dict[str, Any]:
    """struc_info[0]; empty where there is no struc_info. Raises TaskLost."""
    info = record.get("struc_info")
    if not info:
        return {}
    if not isinstance(info, list) or not isinstance(info[0], dict):
        raise TaskLost(f"field struc_info is {kind_of(info)}, not a list whose first item is an object")
    return info[0]


def parse_or_lose(text: str, parse: Any) -> dict[str, int]:
    """parse(text), with the number that Python refuses to convert as the loss that it is on the board."""
    try:
        return parse(text)
    except ValueError:
        raise TaskLost("a number has more digits than the board's code can convert") from None


def form_row(column: str, said: dict[str, int], true: dict[str, Any], trap: str) -> Row:
    """Exact match of what was said among the true names; beside it, what was not said as wrong."""
    right = {name: (float(said[name] == value), 1) for name, value in true.items() if name in said}
    unsaid = {name: (0.0, 1) for name in true if name not in right}
    without = {trap: {column: {**right, **unsaid}}} if unsaid else {}
    return Row({column: right}, len(right) == len(true) > 0, without)
