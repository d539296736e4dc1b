"""Two readings -> five scores and what they rest on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from medvidbench_hf.judge.lexicon import order
from medvidbench_hf.judge.lexicon.align import Alignment, align
from medvidbench_hf.judge.lexicon.findings import Finding, scores
from medvidbench_hf.judge.lexicon.match import SWAPS, match, text
from medvidbench_hf.judge.lexicon.prose import FEWEST_WORDS
from medvidbench_hf.judge.lexicon.read import Reading
from medvidbench_hf.judge.lexicon.swaps import swaps
from medvidbench_hf.judge.lexicon.words import grammar

CERTAIN = 1.0
#: How sure negation and order are in rewritten wording, where scope and clauses are guessed twice.
REWRITTEN = 0.3
#: More negations than in the reference, but none on content that both have: in kept wording, and in rewritten.
UNPLACED, UNPLACED_REWRITTEN = 0.7, 0.06
#: The other pole of an axis, not in the same place.
OTHER_POLE = 0.3
#: One pair of events in reversed order, and each further one.
ONE_TURNED, MORE_TURNED = 0.6, 0.2
IMPLIED = 0.3
#: Each turn of phrase ("after", "before", "having") beyond the reference's is a chance to misread the order.
PER_TURN = 0.75

#: What a list, impossible pairs of words, and repeats cost.
PROSE = {"listed": 0.9, "broken": 1.0, "repeated": 1.0}
#: The words are the reference's, their order is not: neither of a paraphrase nor of moved clauses.
SCRAMBLED_SHARED, SCRAMBLED_KEPT = 0.8, 0.4


def compare(reference: Reading, candidate: Reading) -> tuple[tuple[float, ...], dict[str, Any]]:
    """Scores 1..5 in the order of DIMENSIONS, and their evidence as JSON values."""
    matched = match(reference, candidate)
    found: list[Finding] = []
    if reference.stems != candidate.stems:
        alignment = align(reference.stems, candidate.stems)
        found += swaps(reference, candidate, matched, alignment)
        found += _negated(reference, candidate, alignment.edited)
        found += _sides(reference, candidate, alignment)
        found += _order(reference, candidate, alignment)
        found += _incoherent(reference, candidate, alignment)
        known = {text(reference, mention) for mention in reference.mentions}
        found += [
            Finding("lay", CERTAIN, "", text(candidate, mention))
            for mention in candidate.mentions
            if mention.lay and text(candidate, mention) not in known
        ]
    evidence = {
        "matched": [text(reference, reference.mentions[k]) for k in sorted(matched.same)],
        "findings": [finding._replace(sure=round(finding.sure, 3))._asdict() for finding in found],
        "unread": [candidate.words[at] for at in candidate.unread],
    }
    return scores(found), evidence


def _negated(reference: Reading, candidate: Reading, edited: bool) -> list[Finding]:
    """Content that one text denies and the other does not."""
    ours, theirs = _polarity(reference), _polarity(candidate)
    flipped = [key for key, denied in ours.items() if theirs.get(key, denied) != denied]
    if flipped:
        words = ", ".join(dict.fromkeys(key.split("/")[-1] for key in flipped))
        denied = ours[flipped[0]]
        sure = CERTAIN if edited else REWRITTEN
        return [Finding("negated", sure, *(("not " + words, words) if denied else (words, "not " + words)))]
    if len(reference.negators) < len(candidate.negators):
        return [Finding("negated", UNPLACED if edited else UNPLACED_REWRITTEN)]
    return []


def _polarity(reading: Reading) -> dict[str, bool]:
    """Content stem or concept -> whether it is denied; only what the text says one way."""
    found: dict[str, set[bool]] = {}
    absent = {at for mention in reading.mentions if mention.absent for at in range(mention.start, mention.end)}
    for at in sorted(reading.content - absent):
        found.setdefault(reading.stems[at], set()).add(reading.denied[at])
    for mention in reading.mentions:
        for concept in mention.concepts:
            found.setdefault(concept, set()).add(reading.denied[mention.start] != mention.absent)
    return {key: polarity.pop() for key, polarity in found.items() if len(polarity) == 1}


def _sides(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    """Poles exchanged in place, or for the other pole throughout."""
    found = []
    slots = {at: slot for slot in alignment.slots for at in range(slot.start, slot.end)} if alignment.edited else {}
    ours = {(side.axis, side.pole) for side in reference.sides}
    theirs = {(side.axis, side.pole) for side in candidate.sides}
    for side in reference.sides:
        if slot := slots.get(side.at):
            place = range(slot.candidate_start, slot.candidate_end)
            turned = [o for o in candidate.sides if o.at in place and o.axis == side.axis and o.pole != side.pole]
            sure = CERTAIN
        elif (side.axis, side.pole) in theirs or side.axis in grammar()["loose_directions"]:
            continue
        else:
            turned = [o for o in candidate.sides if o.axis == side.axis and (o.axis, o.pole) not in ours]
            sure = OTHER_POLE
        found += [Finding("side", sure, side.pole, other.pole) for other in turned[:1]]
    return found


def _order(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    """Pairs of events that the candidate tells the other way round in time, or "before" and "after" changed over.

    One of the texts must set the two apart by a connective: "cuts and ties" may be told as "ties and cuts". What is no
    event counts only where both texts do: "wipes the palate first, then the tongue".
    """
    ours, theirs = _times(reference), _times(candidate)
    common = [(*ours[key], *theirs[key], key) for key in ours if key in theirs]
    turned, implied = [], []
    for k, (first, acts, at, _, key) in enumerate(common):
        for second, also, other, _, key_2 in common[k + 1 :]:
            if (first - second) * (at - other) < 0:
                told = _told(reference, first, second) + _told(candidate, at, other)
                if told >= (1 if acts and also else 2):
                    turned.append((key, key_2) if first < second else (key_2, key))
                elif acts and also and alignment.edited:
                    implied.append((key, key_2) if first < second else (key_2, key))
    if not turned and not implied:
        return _changed_over(reference, candidate, alignment)
    one, two = (key.split("/")[-1] for key in (turned or implied)[0])
    sure = PER_TURN ** max(0, order.turns(candidate.words) - order.turns(reference.words))
    if turned:
        sure *= min(CERTAIN, ONE_TURNED + MORE_TURNED * (len(turned) - 1))
        sure *= CERTAIN if alignment.edited else REWRITTEN
    else:
        sure *= IMPLIED
    return [Finding("order", sure, f"{one}, then {two}", f"{two}, then {one}")]


def _changed_over(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    for slot in alignment.slots if alignment.edited else ():
        ours = reference.words[slot.start : slot.end]
        theirs = candidate.words[slot.candidate_start : slot.candidate_end]
        if order.direction(ours) * order.direction(theirs) < 0:
            return [Finding("order", ONE_TURNED, " ".join(ours), " ".join(theirs))]
    return []


def _told(reading: Reading, first: int, second: int) -> bool:
    """Whether a connective stands between two ranks."""
    return any(rank in reading.told for rank in range(min(first, second) + 1, max(first, second) + 1))


def _times(reading: Reading) -> dict[str, tuple[int, bool]]:
    """Concept or stem -> (rank in time, whether it is an event); only what has one time and is not denied.

    Besides events: anatomy, and the concepts of clauses that have no event of their own.
    """
    busy = {reading.time[at] for at in reading.events}
    keys = {
        mention.start: mention.concepts[0]
        for mention in reading.mentions
        if mention.start in reading.events
        or "anatomy" in mention.families
        or (mention.families & SWAPS.keys() and reading.time[mention.start] not in busy)
    }
    found: dict[str, tuple[int, bool]] = {}
    unclear = set()
    framing = grammar()["framing"]
    for at in sorted(reading.events | keys.keys()):
        if reading.words[at] in framing:  # "the clip shows": tells of the telling
            continue
        key, said = keys.get(at, reading.stems[at]), (reading.time[at], at in reading.events)
        if reading.denied[at] or found.setdefault(key, said)[0] != said[0]:
            unclear.add(key)
    return {key: said for key, said in found.items() if key not in unclear}


def _incoherent(reference: Reading, candidate: Reading, alignment: Alignment) -> list[Finding]:
    wrong = candidate.prose.beyond(reference.prose)
    found = [Finding("incoherent", PROSE[name] * sure, "", name) for name, sure in wrong.items()]
    n, in_runs = len(candidate.stems), alignment.kept * len(reference.stems)
    if n < FEWEST_WORDS or in_runs >= SCRAMBLED_KEPT * n:
        return found
    if (Counter(reference.stems) & Counter(candidate.stems)).total() >= SCRAMBLED_SHARED * n:
        found.append(Finding("incoherent", CERTAIN, "", "the reference's words scrambled"))
    return found
