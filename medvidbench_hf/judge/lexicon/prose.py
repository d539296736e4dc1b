"""Whether words are sentences: what a keyword list or shuffled words have, and no caption.

    "the hook the and of dissects"         broken    pairs of words that English does not have: "the and", "of dissects"
    "hook and liver and duct and clip"     listed    one link over and over, or none, or no word twice
    "hook hook hook"                       repeated

Each is 0..1. Grammar is not parsed: a fluent caption has at most one of the impossible pairs, words in a random order
have one in six.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from medvidbench_hf.judge.lexicon.words import Token, grammar

#: A shorter text cannot be told from a note.
FEWEST_WORDS = 6
#: Impossible pairs, of all words, of a text that is quite broken; one of them may be our misreading.
QUITE_BROKEN, MISREAD = 0.08, 1
#: One link makes so much of all links, and stands so often, in no sentence.
ONE_LINK, FEWEST_LINKS = 0.6, 4
#: Commas make so much of all links in no sentence; in "washes her hands, puts on gloves, ..." they make half.
MOSTLY_COMMAS = 0.8
#: Function words, of all words: captions have 0.3, notes without articles 0.15; and those other than articles
#: (one more or less tells nothing).
FEWEST_SMALL, FEWEST_LINKING = 0.12, 0.05
#: How much of a list notes are: "grasper retracts gallbladder, hook dissects duct".
AS_NOTES, LONGEST_NOTE = 0.3, 8
#: One article makes so much of all function words in no sentence: it makes 0.4 in captions.
MOSTLY_ARTICLES, FEWEST_ARTICLES = 0.85, 5
#: In so many words without a mark, a sentence has one word twice: "the", "of".
ALL_DIFFERENT = 20
#: Distinct content words, of all content words: captions have 0.7 or more, one scene told twice 0.5.
DISTINCT, QUITE_REPEATED = 0.6, 0.35

_NEEDS_MORE = frozenset({"determiner", "preposition", "of", "conjunction"})


class Prose(NamedTuple):
    broken: float
    listed: float
    repeated: float

    def beyond(self, other: Prose) -> dict[str, float]:
        """What is wrong with this text and not with the other, a reference that may be a note itself."""
        return {
            name: mine - theirs
            for name, mine, theirs in zip(self._fields, self, other, strict=True)
            if mine - theirs > 0
        }


def prose(marked: Sequence[Token], verbs: Collection[int], content: Sequence[str]) -> Prose:
    """Of the words and marks of a text. verbs: which of them are finite verbs for sure; content: the content stems."""
    n = sum(bool(token.stem) for token in marked)
    if n < FEWEST_WORDS:
        return Prose(0.0, 0.0, 0.0)
    return Prose(
        min(1.0, max(0, _impossible(marked, verbs) - MISREAD) / (QUITE_BROKEN * n)),
        (AS_NOTES if _notes(marked, verbs) else 1.0) if _listed(marked, n) else 0.0,
        min(1.0, max(0.0, (DISTINCT - len(set(content)) / max(1, len(content))) / (DISTINCT - QUITE_REPEATED))),
    )


def _impossible(marked: Sequence[Token], verbs: Collection[int]) -> int:
    """How many pairs of neighbours no sentence has."""
    of = _classes()
    classes = [
        "verb" if at in verbs else of.get(token.word, "") if token.stem else "," if token.word == "," else "."
        for at, token in enumerate(marked)
    ]
    unfinished = sum(one in _NEEDS_MORE for one in classes[-1:])
    never = _never_before()
    return unfinished + sum(one in never and two in never[one] for one, two in pairwise(classes))


def _listed(marked: Sequence[Token], n_words: int) -> bool:
    links = Counter(token.word for token in marked if token.word in _links())
    by_article = [links.pop(word, 0) for word in grammar()["articles"]]
    commas = links.pop(",", 0)
    most, linking, articles = max(links.values(), default=0), sum(links.values()), sum(by_article)
    return (
        linking + articles < FEWEST_SMALL * n_words
        or linking + 1 < FEWEST_LINKING * n_words
        or (most >= FEWEST_LINKS and most >= ONE_LINK * (linking + commas))
        or commas >= max(FEWEST_LINKS, MOSTLY_COMMAS * (linking + commas))
        or max(by_article) >= max(FEWEST_ARTICLES, MOSTLY_ARTICLES * (linking + articles))
        or _longest_without_repeat(marked) >= ALL_DIFFERENT
    )


def _notes(marked: Sequence[Token], verbs: Collection[int]) -> bool:
    """Whether between any two marks or conjunctions stands one finite verb, with words before and after it, and few."""
    ends = [at for at, token in enumerate(marked) if not token.stem or _classes().get(token.word) == "conjunction"]
    stretches = [range(one + 1, two) for one, two in pairwise([-1, *ends, len(marked)]) if two > one + 1]
    found = [[at for at in stretch if at in verbs] for stretch in stretches]
    return all(
        len(here) == 1 and len(stretch) <= LONGEST_NOTE and stretch.start < here[0] < stretch.stop - 1
        for stretch, here in zip(stretches, found, strict=True)
    )


def _longest_without_repeat(marked: Sequence[Token]) -> int:
    """The most words between two marks of which none stands there twice."""
    longest = 0
    stretch: list[str] = []
    for token in [*marked, Token(".", "")]:
        if token.stem:
            stretch.append(token.word)
            continue
        if len(stretch) > longest and len(set(stretch)) == len(stretch):
            longest = len(stretch)
        stretch = []
    return longest


@cache
def _classes() -> dict[str, str]:
    return {word: kind for kind, words in grammar()["word_classes"].items() for word in words}


@cache
def _never_before() -> dict[str, frozenset[str]]:
    """Class of a word -> the classes that cannot follow: "the of", "of and", "dissects retracts"."""
    return {one: frozenset(others) for one, others in grammar()["never_before"].items()}


@cache
def _links() -> frozenset[str]:
    return grammar()["function"] | {","}
