"""What a visitor of a Space pastes: two captions, or statistics and raw rewards; and two captions as judged."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medvidbench_hf import judge as judges
from medvidbench_hf.metrics.visitor import MAX_CHARS, MAX_ROWS
from medvidbench_hf.rewards import Statistics, fit
from medvidbench_hf.rewards.statistics import number_of
from medvidbench_hf.sample import InputError

MAX_STATISTICS_CHARS = 1_000_000
MAX_LINES_CHARS = 100_000

CAPTIONS = (
    ("The hook dissects the cystic duct.", "The hook dissects the cystic duct."),
    ("The hook dissects the cystic duct.", "The scissors cut the cystic artery."),
    ("The hook dissects the cystic duct.", "A tool works on tissue."),
)
REWARDS = "CoPESD/stg, 0.20\nCoPESD/stg, 0.30\nNurViD/tal, 0.80\nNurViD/tal, 0.90\nNurViD/tal,"


def example_statistics() -> str:
    """A file of two pairs, one on which raw rewards are low and one on which they are high; made up."""
    hard, easy = np.linspace(0.0, 0.4, 101).round(3), np.linspace(0.6, 1.0, 101).round(3)
    statistics = fit(["CoPESD/stg"] * 101 + ["NurViD/tal"] * 101, [*hard, *easy], about={"model": "an example"})
    with TemporaryDirectory() as folder:
        file = Path(folder) / "statistics.json"
        statistics.write(file)
        return file.read_text(encoding="utf-8")


def captions(reference: Any, candidate: Any) -> judges.Pair:
    """The two texts. Raises InputError."""
    for name, text in (("reference", reference), ("candidate", candidate)):
        _check(name, text, MAX_CHARS)
    if not reference.strip():
        raise InputError("the reference is empty: there is nothing to compare with")
    return judges.Pair(reference, candidate)


def judged(pair: judges.Pair) -> tuple[list[list[str]], str]:
    """What the lexicon judge says: lines of a table, dimension, score; and what the scores rest on, a line each.

    Raises InputError where it says nothing.
    """
    verdicts = judges.LexiconJudge().judge([pair])
    for _, reason in verdicts.failures:
        raise InputError(reason)
    [judgement] = filter(None, verdicts.judgements)
    scores = {**dict(zip(judges.DIMENSIONS, judgement.scores, strict=True)), "mean": judgement.mean}
    evidence = [f"{name}: {line}" for name, value in judgement.evidence.items() for line in _lines(value)]
    return [[name.replace("_", " "), f"{score:.2f}"] for name, score in scores.items()], "\n".join(evidence)


def rewards(lines: Any) -> tuple[list[float | None], list[str]]:
    """Raw rewards and pairs of lines "CoPESD/stg, 0.41", where nothing after the comma is None. Raises InputError."""
    _check("raw rewards", lines, MAX_LINES_CHARS)
    raw: list[float | None] = []
    pairs = []
    for k, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        pair, comma, number = (part.strip() for part in line.rpartition(","))
        if not comma:
            raise InputError(f"line {k}: {line!a:.80} has no comma; write a pair, a comma and its raw reward")
        try:
            raw.append(number_of(number))
        except ValueError as error:
            raise InputError(f"line {k}: {error}; leave it empty where no reward applies") from None
        pairs.append(pair)
    if len(pairs) > MAX_ROWS:
        raise InputError(f"{len(pairs):,} rewards, more than {MAX_ROWS:,}: normalise them at home")
    return raw, pairs


def statistics(text: Any) -> Statistics:
    """The statistics in a file's text. Raises InputError."""
    _check("statistics", text, MAX_STATISTICS_CHARS)
    return Statistics.from_json(text)


def _check(name: str, text: Any, most: int) -> None:
    if not isinstance(text, str) or len(text) > most:
        raise InputError(f"the {name}: expected a text of {most:,} characters at most")


def _lines(value: Any) -> list[str]:
    """A JSON value in words: a line for each object, one for a list of texts, none for nothing."""
    match value:
        case dict():
            return [", ".join(f"{name} {json.dumps(part, ensure_ascii=False)}" for name, part in value.items() if part)]
        case list() | tuple() if any(isinstance(item, dict) for item in value):
            return [line for item in value for line in _lines(item)]
        case list() | tuple():
            return [", ".join(map(str, value))] if value else []
    return [str(value)]
