"""Reading and scoring a form of named integer scores, shared by skill_assessment and cvs_assessment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from medvidbench_hf.sample import NamedScore, Scores
from medvidbench_hf.tasks.answer import Parsed, Score, final_answer, fold, plain, read_json, unique, walk


def parse_form(text: str, names: Sequence[str], lowest: int, highest: int) -> Parsed[Scores]:
    """Read "Name: n" or "Name: n/highest" for each name, in any order, on lines, behind bullets or in JSON.

    A name is read where it is followed, within 40 characters that hold no digit, by an integer. A value that is not
    an integer in range, or counted out of another maximum, is left out with an issue: the criterion then is wrong.
    """
    text, issues = final_answer(text)
    value = read_json(text)
    if value is not None:
        text = _json_lines(value)
        issues.append("JSON read")
    text = plain(text, issues)
    found = []
    for name in names:
        values = _values_of(text, name, lowest, highest, issues)
        if len(set(values)) > 1:
            issues.append(f"{name} given more than once: the last counts")
        if values and values[-1] is not None:
            found.append(NamedScore(name, values[-1]))
    if not found:
        return Parsed(None, unique([*issues, "no score found"]))
    if len(found) < len(names):
        issues.append(f"{len(names) - len(found)} of {len(names)} scores missing")
    return Parsed(Scores(tuple(found)), unique(issues))


def score_form(parsed: Parsed[Scores], truth: Scores, lowest: int, highest: int) -> Score:
    """Mean exact match over the truth's names; what was not read is wrong, and as far off as it can be in `mae`."""
    if not truth.scores:
        return Score(None)
    said = {fold(name): value for name, value in (parsed.value.scores if parsed.value else ())}
    parts, error = {}, 0.0
    for name, value in truth.scores:
        answer = said.get(fold(name))
        parts[name] = float(answer == value)
        error += max(value - lowest, highest - value) if answer is None else abs(answer - value)
    exact = sum(parts.values()) / len(parts)
    return Score(exact, {**parts, "accuracy": exact, "mae": error / len(truth.scores)})


def majority(truths: Iterable[Scores]) -> dict[str, int]:
    """The most frequent value of each name (the lower one on ties)."""
    counts: dict[str, Counter[int]] = {}
    for truth in truths:
        for name, value in truth.scores:
            counts.setdefault(name, Counter())[value] += 1
    return {name: min(count, key=lambda v: (-count[v], v)) for name, count in counts.items()}


def majority_score(truths: Sequence[Scores]) -> float | None:
    """What the best constant answer would score on these very truths: the line any model has to pass."""
    constant = Scores(tuple(NamedScore(*item) for item in majority(truths).items()))
    values = [score_form(Parsed(constant), truth, 0, 0).value for truth in truths]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _values_of(text: str, name: str, lowest: int, highest: int, issues: list[str]) -> list[int | None]:
    words = r"[\W_]{1,3}".join(map(re.escape, fold(name).split()))
    pattern = (
        rf"(?<!\w){words}(?!\w)[^\d\n,;]{{0,40}}?(?P<value>-?\d{{1,6}}(?:\.\d{{1,6}})?)"
        rf"(?:\s?(?:/|out of)\s?(?P<of>\d{{1,6}}))?(?![\d.]?\d)"
    )
    values: list[int | None] = []
    for match in re.finditer(pattern, text, re.IGNORECASE):
        value, of = match["value"], match["of"]
        if of is not None and int(of) != highest:
            issues.append(f"{name}: {value}/{of} is not out of {highest}")
            values.append(None)
        elif "." in value and float(value) != int(float(value)):
            issues.append(f"{name}: {value} is not an integer")
            values.append(None)
        elif not lowest <= float(value) <= highest:
            issues.append(f"{name}: {value} is not in {lowest}..{highest}")
            values.append(None)
        else:
            values.append(int(float(value)))
    return values


def _json_lines(value: object) -> str:
    """A JSON form as lines: {"Name": 2}, {"Name": "2/5"} and [{"name": "Name", "score": 2}]."""
    lines = []
    for item in walk(value):
        if isinstance(item, dict):
            named = next((item[k] for k in ("name", "aspect", "criterion") if k in item), None)
            scored = next((item[k] for k in ("score", "value", "rating") if k in item), None)
            if named is not None:
                lines.append(f"{named}: {scored}")
            lines.extend(f"{key}: {entry}" for key, entry in item.items() if isinstance(entry, int | float | str))
            # {"Name": {"score": 2, "reason": "..."}}
            lines.extend(
                f"{key}: {entry['score']}"
                for key, entry in item.items()
                if isinstance(entry, dict) and "score" in entry
            )
    return "\n".join(lines)
