"""Text -> Reading: which concepts it mentions, what it negates, on which side, and in which order of time.

    read("The hook does not dissect the left lobe.")
    words     hook does not dissect left lobe                (articles left out)
    mentions  instrument/hook, action/dissect, anatomy/left liver lobe
    denied    dissect left lobe                              (the words that a negation governs)
    time      0 0 0 0 0 0                                    (one clause)

Concepts are found by longest match over stems. A form with a sense as a thing and one as an action ("clips") is told
apart by its neighbours, and keeps both senses where they do not tell.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any, NamedTuple

from medvidbench_hf.judge.lexicon import order
from medvidbench_hf.judge.lexicon.prose import Prose, prose
from medvidbench_hf.judge.lexicon.vocabulary import Sense, lexicon
from medvidbench_hf.judge.lexicon.words import MAX_CHARS, grammar, stem, stems, tokens

#: A negation governs at most so many words of its clause: "without touching the wall of the duct behind it".
SCOPE_WORDS = 7

NOUN_FAMILIES = frozenset({"thing", "anatomy", "part", "person", "procedure"})


class Mention(NamedTuple):
    concepts: tuple[str, ...]  # more than one where the form stays ambiguous
    families: frozenset[str]
    start: int  # of its words in Reading.stems
    end: int
    lay: bool
    absent: bool  # the form says that the concept is not there


class Side(NamedTuple):
    axis: str
    pole: str
    at: int


class Reading(NamedTuple):
    words: tuple[str, ...]  # without articles and punctuation
    stems: tuple[str, ...]
    mentions: tuple[Mention, ...]
    unread: tuple[int, ...]  # content words that no concept claims
    sides: tuple[Side, ...]
    denied: tuple[bool, ...]  # one a word
    negators: tuple[int, ...]
    events: frozenset[int]  # positions of actions, and of unread words with the ending of a verb
    time: tuple[int, ...]  # one a word: the rank of its clause in time
    told: frozenset[int]  # the ranks that a connective sets apart from the rank before
    prose: Prose
    content: frozenset[int]  # positions that are no function words


def read(text: str) -> Reading:
    """The reading of a text: of its first words.MAX_CHARS characters and words.MAX_WORDS words."""
    return _read(text[:MAX_CHARS])


@lru_cache(maxsize=4096)
def _read(text: str) -> Reading:
    marked = tokens(text)
    kept = [k for k, token in enumerate(marked) if token.stem and token.word not in grammar()["articles"]]
    words = tuple(marked[k].word for k in kept)
    keys = tuple(marked[k].stem for k in kept)
    after_article = tuple(k > 0 and marked[k - 1].word in grammar()["articles"] for k in kept)
    mentions = _mentions(words, keys, after_article)
    claimed = {at for mention in mentions for at in range(mention.start, mention.end)}
    sides = _sides(keys)
    events = frozenset(k for k in range(len(keys)) if k not in claimed and _verb_like(words[k], keys[k]))
    actions = {mention.start for mention in mentions if "action" in mention.families}
    events |= actions
    clauses = order.clauses(marked, kept, actions)
    denied, negators = _denied(keys, {clause.start for clause in clauses if clause.relation != "same"})
    taken = claimed | {side.at for side in sides} | set(negators)
    function = _function_stems()
    content = frozenset(k for k, key in enumerate(keys) if key not in function)
    return Reading(
        words,
        keys,
        mentions,
        tuple(k for k in sorted(content) if k not in taken and not words[k][0].isdigit()),
        sides,
        denied,
        negators,
        events,
        *order.ranks(clauses, _participles(words), events, len(keys)),
        prose(marked, {kept[k] for k in _finite(words, mentions)}, [keys[k] for k in content]),
        content,
    )


def _finite(words: tuple[str, ...], mentions: tuple[Mention, ...]) -> list[int]:
    """Words that can be nothing but verbs of the third person: "dissects"."""
    return [
        mention.start
        for mention in mentions
        if mention.families == {"action"}
        and mention.end == mention.start + 1
        and words[mention.start].endswith("s")
        and not words[mention.start].endswith("ss")
    ]


def _verb_like(word: str, key: str) -> bool:
    return (
        key not in _function_stems() and len(word) > 3 and word.endswith(("s", "ing", "ed")) and not word.endswith("ss")
    )


def _participles(words: tuple[str, ...]) -> frozenset[int]:
    """Words that open a clause on what goes on at the same time: "holding", "held"."""
    return frozenset(k for k, word in enumerate(words) if _is_participle(word))


@lru_cache(maxsize=65_536)
def _is_participle(word: str) -> bool:
    return word.endswith(("ing", "ed")) or (grammar()["irregular"].get(word, word) != word and not word.endswith("s"))


def _mentions(words: tuple[str, ...], keys: tuple[str, ...], after_article: tuple[bool, ...]) -> tuple[Mention, ...]:
    forms, lengths = lexicon().forms, lexicon().lengths
    found: list[Mention] = []
    at = 0
    while at < len(keys):
        for length in lengths.get(keys[at], ()):
            form = keys[at : at + length]
            if senses := forms.get(form):
                end = at + len(form)
                told = senses if len(senses) == 1 else _told_apart(senses, words, at, end, after_article)
                concepts, families = tuple(sense.concept for sense in told), frozenset(sense.family for sense in told)
                lay, absent = any(sense.lay for sense in told), any(sense.absent for sense in told)
                found.append(Mention(concepts, families, at, end, lay, absent))
                at = end
                break
        else:
            at += 1
    return tuple(found)


def _told_apart(
    senses: tuple[Sense, ...], words: tuple[str, ...], at: int, end: int, after_article: tuple[bool, ...]
) -> tuple[Sense, ...]:
    """The senses that fit the neighbours: "the clip" is a thing, "clips the duct" an action."""
    nouns = tuple(sense for sense in senses if sense.family in NOUN_FAMILIES)
    others = tuple(sense for sense in senses if sense.family not in NOUN_FAMILIES)
    if not nouns or not others:
        return senses
    before = words[at - 1] if at else ""
    if words[end - 1].endswith(("ing", "ed")) or before in grammar()["before_verbs"]:
        return others
    if end < len(words) and after_article[end] and not after_article[at]:
        return others
    if after_article[at] or before in grammar()["before_nouns"] or before[:1].isdigit():
        return nouns
    return senses


def _sides(keys: tuple[str, ...]) -> tuple[Side, ...]:
    table, no_side = _side_stems(), _not_sides()
    found: list[Side] = []
    blocked = 0  # up to where a phrase that is no side reaches: "right angle"
    for at, key in enumerate(keys):
        for phrase in no_side.get(key, ()):
            if keys[at : at + len(phrase)] == phrase:
                blocked = max(blocked, at + len(phrase))
        if key in table and at >= blocked:
            found.append(Side(*table[key], at))
    return tuple(found)


def _denied(keys: tuple[str, ...], ends: set[int]) -> tuple[tuple[bool, ...], tuple[int, ...]]:
    """Which words a negation governs, and where the negations stand. Two of them cancel."""
    governed = [False] * len(keys)
    negators: list[int] = []
    table, blocked = _negators(), _not_negators()
    at = 0
    while at < len(keys):
        if any(keys[at : at + len(phrase)] == phrase for phrase in blocked.get(keys[at], ())):
            at += 2
            continue
        for phrase, direction in table.get(keys[at], ()):
            if keys[at : at + len(phrase)] == phrase and not _UNTIL & set(keys[at : at + order.NOT_UNTIL_WORDS]):
                negators.append(at)
                step = 1 if direction == "after" else -1
                if step < 0 and governed[at]:
                    break  # "is not absent"
                place, left = (at + len(phrase) if step > 0 else at - 1), SCOPE_WORDS
                while 0 <= place < len(keys) and left:
                    if step > 0 and place in ends:
                        break
                    governed[place] = not governed[place]
                    if step < 0 and place in ends:
                        break
                    place, left = place + step, left - 1
                at += len(phrase) - 1
                break
        at += 1
    return tuple(governed), tuple(negators)


_UNTIL = frozenset({"until", "till"})  # "does not cut until" denies nothing

# --- tables of grammar.json, by stem ---------------------------------------------------------------------------

Phrases = dict[str, tuple[tuple[tuple[str, ...], str], ...]]


@cache
def _function_stems() -> frozenset[str]:
    return frozenset(stem(word) for word in grammar()["function"]) | grammar()["function"]


@cache
def _side_stems() -> dict[str, tuple[str, str]]:
    axes: dict[str, Any] = grammar()["directions"]
    return {stem(word): (axis, pole) for axis, poles in axes.items() for pole, words in poles.items() for word in words}


@cache
def _not_sides() -> dict[str, tuple[tuple[str, ...], ...]]:
    return _by_first(stems(phrase) for phrase in grammar()["not_directions"])


@cache
def _not_negators() -> dict[str, tuple[tuple[str, ...], ...]]:
    return _by_first(stems(phrase) for phrase in grammar()["not_negators"])


def _by_first(phrases: Any) -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        found[phrase[0]] = (*found.get(phrase[0], ()), phrase)
    return found


@cache
def _negators() -> Phrases:
    return _table((stems(phrase), said) for phrase, said in grammar()["negators"].items())


def _table(said: Any) -> Phrases:
    found: Phrases = {}
    for phrase, relation in sorted(said, key=lambda entry: -len(entry[0])):
        found[phrase[0]] = (*found.get(phrase[0], ()), (phrase, relation))
    return found
