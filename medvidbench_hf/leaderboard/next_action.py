"""NAP_acc as the board computes it.

Answer    "tying", spelled as in the source's list. Anything else becomes the nearest label by all-MiniLM-L6-v2:
          empty text, junk and whole paragraphs too.
Truth     gnd. A record whose gnd is not in the list is skipped.
Labels    by source; NurViD by the first procedure whose name stands in the question; for other sources the distinct
          gnd of the records that are evaluated. Case and typos count.
Column    correct / counted, over all sources

"Subcutaneous Injection Insulin" is never reached, as "Subcutaneous Injection" stands in it and comes first.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import Record, TaskLost, sure_source, text_of

COLUMN, EXACT = "NAP_acc", "NAP_exact"
_SURROGATE = re.compile("[\ud800-\udfff]")
NEAR_TIE = 1e-4  # cosine; below it another runtime may choose the other label

Embed = Callable[[list[str]], np.ndarray]  # n texts -> (n, d)


class Question(NamedTuple):
    """A record read: its labels and the right ones among them, or flags that say why it does not count."""

    labels: tuple[str, ...]
    said: str
    true: str
    other_labels: tuple[str, ...] | None  # of the procedure whose longer name stands in the question


class Nearest(NamedTuple):
    label: str
    margin: float  # cosine to the best label less cosine to the second


@cache
def vocabularies() -> dict[str, Any]:
    """The board's label lists, spelling kept."""
    return json.loads((Path(__file__).parent / "labels.json").read_text(encoding="utf-8"))


def board_labels(source: str, question: str) -> tuple[str, ...] | None:
    """The closed label list of a question; None for a source whose labels are the evaluated records' own."""
    if source == "NurViD":
        procedures = vocabularies()["NurViD"]
        asked = question.lower()
        name = next((name for name in procedures if name.lower() in asked), None)
        return _all_actions() if name is None else tuple(procedures[name])
    listed = vocabularies()["labels"].get(source)
    return None if listed is None else tuple(listed)


def normal(source: str, label: str) -> str:
    """Stripped; CoPESD's eight old labels become the new ones."""
    label = label.strip()
    return vocabularies()["CoPESD_aliases"].get(label, label) if source == "CoPESD" else label


def read(records: Sequence[Record]) -> list[Question | TaskLost]:
    """The questions, and the loss in place of a record that the board's code raises on."""
    sources = [sure_source(record, question_first=True) for record in records]
    free: dict[str, set[str]] = defaultdict(set)
    for record, source in zip(records, sources, strict=True):
        if isinstance(record.get("gnd"), str):
            free[source].add(normal(source, record["gnd"]))
    found: list[Question | TaskLost] = []
    listed = {source: tuple(sorted(labels - {""})) for source, labels in free.items()}
    for record, source in zip(records, sources, strict=True):
        try:
            found.append(_question(record, source, listed))
        except TaskLost as lost:
            found.append(lost)
    return found


def to_embed(questions: Sequence[Question | TaskLost]) -> list[str]:
    """The distinct texts whose vectors decide an answer: those that match no label, and their labels."""
    texts: dict[str, None] = {}
    for q in questions:
        if isinstance(q, Question):
            for labels in filter(None, (q.labels, q.other_labels)):
                if q.said not in labels and len(labels) > 1:
                    texts.update(dict.fromkeys((q.said, *labels)))
    return list(texts)


def score(questions: Sequence[Question | TaskLost], embed: Embed | None) -> list[Row | TaskLost]:
    """A row a question. `embed` is called once, if at all; without it NAP_acc has no value where it would decide.

    NAP_exact counts the same records and takes only exact labels.
    """
    texts = to_embed(questions) if embed is not None else []
    vectors: dict[str, np.ndarray] = {}
    if texts and embed is not None:
        made = np.asarray(embed(texts), dtype=float)
        made /= np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)
        vectors = dict(zip(texts, made, strict=True))
    chosen: dict[tuple[str, tuple[str, ...]], Nearest | None] = {}

    def choose(said: str, labels: tuple[str, ...]) -> Nearest | None:
        if said in labels or len(labels) == 1:
            return Nearest(said if said in labels else labels[0], float("inf"))
        if (said, labels) not in chosen:
            chosen[said, labels] = _nearest(said, labels, vectors)
        return chosen[said, labels]

    return [q if not isinstance(q, Question) else _row(q, choose) for q in questions]


def _question(record: Record, source: str, free: dict[str, tuple[str, ...]]) -> Question:
    asked = text_of(record, "question") if source == "NurViD" else ""
    labels = board_labels(source, asked)
    other = None
    if source == "NurViD":
        procedures = vocabularies()["NurViD"]
        longest = max((name for name in procedures if name.lower() in asked.lower()), key=len, default=None)
        if longest is not None and tuple(procedures[longest]) != labels:
            other = tuple(procedures[longest])
    true, said = (normal(source, text_of(record, field)) for field in ("gnd", "answer"))
    if _SURROGATE.search(said):
        raise TaskLost("field answer holds half of a surrogate pair, which no text encoder takes")
    return Question(free.get(source, ()) if labels is None else labels, said, true, other)


def _row(q: Question, choose: Callable[[str, tuple[str, ...]], Nearest | None]) -> Row:
    without: dict[str, Any] = {}
    if q.other_labels is not None:
        shadowed = choose(q.said, q.other_labels)
        if shadowed is not None and q.true in q.other_labels:
            without["nap-shadowed"] = {COLUMN: {"": (float(shadowed.label == q.true), 1)}}
    known = q.said in q.labels
    if q.true not in q.labels:
        without.setdefault("nap-skipped", {COLUMN: {"": (float(q.said == q.true), 1)}})
        return Row({}, known, without)
    exact = {"": (float(q.said == q.true), 1)}
    nearest = choose(q.said, q.labels)
    if nearest is None:
        return Row({EXACT: exact}, known, without, ("nap-no-model",))
    if not known:
        without["nap-nearest"] = {COLUMN: exact}
    flags = ("nap-near-tie",) if nearest.margin < NEAR_TIE else ()
    return Row({COLUMN: {"": (float(nearest.label == q.true), 1)}, EXACT: exact}, known, without, flags)


def _nearest(said: str, labels: tuple[str, ...], vectors: dict[str, np.ndarray]) -> Nearest | None:
    if not vectors or not labels:
        return None
    cosines = np.stack([vectors[label] for label in labels]) @ vectors[said]
    first, second = np.sort(cosines)[::-1][:2]
    return Nearest(labels[int(np.argmax(cosines))], float(first - second))


@cache
def _all_actions() -> tuple[str, ...]:
    return tuple(sorted({action for actions in vocabularies()["NurViD"].values() for action in actions}))
