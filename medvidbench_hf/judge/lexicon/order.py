"""In which order of time a text tells its events: a rank for each word.

    "After the duct is clipped, it is cut."   "The duct is cut once it is clipped."   clipped 0, cut 1
    "Holding the liver up, the hook frees the duct."                                  one rank: at the same time

Clauses begin at punctuation and at the connectives of grammar.json, by what they say of the clause before them:

    later     "followed by", "whereupon": after it
    before    "before", "until": after it; at the start of a sentence, after the clause to come
    earlier   "after", "once", "having": before the sentence; at its start, before the clause to come
    resume    "then", "finally": after everything told so far
    first     "first": before everything in the sentence
    same      "while", "with": at the same time
    link      "and", ",": after it where the new clause has an action, else part of it
    perfect   "has been", "had": says of the clause it stands in that it is earlier
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


def clauses(marked: Sequence[Token], kept: Sequence[int], actions: Collection[int]) -> list[Clause]:
    """The clauses of a text. kept: which tokens are words of the reading; actions: which of those words are actions."""
    found = [Clause(0, "", True, False)]
    mark, before, opener_ends, skip = "", "", -1, 0
    position = {token: n for n, token in enumerate(kept)}
    for at, token in enumerate(marked):
        if not token.stem:
            mark = "." if token.word in ".;:!?" or mark == "." else ","
            continue
        if at not in position:  # an article: the next word opens the clause
            continue
        place = position[at]
        relation, length = _relation(marked, at) if skip <= at else ("", 1)
        if relation == "before" and any(other.word == "not" for other in marked[max(0, at - NOT_UNTIL_WORDS) : at]):
            relation = "earlier"  # "does not cut until it sees" tells of the seeing first
        here = found[-1]
        if relation and at == opener_ends and not mark:
            found[-1] = here._replace(relation=_joined(here.relation, relation))
        elif mark or (relation and not _amends(relation, here, before, place, actions)):
            start = Clause(place, relation, mark == ".", mark == ",")
            if place <= here.start:
                found[-1] = start._replace(begins_sentence=here.begins_sentence or mark == ".")
            else:
                found.append(start)
        elif relation:
            if (
                here.relation == "link"
                and relation != "perfect"
                and not any(a in actions for a in range(here.start, place))
            ):
                found.pop()  # "wipes the palate and tongue first": of the whole clause
                here = found[-1]
            found[-1] = here._replace(relation=_amended(here, relation))
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
    order: list[list[int]] = []  # clauses that share a rank, in order of time
    sentence = last = 0
    opening = ""  # how the sentence opened, while its main clause is still to come
    bounds = [*(clause.start for clause in found[1:]), n_words]
    acting = {k for k, clause in enumerate(found) if any(at in actions for at in range(clause.start, bounds[k]))}
    for k, clause in enumerate(found):
        acts = k in acting
        participle = clause.start in participles
        relation = clause.relation
        if relation == "perfect" and order:  # a sentence that tells what had been done before the last one
            order.insert(sentence, [k])
            last, opening = sentence, ""
        elif not order or clause.begins_sentence:
            order.append([k])
            sentence = last = len(order) - 1
            opening = relation if relation in ("before", "earlier") else ""
            if not opening and (participle or relation == "same" or not acts):
                opening = "same"
        elif opening and clause.after_comma and not relation and not participle:  # the main clause
            if opening == "before":
                order.insert(last, [k])
                sentence = last
            elif opening == "earlier":
                last += 1
                order.insert(last, [k])
            else:
                order[last].append(k)
            opening = ""
        elif relation == "resume":
            order.append([k])
            last = len(order) - 1
        elif relation in ("earlier", "first") and acts:
            order.insert(sentence, [k])
            last = sentence
        elif relation in ("before", "later") or (acts and not participle and relation in ("", "link")):
            last += 1
            order.insert(last, [k])
        else:
            order[last].append(k)
    rank = {clause: at for at, shared in enumerate(order) for clause in shared}
    time: list[int] = []
    for k, bound in enumerate(bounds):
        time += [rank[k]] * (bound - len(time))
    told = {rank[k] for k, clause in enumerate(found) if clause.relation in ("resume", "before", "later")}
    told |= {rank[k] + 1 for k in acting if found[k].relation in ("earlier", "first", "perfect")}
    return tuple(time), frozenset(told)


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


def _amends(relation: str, here: Clause, before: str, place: int, actions: Collection[int]) -> bool:
    """Whether the word speaks of the clause it stands in: "is then drawn" does, "cuts it, then" does not."""
    if relation in ("perfect", "first"):
        return True
    if relation != "resume":
        return False
    return before in _AUXILIARIES or not any(at in actions for at in range(here.start, place))


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


def _joined(first: str, second: str) -> str:
    """What two connectives in a row say: "and then" resumes, "having first" is earlier, "and after" links."""
    if "resume" in (first, second):
        return "resume"
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
