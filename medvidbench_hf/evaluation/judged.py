"""What a judge is asked about the captions of a run, and what its scores make of the rows.

leaderboard   the board's pairs and its averages (medvidbench_hf.leaderboard.captions)
strict        every row counts, 1 to 5: an empty caption is 1; in dense_captioning a true event that no prediction was
              matched to (IoU >= 0.3) is 1, and so is a predicted event without a true one; a row of which a judgement
              failed has no value and is counted as skipped

The offline lexicon judge has columns of its own, under strict alone; it never fills a column of an LLM's scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from medvidbench_hf import tasks
from medvidbench_hf.judge import Pair, Verdicts
from medvidbench_hf.leaderboard import captions
from medvidbench_hf.leaderboard.captions import Judged
from medvidbench_hf.leaderboard.records import Record, TaskLost
from medvidbench_hf.leaderboard.score import tasks_of
from medvidbench_hf.sample import Sample, Segments, Text
from medvidbench_hf.tasks import Parsed, Score

#: column -> (task, measure): the lexicon judge's, beside the ten
LEXICON_COLUMNS = {
    "DVC_lexicon": ("dense_captioning", "lexicon"),
    "VS_lexicon": ("video_summary", "lexicon"),
    "RC_lexicon": ("region_caption", "lexicon"),
}
MINIMUM = 1.0


class Judge(Protocol):
    """`judge.LLMJudge`, or `judge.LexiconJudge`."""

    @property
    def name(self) -> str: ...

    def judge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts: ...


def measure_of(judge: Judge) -> str:
    """The measure that a judge's scores go into: "llm" or "lexicon"."""
    return "lexicon" if judge.name == "lexicon" else "llm"


def strict_pairs(samples: Iterable[Sample], texts: Mapping[int, Any]) -> list[Pair]:
    """The distinct pairs of the strict protocol."""
    found: list[Pair] = []
    for sample in samples:
        if sample.task in captions.COLUMNS:
            text = texts.get(sample.index, "")
            scored = tasks.score(sample, tasks.parse(sample, text if isinstance(text, str) else ""))
            found += [Pair(p.reference, p.candidate, sample.task, sample.question) for p in scored.pairs]
    return list(dict.fromkeys(found))


def board_pairs(records: Iterable[Record]) -> list[Pair]:
    """The distinct pairs of the board; none of a task that a record loses."""
    by_task: dict[str, list[Record]] = {task: [] for task in captions.COLUMNS}
    for record in records:
        for task in tasks_of(record):
            if task in by_task:
                by_task[task].append(record)
    found: list[Pair] = []
    for task, of_task in by_task.items():
        for record in of_task:
            with suppress(TaskLost):  # the column is 0.0, and the pairs of the other records are still looked up
                question = str(record.get("question") or "")
                found += [Pair(*pair, task, question) for pair in captions.to_judge(task, [record])]
    return list(dict.fromkeys(found))


def looked_up(verdicts: Verdicts, pairs: Sequence[Pair]) -> dict[tuple[str, str], Sequence[float] | None]:
    """(reference, candidate) -> five scores, or None where the judgement failed."""
    return {
        (pair.reference, pair.candidate): None if judgement is None else judgement.scores
        for pair, judgement in zip(pairs, verdicts.judgements, strict=True)
    }


def applies(sample: Sample) -> bool:
    """Whether a judge has something to compare an answer with."""
    match sample.truth:
        case Segments(segments):
            return bool(segments)
        case Text(text):
            return bool(text.strip())
    return False


def row_value(sample: Sample, parsed: Parsed, scored: Score, judged: Judged) -> float | None:
    """A caption row's strict value, 1..5; None where one of its judgements failed."""
    values = []
    for pair in scored.pairs:
        scores = judged[pair.reference, pair.candidate]
        if scores is None:
            return None
        values.append(sum(scores) / len(scores))
    if isinstance(sample.truth, Segments):
        predicted = parsed.value.segments if parsed.value else ()
        unmatched = len(sample.truth.segments) + len(predicted) - 2 * len(values)
        values += [MINIMUM] * unmatched
    return sum(values) / len(values) if values else MINIMUM


def summary(verdicts: Verdicts, pairs: Sequence[Pair]) -> dict[str, Any]:
    """What a report says of its judge."""
    failed = [
        {"task": pairs[k].task, "candidate": pairs[k].candidate[:200], "reason": reason}
        for k, reason in verdicts.failures
    ]
    return {
        "name": verdicts.judge,
        "rubric": verdicts.rubric,
        "pairs": len(pairs),
        "calls": verdicts.calls,
        "cached": verdicts.cached,
        "guarded": verdicts.guarded,
        "cut": verdicts.cut,
        "failed": failed,
        "usage": asdict(verdicts.usage),
        "usd": verdicts.usd,
    }
