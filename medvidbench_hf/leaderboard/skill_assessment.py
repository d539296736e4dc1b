"""SA_acc as the board computes it.

Answer    "Respect for tissue: 2/5, Suture/needle handling: 1/5, ..."; split at commas, each piece gives at most one
          aspect, so answers on separate lines give one. Names are compared exactly; "/5" must follow at once.
Truth     struc_info[0].skill_scores; without it, gnd read like an answer
Value     per aspect exact match, only where the answer has the aspect; an answer without any "n/5" does not count
Column    mean over the aspects within a source, then mean over the sources, whatever their sizes
"""

from __future__ import annotations

import re
from typing import Any

from medvidbench_hf.leaderboard.cvs_assessment import first_item, form_row, parse_or_lose
from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import Record, TaskLost, kind_of, text_of

COLUMN = "SA_acc"

_SCORE = re.compile(r":\s*+(\d++)/5")


def parse(text: str) -> dict[str, int]:
    """Aspect -> number. Raises ValueError for a number of more digits than Python converts (4,300)."""
    found: dict[str, int] = {}
    for part in text.split(","):
        if match := _SCORE.search(part):
            name = part[part.rfind(":", 0, match.start()) + 1 : match.start()].strip()
            if name:
                found[name] = int(match[1])
    return found


def truth(record: Record) -> dict[str, Any]:
    """Aspect -> true score. Raises TaskLost."""
    scores = first_item(record).get("skill_scores")
    if scores and not isinstance(scores, dict):
        raise TaskLost(f"field struc_info.skill_scores is {kind_of(scores)}, not an object")
    return scores or parse_or_lose(text_of(record, "gnd"), parse)


def score(record: Record) -> Row:
    """Raises TaskLost."""
    answer = text_of(record, "answer")
    if not re.search(r"\d/5", answer):  # the board goes on before it looks at the truth
        try:
            return form_row(COLUMN, {}, truth(record), "skill-left-out")
        except TaskLost:
            return Row({COLUMN: {}}, False)
    return form_row(COLUMN, parse_or_lose(answer, parse), truth(record), "skill-left-out")
