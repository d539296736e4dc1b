"""What stands between a candidate and the judge: what gets the minimum unseen, and how the rest is quoted.

`minimum` gives a reason where a candidate describes nothing: it is empty, filler ("Thought process:"), one word over
and over, a verdict, talk to the judge, or a copy of the question or of our rubric. Judges are known to score such texts
high; they get 1 on all dimensions without a call. What holds a description and such things besides is judged.

`quoted` makes a text safe to stand in a message: one JSON string on one line, without invisible characters, tags,
fences or role marks, and with the codes and names of a verdict spelt so that no reader of ours takes them for one,
however the judge quotes them. It rewrites rather than escapes, since a model sees through escapes.

Not covered: an instruction in plain words inside a description. It reaches the judge as data, and the rubric says what
that is worth.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from medvidbench_hf.judge.pairs import BOARD_CODES, DIMENSIONS, Pair

#: Four times a long caption. The end is cut off: what comes after so much is padding, and the last words before the
#: rubric are where a judge is swayed most.
MAX_CHARS = 8_000
CUT = " [cut]"
_REMEMBERED = 256  # texts: the steps below take the same ones one after the other

RUBRICS = Path(__file__).parent / "rubrics"

# --- quoting ---------------------------------------------------------------------------------------------------

_DROPPED = ("Cc", "Cf", "Cs", "Co", "Cn")  # control, zero-width and bidi, surrogate, private, unassigned
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_REWRITES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\\"), "/"),  # \u003c, \n
    (re.compile(r"&(?=#?\w{1,10};)"), "and "),  # &lt;
    (re.compile(r"<(?!\s?[\d.=])"), "\u2039"),  # tags, <|im_start|>; "< 5 mm" stays
    (re.compile(r">(?!\s?[\d.=])"), "\u203a"),
    (re.compile(r"`"), "'"),
    (re.compile(r"\[(\s?/?\s?[A-Z_]{3,20}\s?)\]"), r"(\1)"),  # [INST]
    (re.compile(r"([#=*_~|-])\1{2,}"), r"\1"),  # --- and ### set nothing apart
    (re.compile(r"(?<![A-Za-z0-9])([Rr])(?=[0-9])"), r"\1-"),  # R2: 5
    (re.compile("|".join(name for name in DIMENSIONS if "_" in name), re.IGNORECASE), lambda m: m[0].replace("_", " ")),
)


@lru_cache(maxsize=_REMEMBERED)
def plain(text: str) -> str:
    """The text on one line: characters in their usual form (NFKC), unseen ones and surrogates left out, spaces single.

    At most MAX_CHARS characters; a longer text ends in CUT.
    """
    longer = len(text) > 4 * MAX_CHARS
    text = text[: 4 * MAX_CHARS]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _visible(text))
    text = " ".join(_visible(text).split())
    if longer or len(text) > MAX_CHARS:
        text = text[: MAX_CHARS - len(CUT)].rstrip() + CUT
    return text


@lru_cache(maxsize=_REMEMBERED)
def neutral(text: str) -> str:
    """A plain text without anything that could end a block of data or be read as a verdict."""
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def quoted(text: str) -> str:
    """A text as data: a JSON string on one line."""
    return json.dumps(neutral(plain(text)), ensure_ascii=False)


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    kept = (" " if char.isspace() else char for char in _UNSEEN.sub("", text))
    return "".join(char for char in kept if unicodedata.category(char) not in _DROPPED)


# --- the minimum without a call --------------------------------------------------------------------------------

_SHORTEST_BYTES = 3  # of words: "IV" is no caption, two Chinese characters may be one
_MOST_TALK = 0.7  # of the content words
_COPIED = 0.4  # of the text's runs of three words
_COPIED_SENTENCE = 0.5  # of the runs of one sentence of the source
_FEWEST_COPIED = 4  # runs; fewer may be an answer that the question offers
_SAYS_REFERENCE = 0.5  # of the content words

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_SENTENCE_END = re.compile(r"[.?!:;]\s")
_CODE = re.compile(
    rf"(?<![A-Za-z0-9])({'|'.join(BOARD_CODES)})[\s*_]{{0,4}}[:=]?[\s*_]{{0,4}}[0-9]",
    re.IGNORECASE,
)
_NAME = re.compile(rf"({'|'.join(name.replace('_', '[_ ]') for name in DIMENSIONS)})[\"'*\s]{{0,4}}[:=]", re.IGNORECASE)


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that describe nothing: function words, and how models open and announce.
_FILLER = _listed(
    """
    a an the this that these those it its they them he she we i you me us my our your their who which what where when
    how why and or but nor so if then than as of in on at to from for with without by into onto over under about
    after before during while through between is are was were be been being am do does did done doing have has had
    having will would can could shall should may might must not no yes also just only very too there here all any some
    each both more most other such own same again once now first second third next last finally
    let let's lets think thinking thought thoughts step steps process solution solve problem answer answers final
    response reply output result prediction caption captions description describe described describing summary
    summarize summarise summarized question analysis analyze analyse reasoning reason explanation explain conclusion
    therefore thus hence sure certainly okay ok course happy help following follows below note begin start end n none
    unknown na nan null text video image picture frame frames scene shown shows show showing depicts depicting see sees
    please based given provide provided happening happens sorry cannot can't unable thank thanks much
    respuesta solución réponse lösung antwort risposta 解 答 答案 解答 かいせつ
    json html xml markdown python todo assistant user system
    """
)
# Words about judging. A text is talk to the judge where these make up nearly all of its content and one is certain.
_CERTAIN_TALK = _listed(
    "rubric rubrics evaluator evaluators grader graders judge judges verdict verdicts candidate score scores rating "
    "ratings benchmark leaderboard"
)
_CERTAIN_PHRASE = re.compile(
    r"\b(?:ignor(?:e|ing)|disregard|forget|override|bypass)\W{1,3}(?:\w{1,20}\W{1,3}){0,4}"
    r"(?:instructions?|prompts?|rules?|above|everything)\b"
    r"|\b(?:full|top|highest|maximum|max|perfect|best)\W{1,3}(?:marks|points|grade)\b"
    r"|\bground\W{1,3}truth\b|\bsystem\W{1,3}prompt\b|\b(?:5\s?/\s?5|10\s?/\s?10)\b",
    re.IGNORECASE,
)
_TALK = _CERTAIN_TALK | _listed(
    """
    instruction instructions prompt prompts examiner scored scoring rated marks reference truth criteria criterion
    evaluation ignore ignoring disregard forget override bypass previous prior above earlier preceding instead rate
    grade grades grading mark point points award awards assign give gives giving return respond print write say
    declare treat consider accept confirm full maximum max highest top perfect perfectly excellent outstanding best
    flawless five ten matches match matching identical correct correctly accurate accurately equivalent exact exactly
    deserves deserve ground aspect aspects dimension dimensions every everything evaluate evaluated evaluating assess
    assessed expert language model ai mode test debug new task tasks rule rules role act pretend agree approved
    accuracy terminology specificity context quality level detail medical clinical otherwise important attention
    admin developer message follow comply out across per scale always never high higher value values number numbers
    set one two three four line lines format
    """
)


def minimum(pair: Pair) -> str | None:
    """Why a candidate gets 1 on all dimensions without a call; None where a judge must look.

    A candidate that equals its reference is always judged, and nothing is taken for talk or a copy of which half the
    content is in the reference.
    """
    text = plain(pair.candidate)
    words = _words(text)
    if not words:
        return "empty: no word in it"
    reference = _words(plain(pair.reference))
    if words == reference:
        return None
    if len("".join(word for word in words if not word.isdigit()).encode()) < _SHORTEST_BYTES:
        return "too short"
    content = _content(words)
    if not content:
        return "no content: filler words only"
    if len(content) >= 3 and len(set(content)) == 1:
        return f"one word over and over: {content[0]!r:.40}"
    if _holds_verdict(text):
        return "a verdict in our own form"
    known = set(reference)
    if sum(word in known for word in content) >= _SAYS_REFERENCE * len(content):
        return None
    if _is_talk(text, words, content):
        return "talk to the judge instead of a description"
    question, said = plain(pair.question), _sentences(text)
    if words == _words(question) or _is_copy(said, _sentences(question)):
        return "a copy of the question"
    if _is_copy(said, _rubrics()):
        return "a copy of the rubric"
    return None


def has_word(text: str) -> bool:
    """Whether anything in a text can be compared."""
    return bool(_words(plain(text)))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold().replace("\u2019", "'"))


def _content(words: Iterable[str]) -> list[str]:
    return [word for word in words if word not in _FILLER and not word.isdigit()]


def _holds_verdict(text: str) -> bool:
    """All five codes with a number, or three of the dimensions as keys."""
    codes = {code.upper() for code in _CODE.findall(text)}
    names = {name.lower() for name in _NAME.findall(text)}
    return len(codes) == len(BOARD_CODES) or len(names) >= 3


def _is_talk(text: str, words: Sequence[str], content: Sequence[str]) -> bool:
    if sum(word in _TALK for word in content) < _MOST_TALK * len(content):
        return False
    return not _CERTAIN_TALK.isdisjoint(words) or any(found.search(text) for found in (_CERTAIN_PHRASE, _CODE))


Runs = frozenset[tuple[str, str, str]]  # every three words in a row


class _Sentences(NamedTuple):
    """The runs of each sentence of a text that has three words or more, and of all of them."""

    each: tuple[Runs, ...]
    all: Runs


def _is_copy(text: _Sentences, source: _Sentences) -> bool:
    """Whether much of a text comes from the source, and half of a sentence of the source is in it. Small edits change
    neither.
    """
    if len(text.all) < _FEWEST_COPIED:
        return False
    copied = text.all & source.all
    if len(copied) < _COPIED * len(text.all):
        return False
    return any(len(runs & copied) >= _COPIED_SENTENCE * len(runs) for runs in source.each)


@lru_cache(maxsize=_REMEMBERED)
def _sentences(text: str) -> _Sentences:
    return _together(_runs(_words(part)) for part in _SENTENCE_END.split(text))


@cache
def _rubrics() -> _Sentences:
    texts = (path.read_text(encoding="utf-8") for path in sorted(RUBRICS.glob("*.txt")))
    return _together(runs for text in texts for line in text.splitlines() for runs in _sentences(plain(line)).each)


def _together(each: Iterable[Runs]) -> _Sentences:
    found = tuple(filter(None, each))
    return _Sentences(found, frozenset().union(*found))


def _runs(words: Sequence[str]) -> Runs:
    return frozenset(zip(words, words[1:], words[2:], strict=False))
