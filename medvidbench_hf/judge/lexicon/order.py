"""In which order of time a text tells its events: a rank for each word.

    "After the duct is clipped, it is cut."   "The duct is cut once it is clipped."   clipped 0, cut 1
    "Holding the liver up, the hook frees the duct."                                  one rank: at the same time

Clauses begin at punctuation and at the connectives of grammar.json, by what they say of the clause before them:

    later     "followed by", "precedes": after it
    before    "before", "until": after it; at the start of a sentence, after the clause to come
    earlier   "after", "once", "having": before the sentence; at its start, before the clause to come
    resume    "then", "finally": after everything told so far
    first     "first": before everything in the sentence
    same      "while", "with": at the same time
    link      "and", ",": after it where the new clause has an action, else part of it
    perfect   "has been", "had": says of the clause it stands in that it is earlier

"follows" resumes at the end of a clause ("the vein follows") and is earlier before an object ("A follows B").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

from medvidbench_hf.judge.lexicon.words import Token, grammar

#: How far apart "not" and "until" may stand.
NOT_UNTIL_WORDS = 5


class Clause(NamedTuple):
    start: int  # position among the words that are kept
    relation: str
    begins_sentence: bool
    after_comma: bool
    said_first: bool = False  # what comes next comes later


def clauses(marked: Sequence[Token], kept: Sequence[int], actions: Collection[int]) -> list[Clause]:
    """The clauses of a text. kept: which tokens are words of the reading; actions: which of those words are actions."""
    found = [Clause(0, "", True, False)]
    mark, before, opener_ends, skip = "", "", -1, 0
    connectives = _connectives()
    position = {token: n for n, token in enumerate(kept)}
    for at, token in enumerate(marked):
        if not token.stem:
            mark = "." if token.word in ".;:!?" or mark == "." else ","
            continue
        if at not in position:  # an article: the next word opens the clause
            continue
        place = position[at]
        relation, length = _relation(marked, at) if skip <= at and token.word in connectives else ("", 1)
        ends = at + length >= len(marked) or not marked[at + length].stem
        if token.word in _FOLLOWS:  # "the vein follows" it does later, "incision follows injection" injection earlier
            relation = "resume" if ends else "earlier"
        if relation == "before" and any(other.word == "not" for other in marked[max(0, at - NOT_UNTIL_WORDS) : at]):
            relation = "earlier"  # "does not cut until it sees" tells of the seeing first
        here = found[-1]
        if relation and at == opener_ends and not mark:
            found[-1] = here._replace(relation=_joined(here.relation, relation, token.word))
        elif mark or (relation and not _amends(relation, here, before, ends, _any(actions, here.start, place))):
            start = Clause(place, relation, mark == ".", mark == ",")
            if place <= here.start:
                found[-1] = start._replace(begins_sentence=here.begins_sentence or mark == ".")
            else:
                found.append(start)
        elif relation:
            acted = _any(actions, here.start, place)
            if relation == "first" and here.relation == "link" and len(found) > 1 and not acted:
                found.pop()  # "wipes the palate and tongue first": of the whole clause
                here = found[-1]
            found[-1] = here._replace(relation=_amended(here, relation), said_first=relation == "first")
        elif (
            token.word in _INVERTED
            and here.begins_sentence
            and _inverted(marked, at)
            and _any(actions, here.start, place)
        ):
            found.append(Clause(place, "", False, True))  # "Only when it is dry | does the nurse"
        before = token.word
        if relation:
            skip = at + length
            opener_ends = skip if found[-1].start + length > place else -1
        mark = ""
    return found


def ranks(
    found: Sequence[Clause], participles: Collection[int], actions: Collection[int], n_words: int
) -> tuple[tuple[int, ...], frozenset[int]]:
    """The rank of each word, and which ranks a connective sets apart from the rank before.

    participles: positions of words such as "holding" and "held".
    """
    order: list[_Group] = []
    sentence = last = 0
    opening = ""  # how the sentence opened, while its main clause is still to come
    subject = _Group([], False)  # what "same" clauses belong to
    bounds = [*(clause.start for clause in found[1:]), n_words]
    acting = {k for k, clause in enumerate(found) if _any(actions, clause.start, bounds[k])}
    acting |= {  # "after handing it over"
        k for k, one in enumerate(found) if one.relation in ("earlier", "before") and one.start + 1 in participles
    }

    def insert(place: int, clause: int, told: bool, next_told: bool = False) -> None:
        if next_told and place < len(order):
            order[place].told = True
        order.insert(place, _Group([clause], told))

    for k, clause in enumerate(found):
        acts = k in acting
        participle = clause.start in participles
        relation = clause.relation
        after_first = k > 0 and found[k - 1].said_first
        if relation == "perfect" and order:  # a sentence that tells what had been done before the last one
            insert(sentence, k, False, next_told=True)
            last, opening = sentence, ""
        elif not order or clause.begins_sentence:
            order.append(_Group([k], relation in ("resume", "later")))
            sentence = last = len(order) - 1
            opening = relation if relation in ("before", "earlier") else ""
            if participle and clause.said_first:  # "lubricated beforehand, the tube"
                opening = "earlier"
            subject = order[-1]
            if not opening and (participle or relation == "same" or not acts):
                opening = "same"
        elif opening and clause.after_comma and not relation and not participle:  # the main clause
            if opening == "before":
                insert(last, k, False, next_told=True)
                sentence = last
            elif opening == "earlier":
                last += 1
                insert(last, k, True)
            else:
                subject.clauses.append(k)
                last = order.index(subject)
                if not acts:  # its subject; "the tip, held in the left hand, enters" goes on
                    continue
            opening = ""
        elif relation == "earlier" and acts and k - 1 not in acting and found[k - 1].relation == "resume":
            order.append(_Group([k], True))  # "then, after wiping it, the nurse"
            sentence = last = len(order) - 1
            opening = "earlier"
        elif relation == "resume":
            order.append(_Group([k], True))
            last = len(order) - 1
        elif relation in ("earlier", "first") and acts:
            insert(sentence, k, False, next_told=True)
            last = sentence
        elif relation in ("before", "later") or (acts and not participle and relation in ("", "link")):
            last += 1
            insert(last, k, relation in ("before", "later") or after_first)
        else:
            order[last].clauses.append(k)
    rank = {clause: at for at, group in enumerate(order) for clause in group.clauses}
    time: list[int] = []
    for k, bound in enumerate(bounds):
        time += [rank[k]] * (bound - len(time))
    return tuple(time), frozenset(at for at, group in enumerate(order) if group.told)


class _Group:
    """Clauses that share a rank. told: a connective sets them apart from the rank before."""

    def __init__(self, clauses: list[int], told: bool) -> None:
        self.clauses, self.told = clauses, told


def direction(words: Sequence[str]) -> int:
    """What words say of what follows them: 1 it is later ("before", "then"), -1 earlier ("after"), 0 neither."""
    said = {
        relation
        for at in range(len(words))
        for phrase, relation in _connectives().get(words[at], ())
        if tuple(words[at : at + len(phrase)]) == phrase
    }
    later, earlier = bool(said & {"before", "later", "resume"}), "earlier" in said
    return earlier - later if "not" in words else later - earlier


def turns(words: Sequence[str]) -> int:
    """How often a text tells out of the order of time ("after", "having"), or says which of two comes first."""
    return sum(word in _turns() for word in words)


@cache
def _turns() -> frozenset[str]:
    said = grammar()["connectives"]
    return frozenset(phrase for relation in ("earlier", "before", "first", "perfect") for phrase in said[relation])


def _amends(relation: str, here: Clause, before: str, ends: bool, acted: bool) -> bool:
    """Whether the word speaks of the clause it stands in: "is then drawn" does, "cuts it, then" does not.

    ends: whether the clause ends with it. acted: whether the clause has had an action.
    """
    if relation in ("perfect", "first"):
        return True
    if relation != "resume":
        return False
    return before in _AUXILIARIES or ends or not acted


def _inverted(marked: Sequence[Token], at: int) -> bool:
    """Whether a main clause begins here without a comma: "does the nurse", after "only when" or "not until"."""
    if at + 1 == len(marked) or marked[at + 1].word not in grammar()["articles"]:
        return False
    opener = at
    while opener and marked[opener - 1].word not in (".", ";"):
        opener -= 1
    return marked[opener].word in ("not", "only")


def _any(positions: Collection[int], start: int, end: int) -> bool:
    return any(at in positions for at in range(start, end))


_FOLLOWS = frozenset({"follow", "follows"})
_INVERTED = frozenset({"is", "are", "was", "were", "does", "do", "did", "can", "has", "have", "will"})
_AUXILIARIES = frozenset({"is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "and", "will"})


def _amended(here: Clause, relation: str) -> str:
    """The relation of a clause in which the word stands."""
    if relation == "perfect":
        if here.begins_sentence and not here.relation:
            return "perfect" if here.start else ""
        return "earlier" if here.relation in ("", "same") else here.relation
    if here.begins_sentence and relation == "first":
        return here.relation
    return relation if here.relation in ("", "link", "same") else here.relation


def _joined(first: str, second: str, word: str) -> str:
    """What two connectives in a row say: "and then" resumes, "having first" is earlier, "and after" links."""
    if "resume" in (first, second):
        return "resume"
    if first == "link" and (second == "first" or word == "only"):  # "but first clamps it", "but only once"
        return second
    return second if first in ("same", "") or (first, second) == ("link", "same") else first


def _relation(marked: Sequence[Token], at: int) -> tuple[str, int]:
    """What the connective that stands here says, and how many words it has; "" for none."""
    for phrase, relation in _connectives().get(marked[at].word, ()):
        if all(k < len(marked) and marked[k].word == word for k, word in enumerate(phrase, start=at)):
            return relation, len(phrase)
    return "", 1


@cache
def _connectives() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """First word -> (words, relation), longest first. Words as written: "having" is not "has"."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for relation, phrases in grammar()["connectives"].items():
        for phrase in phrases:
            words = tuple(phrase.split())
            found.setdefault(words[0], []).append((words, relation))
    return {first: sorted(rest, key=lambda entry: -len(entry[0])) for first, rest in found.items()}
