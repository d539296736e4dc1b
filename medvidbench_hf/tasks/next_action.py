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
from collections.abc import Iterable, Sequence

from medvidbench_hf.sample import Label
from medvidbench_hf.tasks.answer import Parsed, Score, answer_parts, final_answer, fold, plain, read_json, unique

_LEAD = re.compile(
    r"[^\n:]{0,80}?\bnext\s{1,3}(?:action|step|phase)?\s{0,3}(?::|\b(?:is|will\sbe)\b:?)\s{0,3}(?:(?:most\s)?likely\s|to\sbe\s)?",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?:[-#•]+|\(?(?:\d{1,2}|[A-Za-z])[.)])\s{1,3}")
_KEYS = ("label", "next_action", "next_step", "next_phase", "action", "answer", "prediction", "next")


def render(truth: Label) -> str:
    return truth.label


def parse(text: str, options: Sequence[str] = ()) -> Parsed[Label]:
    """Read a bare label, or one behind "Answer:", a lead-in, a bullet or a JSON key; only its first line counts.

    options: the question's label list. A line that is no label but names exactly one of the list is read as that one;
    a line that names several, or none, stays as it is and so is wrong.
    """
    text, issues = final_answer(text)
    value = read_json(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        keys = {str(key).strip().lower().replace(" ", "_"): entry for key, entry in value.items()}
        value = next((keys[key] for key in _KEYS if key in keys), None)
    if isinstance(value, str):
        text = value
        issues.append("JSON read")
    part = answer_parts(text)[0]
    line = next((line for line in part.splitlines() if fold(line)), "").strip()
    if line != text.strip():
        issues.append("only the line of the answer read")
    read = plain(line, []).strip()
    for lead in (_BULLET, _LEAD):
        match = lead.match(read)
        if match:
            read = read[match.end() :].strip()
            issues.append("lead-in removed")
    if len(read) > 1 and read[0] == read[-1] and read[0] in "\"'":
        read = read[1:-1]
        issues.append("quotes removed")
    if read != line and not issues:
        issues.append("dashes, spaces or markdown made plain")
    if not fold(read):
        return Parsed(None, unique([*issues, "empty answer"]))
    if options and fold(read) not in map(fold, options):
        named = _named(read, options)
        issues.append("the one label that is named taken" if len(named) == 1 else f"{len(named)} labels named")
        read = named[0] if len(named) == 1 else read
    return Parsed(Label(read), unique(issues))


def _named(text: str, options: Sequence[str]) -> list[str]:
    """The labels that stand in the text as whole words; one inside a longer label that stands there does not count."""
    rest, named = f" {fold(text)} ", []
    for option in sorted(options, key=lambda o: -len(fold(o))):
        word = f" {fold(option)} "
        if word.strip() and word in rest:
            named.append(option)
            rest = rest.replace(word, " | ")
    return named


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
