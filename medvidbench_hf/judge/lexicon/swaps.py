"""Concepts that stand in the place of others, are lost, or are added.

Two rules, by how much wording the candidate keeps. In an edited reference each slot (see align.py) says what was put in
place of what. In rewritten wording a concept without a counterpart and a new one of its kind may be a swap, or two
names of one thing of which the lexicon knows one: the less of the reference is found again, the surer it is a swap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from medvidbench_hf.judge.lexicon.align import Alignment, Slot
from medvidbench_hf.judge.lexicon.coverage import coverage, support
from medvidbench_hf.judge.lexicon.findings import Finding
from medvidbench_hf.judge.lexicon.match import (
    STATES,
    SWAPS,
    Match,
    exact,
    loss,
    of_one_group,
    says,
    swap,
    text,
    undone,
)
from medvidbench_hf.judge.lexicon.read import Mention, Reading
from medvidbench_hf.judge.lexicon.words import grammar

# How sure a swap in kept wording is.
CERTAIN = 1.0
OF_ONE_GROUP = 0.85  # "holds" for "grasps"
PART = 0.5  # a part of the reference's structure, or what it is a part of
UNREAD = 0.8  # for words that are not read
#: How sure one elsewhere is at most, where nothing of the reference is found again. It falls with the square.
ELSEWHERE = 0.2
#: The same where the new concept is an exact one (see match.exact); it falls only in proportion.
EXACT_ELSEWHERE = 0.35
#: How much of an extra an object is that is named in wider or everyday words: it may be one of the reference's.
LOOSE = 0.3


def swaps(reference: Reading, candidate: Reading, matched: Match, alignment: Alignment) -> list[Finding]:
    found: list[Finding] = []
    settled: set[int] = set()  # mentions of the reference that a slot has dealt with
    claimed: set[int] = set()  # mentions of the candidate likewise
    if alignment.edited:
        moved = {at for _, start, words in alignment.runs for at in range(start, start + words)}
        for slot in alignment.slots:
            found += _in_slot(reference, candidate, matched, slot, moved, settled, claimed)
    again = support(reference, candidate, matched, settled)
    elsewhere, alone, new = _elsewhere(reference, candidate, matched, again, settled, claimed)
    found += elsewhere + coverage(reference, candidate, matched, again, alone, new)
    return found


def _in_slot(
    reference: Reading,
    candidate: Reading,
    matched: Match,
    slot: Slot,
    moved: Collection[int],
    settled: set[int],
    claimed: set[int],
) -> list[Finding]:
    """What a slot puts in place of what. moved: positions of the candidate that are kept wording from elsewhere."""
    place = range(slot.candidate_start, slot.candidate_end)
    ours = [
        k
        for k, mention in enumerate(reference.mentions)
        if mention.start < slot.end and mention.end > slot.start and not matched.kept(mention)
    ]
    theirs = [
        j
        for j, mention in enumerate(candidate.mentions)
        if mention.start < place.stop and mention.end > place.start and not _within(moved, mention)
    ]
    found = []
    for agree in (True, False):  # what agrees is no part of the exchange
        for k in [k for k in ours if k not in settled]:
            mention = reference.mentions[k]
            for j in theirs:
                other = candidate.mentions[j]
                kind = swap(mention, other)
                if not (_agrees(mention, other) if agree else kind):
                    continue
                if not agree and kind:
                    sure = OF_ONE_GROUP if of_one_group(mention, other) else CERTAIN
                    if says(mention, other) or says(other, mention):
                        sure, kind = (PART, kind) if kind == "swapped anatomy" else (CERTAIN, "wider")
                    found.append(Finding(kind, sure, text(reference, mention), text(candidate, other)))
                theirs.remove(j)
                settled.add(k)
                claimed.add(j)
                break
    unread = _unread(reference, candidate, slot, [k for k in ours if k not in settled], theirs)
    if unread:
        settled.update(ours)
        claimed.update(theirs)
    added = sorted(matched.new.intersection(theirs) - claimed)
    claimed.update(added)
    return found + unread + _added(candidate, added, "added") + _numbers(reference, candidate, slot)


def _unread(
    reference: Reading, candidate: Reading, slot: Slot, ours: Collection[int], theirs: Sequence[int]
) -> list[Finding]:
    """Words exchanged of which the lexicon cannot read the one or the other side."""
    place = range(slot.candidate_start, slot.candidate_end)
    known, told = set(reference.stems), set(candidate.stems)
    claimed = {at for mention in candidate.mentions for at in range(mention.start, mention.end)}
    says_much = (candidate.content - claimed).union(side.at for side in candidate.sides)
    strange = [at for at in place if at in says_much and candidate.stems[at] not in known]
    lost = [(loss(reference.mentions[k]), text(reference, reference.mentions[k])) for k in ours]
    guess = (
        loss(candidate.mentions[theirs[0]]) if theirs else "swapped action"
    )  # most words that are not read are verbs
    lost += [
        (guess, reference.words[at])
        for at in reference.unread
        if slot.start <= at < slot.end and reference.stems[at] not in told
    ]
    said = " ".join(candidate.words[at] for at in place)
    return [Finding(kind, UNREAD, words, said) for kind, words in lost if kind][: len(strange) + len(theirs)]


def _added(candidate: Reading, mentions: Iterable[int], kind: str) -> list[Finding]:
    named = (candidate.mentions[j] for j in mentions)
    return [
        Finding(kind, CERTAIN if kind == "added" or exact(mention) else LOOSE, "", text(candidate, mention))
        for mention in named
        if mention.families & {"thing", "anatomy"}
    ]


def _numbers(reference: Reading, candidate: Reading, slot: Slot) -> list[Finding]:
    ours, theirs = (
        " ".join(word for word in words if word[0].isdigit() or word in grammar()["numbers"])
        for words in (
            reference.words[slot.start : slot.end],
            candidate.words[slot.candidate_start : slot.candidate_end],
        )
    )
    return [Finding("number", CERTAIN, ours, theirs)] if ours and theirs and ours != theirs else []


def _agrees(mention: Mention, other: Mention) -> bool:
    """Whether the other one says the same, or a thing or action more exactly. A part of a structure is another site."""
    return bool(set(mention.concepts) & set(other.concepts)) or (
        says(mention, other) and "anatomy" not in mention.families
    )


def _of_one_kind(mention: Mention, other: Mention) -> bool:
    """Whether both are instruments, or structures, and so on, without another sense; parts are parts of anything."""
    files = {concept.split("/")[0] for concept in (*mention.concepts, *other.concepts)}
    return len(files) == 1 and files != {"part"}


def _within(places: Collection[int], mention: Mention) -> bool:
    return all(at in places for at in range(mention.start, mention.end))


def _elsewhere(
    reference: Reading,
    candidate: Reading,
    matched: Match,
    again: float,
    settled: Collection[int],
    claimed: Collection[int],
) -> tuple[list[Finding], list[int], list[int]]:
    """Swaps and extras by what has no counterpart anywhere; then what the reference and the candidate have alone."""
    found: list[Finding] = []
    alone: list[int] = []
    new = sorted(matched.new.difference(claimed))
    for k, mention in enumerate(reference.mentions):
        if k in settled or k in matched.same or not mention.families & SWAPS.keys():
            continue
        if k in matched.wider:
            if not mention.families & STATES:  # verbs are worded too freely for that
                other = candidate.mentions[matched.wider[k]]
                found.append(Finding("wider", CERTAIN, text(reference, mention), text(candidate, other)))
            continue
        for j in new:
            other = candidate.mentions[j]
            kind = swap(mention, other) if _of_one_kind(mention, other) else None
            if kind is None or (kind == "swapped action" and not undone(mention, other)):
                continue
            if not set(reference.stems[mention.start : mention.end]) & set(candidate.stems[other.start : other.end]):
                sure = EXACT_ELSEWHERE * (1.0 - again) if exact(other) else ELSEWHERE * (1.0 - again) ** 2
                found.append(Finding(kind, sure, text(reference, mention), text(candidate, other)))
                new.remove(j)
                break  # "flap" beside "skin flap" is none
        else:
            alone.append(k)
    found += _added(candidate, new, "extra")
    return found, alone, new
