"""next_action: what comes after the clip?

Question  "... The procedure includes the following step list: ['cutting', 'tying', 'suturing']. What comes next
          after the current video?"
Answer    "tying"
Truth     Label("tying")
Score     1 where the label is the same after folding case, spaces and punctuation, else 0

Labels keep the spelling of their source, typos included. Accuracy per class stands beside the mean. The question
wordings are in next_action.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from medvidbench_hf.sample import Label
from medvidbench_hf.tasks.answer import Parsed, Score, after_marker, final_answer, fold, plain, read_json, unique

_LEAD = re.compile(
    r"\s{0,3}(?:the\s{1,3})?next\s{1,3}(?:action|step|phase)(?:\s{1,3}(?:is|will\s{1,3}be))?\s{0,3}:?\s{1,3}",
    re.IGNORECASE,
)
_KEYS = ("label", "next_action", "action", "answer", "next")


def render(truth: Label) -> str:
    return truth.label


def parse(text: str) -> Parsed[Label]:
    """Read a bare label, or one behind "Answer:", quotes, "The next action is" or a JSON key."""
    text, issues = final_answer(text)
    value = read_json(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[key] for key in _KEYS if key in value), None)
    if isinstance(value, str):
        text = value
        issues.append("JSON read")
    text = after_marker(text, issues).strip()
    lead = _LEAD.match(plain(text, []))
    if lead:
        text = text[lead.end() :]
        issues.append("lead-in removed")
    bare = text.strip(" \n\t\"'*`")
    if bare != text:
        issues.append("quotes or markdown removed")
    if not fold(bare):
        return Parsed(None, unique([*issues, "empty answer"]))
    return Parsed(Label(bare), unique(issues))


def score(parsed: Parsed[Label], truth: Label) -> Score:
    """1 or 0."""
    right = float(parsed.value is not None and fold(parsed.value.label) == fold(truth.label))
    return Score(right, {"accuracy": right})


def per_class(rows: Iterable[tuple[Label, float]]) -> dict[str, float]:
    """Mean score per true label, from (truth, score) rows."""
    totals: dict[str, list[float]] = {}
    for truth, value in rows:
        totals.setdefault(truth.label, []).append(value)
    return {label: sum(values) / len(values) for label, values in sorted(totals.items())}
