"""Raw rewards: what an answer earns before normalisation, 0..1, from the one scorer.

tal, stg     score times a format term (the paper's "multiplicative composite"; its exact form is not public, this is
             our reading): 1 where the answer stands in the release's format, REPAIRED where it had to be repaired to
             be read (reasoning before it and answer tags around it are no repair), 0 where it could not be read
captions     nothing here: their raw rewards are a similarity and a judge's score (captions.py)
all others   the score alone; the paper does not train on them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from medvidbench_hf import tasks
from medvidbench_hf.judge import Judgement
from medvidbench_hf.sample import InputError, Sample
from medvidbench_hf.tasks import CaptionPair

REPAIRED = 0.5
WITH_FORMAT = ("tal", "stg")
_NO_REPAIR = frozenset(("reasoning removed", "answer tags removed"))
CAPTIONS = ("video_summary", "region_caption")

_NEEDED = ("task", "source", "fps", "canvas")
_TRUTHS = ("truth", "answer", "solution")  # any one of them
#: what `sample_of` reads of a row
COLUMNS = ("index", "split", *_NEEDED, "options", *_TRUTHS)
_UNUSED = {  # by any score
    "id": "-",
    "variant": "",
    "domain": "open",
    "video_id": "-",
    "question": "-",
    "region": None,
    "request_times_s": (),
    "frame_times_s": (0.0,),
    "time_rule": "-",
    "clip_start_s": 0.0,
    "clip_end_s": 0.0,
    "licence": "-",
    "extra": "{}",
    "video": None,
    "answer_extra": None,
}


def raw_reward(sample: Sample, text: str) -> float | None:
    """The raw reward of an answer, 0..1; None for a caption that is not empty, and for a row without truth."""
    parsed = tasks.parse(sample, text)
    value = tasks.score(sample, parsed).value
    if value is None or sample.task not in WITH_FORMAT or _NO_REPAIR.issuperset(parsed.issues):
        return value
    return value * REPAIRED


def caption_pair(sample: Sample, text: str) -> CaptionPair | None:
    """What a judge is to compare; None where the answer is empty. Raises InputError for a row without reference."""
    scored = tasks.score(sample, tasks.parse(sample, text))
    if scored.value is None and not scored.pairs:
        raise InputError(
            f"{sample.split}[{sample.index}] field truth.text: empty; a caption without a reference cannot be "
            "rewarded: leave the row out"
        )
    return scored.pairs[0] if scored.pairs else None


def of_judgement(judgement: Judgement | None) -> float | None:
    """A judge's mean of 1..5 as a raw reward, 0..1; None where it failed."""
    return None if judgement is None else (judgement.mean - 1.0) / 4.0


def plain(value: Any) -> Any:
    """The value with lists for NumPy arrays and Python numbers for NumPy's, as deep as it goes."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def sample_of(row: Mapping[str, Any]) -> Sample:
    """What scoring needs of a row: of `load_dataset`, or of `data export`, whose truth is the reference text.

    Columns: task, source, fps, canvas; `truth`, or the reference text as `answer` or `solution`; options of
    next_action. All others may be left out. NumPy arrays are as good as lists. Raises InputError that names the row and
    the missing column.
    """
    row = {name: plain(row.get(name)) for name in COLUMNS}
    where = f"{row['split'] or 'row'}[{'?' if row['index'] is None else row['index']}]"
    missing = [name for name in _NEEDED if row.get(name) is None]
    given = next((name for name in _TRUTHS if row.get(name) is not None), None)
    if missing or given is None:
        raise InputError(f"{where} has no {', '.join(missing) or ' or '.join(_TRUTHS)}: the reward needs this column")
    canvas, answer = row["canvas"], row[given]
    if isinstance(canvas, list | tuple) and len(canvas) == 2:
        canvas = {"width": canvas[0], "height": canvas[1]}
    sample = Sample.from_row(
        {
            **_UNUSED,
            "index": row.get("index") or 0,
            "split": row.get("split") or "train",
            "task": row["task"],
            "source": row["source"],
            "fps": row["fps"],
            "canvas": canvas,
            "options": row.get("options") or (),
            "answer": None,
            "truth": row.get("truth"),
        }
    )
    if sample.truth is not None:
        return sample
    if not isinstance(answer, str):
        raise InputError(f"{where} field {given}: {type(answer).__name__}, expected text")
    truth = tasks.parse(sample, answer).value
    if truth is None:
        raise InputError(f"{where} field {given}: {answer[:80]!a} is no {sample.task} answer")
    return replace(sample, truth=truth)
