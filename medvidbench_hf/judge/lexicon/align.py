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
from typing import NamedTuple

#: Two words in a row are kept wording; one alone may stand anywhere.
SHORTEST_RUN = 2
#: Longer gaps are no exchange of one thing for another.
LONGEST_GAP = 8
#: So many words of kept wording around a slot (at most FRAME_SIDE counted on each side) make it a frame.
FRAME_SIDE, FRAME_WORDS = 4, 4

#: How many places of a word are tried: enough for captions, bounded for a text of repeats.
MOST_PLACES = 8

_EDGE = "\0"  # the edges of the texts frame what stands next to them


class Slot(NamedTuple):
    """Half-open ranges of positions; one of them may be empty. framed: kept wording stands on both sides."""

    start: int
    end: int
    candidate_start: int
    candidate_end: int
    framed: bool


class Alignment(NamedTuple):
    slots: tuple[Slot, ...]
    kept: float  # share of the reference's words within runs
    runs: tuple[tuple[int, int, int], ...]  # (start in the reference, start in the candidate, words)


def align(reference: Sequence[str], candidate: Sequence[str]) -> Alignment:
    """Of two sequences of stems."""
    left = (_EDGE, *reference, _EDGE + _EDGE)
    right = (_EDGE, *candidate, _EDGE + _EDGE)
    runs = _runs(left, right)
    slots = []
    for (start, at, length), (next_start, next_at, next_length) in zip(runs, runs[1:], strict=False):
        gap, other = next_start - (start + length), next_at - (at + length)
        if 0 <= other <= LONGEST_GAP and gap <= LONGEST_GAP and gap + other:
            frame = min(length, FRAME_SIDE) + min(next_length, FRAME_SIDE)
            slots.append(Slot(start + length - 1, next_start - 1, at + length - 1, next_at - 1, frame >= FRAME_WORDS))
    edges = sum((start == 0) + (start + length == len(left)) for start, _, length in runs)
    kept = (sum(length for _, _, length in runs) - edges) / max(1, len(reference))
    return Alignment(tuple(slots), kept, tuple((start - 1, at - 1, length) for start, at, length in runs))


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
