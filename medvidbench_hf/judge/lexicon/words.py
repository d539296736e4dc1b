"""Text -> words and stems: case, plural, inflection, hyphens and British spelling set aside.

A stem is a key, not a word: "divides", "dividing" and "divided" share "divid". Only that equal words get equal stems
matters, since the vocabulary goes through the same function.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

VOCABULARY = Path(__file__).parent / "vocabulary"

#: A caption has 8 to 60 words. What follows is not read, so that the time for a text is bounded.
MAX_WORDS = 400
MAX_CHARS = 8_000
LONGEST_WORD = 40

_TOKEN = re.compile(r"[^\W_]+(?:[.'][^\W_]+)*%?|[.;:,!?]")
_NOT = re.compile(r"(?:n't|\bcannot)\b")
_SPELLINGS = (
    ("haem", "hem"), ("anaes", "anes"), ("oesoph", "esoph"), ("oedem", "edem"), ("caec", "cec"), ("faec", "fec"),
    ("paed", "ped"), ("gynae", "gyne"), ("rrhoe", "rrhe"), ("tumour", "tumor"), ("colour", "color"),
    ("vapour", "vapor"), ("centre", "center"), ("litre", "liter"), ("metre", "meter"), ("fibre", "fiber"),
    ("grey", "gray"), ("mould", "mold"), ("manoeuv", "maneuv"), ("sulph", "sulf"),
)  # fmt: skip
_ISE = re.compile(r"(?<=[a-z]{3}[lnrtdm])is(?=(?:e|es|ed|er|ing|ation)$)")
_VOWEL = re.compile(r"[aeiouy]")


class Token(NamedTuple):
    word: str  # lower case, as written; or a mark of punctuation
    stem: str  # "" for punctuation


def tokens(text: str) -> list[Token]:
    """The words and marks of a text, at most MAX_WORDS of them."""
    text = (
        text[:MAX_CHARS]
        .lower()
        .replace("\u2019", "'")
        .replace("-", " ")
        .replace("\u2013", " , ")
        .replace("\u2014", " , ")
    )
    found = _TOKEN.findall(_NOT.sub(" not", text))
    return [_token(word[:LONGEST_WORD]) for word in found[:MAX_WORDS]]


@lru_cache(maxsize=65_536)
def _token(word: str) -> Token:
    return Token(word, stem(word))


def stems(phrase: str) -> tuple[str, ...]:
    """The stems of a phrase without punctuation and articles."""
    return tuple(token.stem for token in tokens(phrase) if token.stem and token.word not in grammar()["articles"])


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a word in lower case; "" for punctuation."""
    if not word[0].isalnum():
        return ""
    if word.endswith("'s"):
        word = word[:-2]
    if irregular := grammar()["irregular"].get(word):
        word = irregular
    if not word.isascii() or not word.isalpha():
        return word
    for british, american in _SPELLINGS:
        word = word.replace(british, american)
    word = _ISE.sub("iz", word)
    return _without_ending(word)


def _without_ending(word: str) -> str:
    if len(word) > 4 and word.endswith(("ies", "ied")):
        word = word[:-3] + "y"
    elif word.endswith("ing") and _VOWEL.search(word[:-3]) and len(word) > 5:
        word = _undoubled(word[:-3])
    elif word.endswith("ed") and not word.endswith("eed") and _VOWEL.search(word[:-2]) and len(word) > 4:
        word = _undoubled(word[:-2])
    elif word.endswith(("sses", "ches", "shes", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _undoubled(word: str) -> str:
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz" else word


@cache
def grammar() -> dict[str, Any]:
    """Articles, function words, irregular forms, negators, connectives and directions: vocabulary/grammar.json."""
    read = json.loads((VOCABULARY / "grammar.json").read_text(encoding="utf-8"))
    return {name: frozenset(value) if isinstance(value, list) else value for name, value in read.items()}
