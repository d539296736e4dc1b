"""Which mentions of two readings say the same."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from medvidbench_hf.judge.lexicon.read import Mention, Reading
from medvidbench_hf.judge.lexicon.vocabulary import lexicon

#: Family -> the finding when one of its concepts stands for another. Mentions of other families are not compared:
#: "the nurse" and "someone" do the same.
SWAPS = {
    "thing": "swapped thing",
    "anatomy": "swapped anatomy",
    "part": "swapped anatomy",
    "action": "swapped action",
    "finding": "swapped action",
    "procedure": "swapped procedure",
}
STATES = frozenset({"action", "finding"})


class Match(NamedTuple):
    same: dict[int, int]  # mention of the reference -> one of the candidate that says it, or more exactly
    wider: dict[int, int]  # -> one that says it less exactly: a wider concept, or an action of its group
    new: frozenset[int]  # mentions of the candidate that are like nothing in the reference
    surplus: Counter[str]  # concept -> how much more often the candidate names it

    def kept(self, mention: Mention) -> bool:
        """Whether the candidate names the mention's concept as often as the reference, wherever."""
        return all(self.surplus[concept] >= 0 for concept in mention.concepts)


def match(reference: Reading, candidate: Reading) -> Match:
    wider = lexicon().wider
    named: dict[str, int] = {}
    within: dict[str, int] = {}  # concept -> the first mention of it or of a narrower one
    for k, mention in enumerate(candidate.mentions):
        for concept in mention.concepts:
            named.setdefault(concept, k)
            for above in wider[concept]:
                within.setdefault(above, k)
    found: dict[int, int] = {}
    loosely: dict[int, int] = {}
    for k, mention in enumerate(reference.mentions):
        exact = [within[concept] for concept in mention.concepts if concept in within]
        if exact:
            found[k] = exact[0]
            continue
        loose = [named[up] for concept in mention.concepts for up in wider[concept] if up in named]
        loose += [
            within[up]
            for concept in mention.concepts
            if concept.startswith("action/")  # "holds" beside "grasps"
            for up in wider[concept]
            if up in within
        ]
        if loose:
            loosely[k] = min(loose)
    said = {concept for mention in reference.mentions for concept in mention.concepts}
    covered = said.union(*(wider[concept] for concept in said))
    new = frozenset(
        k
        for k, mention in enumerate(candidate.mentions)
        if mention.families & SWAPS.keys()
        and not any(concept in covered or wider[concept] & said for concept in mention.concepts)
    )
    surplus = Counter(concept for mention in candidate.mentions for concept in mention.concepts)
    surplus.subtract(concept for mention in reference.mentions for concept in mention.concepts)
    return Match(found, loosely, new, surplus)


def says(one: Mention, other: Mention) -> bool:
    """Whether the other mention says what the one says, or more exactly: "a Maryland" says "a dissector"."""
    wider = lexicon().wider
    return any(a in wider[b] for a in one.concepts for b in other.concepts)


def exact(one: Mention) -> bool:
    """Whether it names an object or structure of a kind ("a Maryland", "the cystic duct"), in a clinician's words."""
    wider = lexicon().wider
    return (
        bool(one.families & {"thing", "anatomy"})
        and not one.lay
        and all(len(wider[concept]) > 1 for concept in one.concepts)
    )


def of_one_group(one: Mention, other: Mention) -> bool:
    """Whether both are actions of one group, such as "hold" and "grasp"."""
    wider = lexicon().wider
    return any(wider[a] & wider[b] for a in one.concepts for b in other.concepts if a.startswith("action/"))


def undone(one: Mention, other: Mention) -> bool:
    """Whether one action undoes the other."""
    opposite = lexicon().opposite
    return any(b in opposite.get(a, ()) for a in one.concepts for b in other.concepts)


def swap(one: Mention, other: Mention) -> str | None:
    """The finding when one stands for the other; None where they are of different families."""
    shared = one.families & other.families
    found = next((kind for family, kind in SWAPS.items() if family in shared), None)
    if found is None and one.families & STATES and other.families & STATES:
        return "swapped action"
    return found


def loss(one: Mention) -> str | None:
    """The finding when words that are not read stand for the mention."""
    return next((kind for family, kind in SWAPS.items() if family in one.families), None)


def text(reading: Reading, mention: Mention) -> str:
    return " ".join(reading.words[mention.start : mention.end])
