"""DVC_llm, VS_llm and RC_llm from judge scores that are given: how the board pairs and averages.

A judgement is five integers in the order of ASPECTS, or None where the judge failed. The board asks gpt-4.1 with a
rubric of its own; whoever calls this says where the scores come from.

VS, RC   the whole answer against the whole gnd; a pair with an empty side, or whose judgement failed, is left out.
         Mean of the five aspect means over all judged records.
DVC      pairs of events, judged again at each IoU threshold they pass (dense_captioning.judged_pairs). Unmatched
         events and answers that cannot be read cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medvidbench_hf.leaderboard import dense_captioning
from medvidbench_hf.leaderboard.pooling import Row
from medvidbench_hf.leaderboard.records import Record

ASPECTS = ("R2", "R3", "R8", "R5", "R4")
COLUMNS = {"dense_captioning": "DVC_llm", "video_summary": "VS_llm", "region_caption": "RC_llm"}

#: (reference, candidate) -> five integers, or None for a judgement that failed
Judged = Mapping[tuple[str, str], Sequence[float] | None]


def pairs(task: str, record: Record) -> list[tuple[str, tuple[str, str]]]:
    """(threshold or "", (reference, candidate)) as the board would have them judged. Raises TaskLost."""
    if task == "dense_captioning":
        by_threshold = dense_captioning.judged_pairs(record)
        return [(str(threshold), pair) for threshold, found in by_threshold.items() for pair in found]
    reference, candidate = record.get("gnd"), record.get("answer")
    if not (isinstance(reference, str) and isinstance(candidate, str) and reference.strip() and candidate.strip()):
        return []
    return [("", (reference, candidate))]


def score(task: str, record: Record, judged: Judged) -> Row:
    """Raises TaskLost, and KeyError for a pair that `judged` does not have."""
    column = COLUMNS[task]
    found = pairs(task, record)
    sums: dict[str, tuple[float, int]] = {}
    if task == "dense_captioning":  # every threshold and aspect has its place, so that they can be averaged apart
        sums = {f"{threshold} {aspect}": (0.0, 0) for threshold in dense_captioning.THRESHOLDS for aspect in range(5)}
    failed = 0
    for threshold, pair in found:
        scores = judged[pair]
        if scores is None:
            failed += 1
            continue
        for aspect, value in enumerate(scores):
            key = f"{threshold} {aspect}"
            total, n = sums.get(key, (0.0, 0))
            sums[key] = total + value, n + 1
    flags = ("llm-failed",) if failed else ()
    return Row({column: sums}, bool(found), flags=flags)


def unjudged(task: str, record: Record) -> Row:
    """A record that no judge has seen."""
    return Row({}, bool(pairs(task, record)))


def to_judge(task: str, records: Iterable[Record]) -> list[tuple[str, str]]:
    """The distinct pairs of all records, so that each is judged once. Raises TaskLost."""
    return list(dict.fromkeys(pair for record in records for _, pair in pairs(task, record)))
