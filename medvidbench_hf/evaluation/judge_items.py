"""The captions of a file, one by one, for a judge or for people to rate."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf import tasks
from medvidbench_hf.evaluation.answered import read_answered
from medvidbench_hf.evaluation.judged import applies
from medvidbench_hf.judge import DIMENSIONS, Pair, Verdicts, read_pairs
from medvidbench_hf.sample import Segments
from medvidbench_hf.whole_file import write_text

LOOKED_AT = 65_536  # bytes, to tell a file of pairs from one of answers
_PAIR_FIELD = re.compile(r'"(?:reference|candidate)"\s*:')
_ANSWER_FIELD = re.compile(r'"(?:prediction|qa_type|answer)"\s*:')


class Item(NamedTuple):
    """A caption to judge: its name, what is known about it (source, task, ...), the pair."""

    item: str
    about: Mapping[str, Any]
    pair: Pair


def read_items(
    path: str | Path, data: str | Path | None = None, split: str | None = None
) -> tuple[list[Item], list[str]]:
    """The caption pairs of a file of pairs, or of a run's answers as the strict protocol pairs them; and what is to be
    told of the answers that make no pair.

    An answer's item is its row's index; events of a dense caption are index.0, index.1, ... Raises InputError.
    """
    path = Path(path)
    if holds_pairs(path):
        return [Item(name, {"task": pair.task}, pair) for name, pair in read_pairs(path)], []
    answered = read_answered(path, data, split)
    found: list[Item] = []
    empty = missed = extra = 0
    for sample in answered.samples:
        if not (sample.index in answered.texts and applies(sample)):
            continue
        text = answered.texts[sample.index]
        parsed = tasks.parse(sample, text if isinstance(text, str) else "")
        scored = tasks.score(sample, parsed)
        about = {
            "index": sample.index,
            "source": sample.source,
            "task": sample.task,
            "video_id": sample.video_id,
            "model": answered.model,
        }
        for k, pair in enumerate(scored.pairs):
            name = f"{sample.index}.{k}" if sample.task == "dense_captioning" else str(sample.index)
            found.append(Item(name, about, Pair(pair.reference, pair.candidate, sample.task, sample.question)))
        if isinstance(sample.truth, Segments):
            missed += len(sample.truth.segments) - len(scored.pairs)
            extra += len(parsed.value.segments if parsed.value else ()) - len(scored.pairs)
        else:
            empty += not scored.pairs
    parts = {"empty captions": empty, "true events without a prediction": missed, "predicted events too many": extra}
    told = ", ".join(f"{what}: {n:,}" for what, n in parts.items() if n)
    if not told:
        return found, []
    return found, [f"not judged, there is no pair ({told}); `medvidbench score --judge` counts each as 1"]


def holds_pairs(path: Path) -> bool:
    """Whether a file is one of caption pairs and not of answers, by its name or the fields it begins with."""
    if not path.is_file():
        return False
    if path.suffix.lower() == ".csv":
        return True  # answers are never CSV: what is wrong with its columns is for read_pairs to say
    with path.open("rb") as stream:
        head = stream.read(LOOKED_AT).decode("utf-8-sig", errors="replace").lstrip()
    if not head.startswith(("{", "[")):
        return {"reference", "candidate"} <= set(head.partition("\n")[0].strip().split(","))
    return bool(_PAIR_FIELD.search(head)) and not _ANSWER_FIELD.search(head)


def by_group(items: Sequence[Item], verdicts: Verdicts) -> list[dict[str, Any]]:
    """Mean of each dimension by source and task, the whole last; n judged and failed beside it."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for k, item in enumerate(items):
        groups[str(item.about.get("source") or ""), str(item.about.get("task") or "")].append(k)
    listed = sorted(groups.items())
    if len(listed) > 1:
        listed.append((("all", ""), list(range(len(items)))))
    return [_group(source, task, [verdicts.judgements[k] for k in places]) for (source, task), places in listed]


def _group(source: str, task: str, judgements: Sequence[Any]) -> dict[str, Any]:
    judged = [one for one in judgements if one is not None]
    means = {
        name: sum(one.scores[k] for one in judged) / len(judged) if judged else None
        for k, name in enumerate(DIMENSIONS)
    }
    mean = sum(one.mean for one in judged) / len(judged) if judged else None
    counts = {"n": len(judged), "failed": len(judgements) - len(judged)}
    return {"source": source, "task": task, **counts, "mean": mean, "dimensions": means}


def as_json(items: Sequence[Item], verdicts: Verdicts) -> list[dict[str, Any]]:
    """Each caption with its judgement, or with the reason why it has none."""
    failed = dict(verdicts.failures)
    found = []
    for k, (item, judgement) in enumerate(zip(items, verdicts.judgements, strict=True)):
        texts = {"reference": item.pair.reference, "candidate": item.pair.candidate}
        entry: dict[str, Any] = {"item": item.item, **item.about, **texts}
        if judgement is None:
            entry["failed"] = failed[k]
        else:
            entry |= {"mean": judgement.mean, **dict(zip(DIMENSIONS, judgement.scores, strict=True))}
            entry |= {"by": judgement.by, "reasons": dict(judgement.reasons), "evidence": dict(judgement.evidence)}
        found.append(entry)
    return found


def write_ratings(path: Path, items: Sequence[Item], verdicts: Verdicts) -> None:
    """A judge's scores as a CSV that `judge agreement` reads; a judgement that failed leaves its cells empty."""
    text = StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(("item", "rater", "kind", *DIMENSIONS))
    for item, judgement in zip(items, verdicts.judgements, strict=True):
        scores = judgement.scores if judgement else ("",) * len(DIMENSIONS)
        rows.writerow((item.item, verdicts.judge, "judge", *scores))
    write_text(path, text.getvalue())
