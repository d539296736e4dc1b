"""Reading and scoring a form of named integer scores, shared by skill_assessment and cvs_assessment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from medvidbench_hf.sample import NamedScore, Scores
from medvidbench_hf.tasks.answer import Parsed, Score, final_answer, fold, plain, read_json, unique, walk


def parse_form(text: str, names: Sequence[str], lowest: int, highest: int) -> Parsed[Scores]:
    """Read "Name: n" or "Name: n/highest" for each name, in any order, on lines, behind bullets or in JSON.

    What follows a name up to the next name, 120 characters at most, holds its score: the first number, mentions of the
    scale ("(1-5)") aside. A value that is no integer in range, counted out of another maximum, or one of several
    ("3-4", "0 or 1") is left out with an issue: the criterion then is wrong. Where a name comes again, a score behind
    ":", "=", "-" or "|", or before "/", counts before a number in running text, and a later one before an earlier one.
    """
    text, issues = final_answer(text)
    value = read_json(text)
    if value is not None:
        text = _json_lines(value, names)
        issues.append("JSON read")
    text = plain(text, issues)
    mentions = list(_pattern(tuple(names)).finditer(text))
    strong: dict[str, int | None] = {}
    loose: dict[str, int | None] = {}
    for k, mention in enumerate(mentions):
        name = names[int(mention.lastgroup[1:])]  # type: ignore[index]
        stop = mentions[k + 1].start() if k + 1 < len(mentions) else len(text)
        segment = _SCALE.sub(lambda m: " " * len(m[0]), text[mention.end() : min(stop, mention.end() + 120)])
        found = _VALUE.search(segment)
        if not found:
            continue
        before = segment[: found.start()]
        said = any(mark in before for mark in ":=|-") or found["of"] is not None
        if not said and (before.rstrip().endswith("(") or re.match(r"[.)](?:\s|$)", segment[found.end() :])):
            continue  # the number of a list's next item
        (strong if said else loose)[name] = _score(found, name, lowest, highest, issues)
    scores = {**loose, **strong}
    kept = tuple(NamedScore(name, score) for name in names if (score := scores.get(name)) is not None)
    if not kept:
        return Parsed(None, unique([*issues, "no score found"]))
    if len(kept) < len(names):
        issues.append(f"{len(names) - len(kept)} of {len(names)} scores missing")
    return Parsed(Scores(kept), unique(issues))


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


_VALUE = re.compile(
    r"(?<![\w.])(?P<value>\d{1,6}(?:\.\d{1,6})?)(?![\d.]?\d)(?P<more>\s{0,2}(?:-|to|or|and|but)\s{0,2}\d)?"
    r"(?:\s?(?:/|out of)\s?(?P<of>\d{1,6}))?"
)
_SCALE = re.compile(
    r"[\[(]\s?(?:(?:on\s)?(?:a\s)?(?:scale|score|range)?\s?(?:of|from|:)?\s?)?\d\s?(?:(?:-|to|,)\s?\d\s?){1,5}[\])]"
    r"|(?:on\s)?(?:a\s)?(?:scale|range)\s(?:of\s|from\s)?\d\s?(?:-|to)\s?\d",
    re.IGNORECASE,
)


@cache
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the names, as group n0, n1, ...; other separators, "the" and "and" between words are the same name."""
    between = r"[\W_]{1,3}(?:(?:the|and)[\W_]{1,3})?"
    words = (between.join(re.escape(word) for word in fold(name).split() if word != "and") for name in names)
    return re.compile("|".join(rf"(?<!\w)(?P<n{k}>{word})(?!\w)" for k, word in enumerate(words)), re.IGNORECASE)


def _score(found: re.Match[str], name: str, lowest: int, highest: int, issues: list[str]) -> int | None:
    value, of = found["value"], found["of"]
    if found["more"]:
        issues.append(f"{name}: more than one value, {found[0].strip()}")
    elif of is not None and int(of) != highest:
        issues.append(f"{name}: {value}/{of} is not out of {highest}")
    elif float(value) != int(float(value)):
        issues.append(f"{name}: {value} is not an integer")
    elif not lowest <= float(value) <= highest:
        issues.append(f"{name}: {value} is not in {lowest}..{highest}")
    else:
        return int(float(value))
    return None


def _json_lines(value: object, names: Sequence[str]) -> str:
    """A JSON form as lines: {"Name": 2}, {"Name": {"score": "2/5"}} and [{"name": "Name", "score": 2}]."""
    known = {fold(name) for name in names}
    lines = []
    for item in walk(value):
        if not isinstance(item, dict):
            continue
        scored = next((item[k] for k in ("score", "value", "rating") if k in item), None)
        named = next((item[k] for k in ("name", "aspect", "criterion") if isinstance(item.get(k), str)), "")
        pairs = [(named, scored), *item.items()]
        for key, entry in pairs:
            entry = entry.get("score") if isinstance(entry, dict) else entry
            if fold(str(key)[:80]) in known and isinstance(entry, int | float | str) and not isinstance(entry, bool):
                lines.append(f"{key}: {str(entry)[:40]}")
    return "\n".join(lines)
