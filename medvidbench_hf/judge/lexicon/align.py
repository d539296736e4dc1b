"""Where a candidate keeps the wording of its reference, and what it puts in the gaps.

    reference   hook dissects [cystic duct] with care, then the clip is placed
    candidate   then the clip is placed, hook dissects [cystic artery] with care
    runs        hook dissects | with care | then the clip is placed               (wherever they stand)
    slot        cystic duct -> cystic artery                                      (between two runs in a row)

Runs are taken greedily, the longest first, wherever they stand, so that clauses may move. A slot is what differs
between two runs that follow each other in both texts: there the candidate says something else in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import NamedTuple

#: Two words in a row are kept wording; one alone may stand anywhere.
SHORTEST_RUN = 2
#: More words than these in a gap are a moved or another clause, no exchange.
LONGEST_GAP = 8
#: How many places of a word are tried: enough for captions, bounded for a text of repeats.
MOST_PLACES = 8
#: From this share of kept words on, the candidate is an edited reference. Faithful paraphrases by other people keep
#: 0.15 (at most 0.33 of the tune half), one exchanged concept leaves 0.95.
EDITED = 0.4

_EDGE = "\0"  # the edges of the texts frame what stands next to them


class Slot(NamedTuple):
    """Half-open ranges of positions; one of them may be empty."""

    start: int
    end: int
    candidate_start: int
    candidate_end: int


class Alignment(NamedTuple):
    slots: tuple[Slot, ...]
    runs: tuple[tuple[int, int, int], ...]  # (start in the reference, start in the candidate, words)
    kept: float  # share of the reference's words within runs
    edited: bool


def align(reference: Sequence[str], candidate: Sequence[str]) -> Alignment:
    """Of two sequences of stems."""
    left, right = (_EDGE, *reference, _EDGE * 2), (_EDGE, *candidate, _EDGE * 2)
    runs = _runs(left, right)
    slots = tuple(
        Slot(start + words - 1, next_start - 1, at + words - 1, next_at - 1)
        for (start, at, words), (next_start, next_at, _) in pairwise(runs)
        if at + words <= next_at <= at + words + LONGEST_GAP
        and start + words + LONGEST_GAP >= next_start
        and (start + words, at + words) != (next_start, next_at)
    )
    edges = sum((start == 0) + (start + words == len(left)) for start, _, words in runs)
    kept = (sum(words for _, _, words in runs) - edges) / max(1, len(reference))
    in_order = _in_order(reference, candidate) / max(1, len(reference), len(candidate))
    return Alignment(
        slots,
        tuple((start - 1, at - 1, words) for start, at, words in runs),
        kept,
        max(kept, in_order) >= EDITED,
    )


def _in_order(left: Sequence[str], right: Sequence[str]) -> int:
    """The length of the longest common subsequence, a bit for each word of the left text (Hyyro 2004)."""
    places: dict[str, int] = {}
    for k, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << k
    every = (1 << len(left)) - 1
    rest = every
    for word in right:
        hit = rest & places.get(word, 0)
        rest = ((rest + hit) | (rest - hit)) & every
    return len(left) - rest.bit_count()


def _runs(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int, int]]:
    """(start, start, words), the longest first taken, in the order of the left text; no word is in two runs."""
    places: dict[str, list[int]] = {}
    for at, word in enumerate(right):
        if len(found := places.setdefault(word, [])) < MOST_PLACES:
            found.append(at)
    heap = []
    ahead: dict[int, int] = {}  # place in the right text -> length of the run that starts there and at start + 1
    for start in range(len(left) - 1, -1, -1):
        here = {at: ahead.get(at + 1, 0) + 1 for at in places.get(left[start], ())}
        heap += [(-length, abs(start - at), start, at) for at, length in here.items()]
        ahead = here
    heapify(heap)
    left_used, right_used = [False] * len(left), [False] * len(right)
    runs = []
    while heap:
        shorter, _, start, at = heappop(heap)
        if left_used[start] or right_used[at]:
            continue
        length = 1
        while length < -shorter and not left_used[start + length] and not right_used[at + length]:
            length += 1
        if length < -shorter:  # another run has taken its end
            heappush(heap, (-length, abs(start - at), start, at))
            continue
        if length < SHORTEST_RUN and not left[start].startswith(_EDGE):
            continue
        left_used[start : start + length] = [True] * length
        right_used[at : at + length] = [True] * length
        runs.append((start, at, length))
    return sorted(runs)
