"""Score predictions under the `strict` protocol: every row counts, what cannot be read is wrong.

The report:

    protocol    "strict"
    metrics     the ten columns; null where no row of the task was answered, or no judge was asked
    ci          95 % intervals of the columns, by bootstrap over videos (questions of one video are not independent)
    n           per column: rows, answered, parsed, skipped (no truth, or not judged), truncated
    by_source   columns within each source          by_task   every measure of each task, and what stands beside it
    baseline    the ten columns of `prior`, fitted on the train split and scored on the same rows
    per_sample  one entry a row
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medvidbench_hf import tasks
from medvidbench_hf.builder import read_samples, split_names
from medvidbench_hf.evaluation.run import data_name, read_run, select
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.predictions import FILE_NAME, Prediction, read_predictions
from medvidbench_hf.sample import InputError, Sample, Scores
from medvidbench_hf.tasks import form, next_action

#: column -> (task, measure), in the board's order
COLUMNS = {
    "CVS_acc": ("cvs_assessment", "accuracy"),
    "NAP_acc": ("next_action", "accuracy"),
    "SA_acc": ("skill_assessment", "accuracy"),
    "STG_mIoU": ("stg", "miou"),
    "TAG_mIoU@0.3": ("tal", "miou@0.3"),
    "TAG_mIoU@0.5": ("tal", "miou@0.5"),
    "DVC_F1": ("dense_captioning", "f1"),
    "DVC_llm": ("dense_captioning", "llm"),
    "VS_llm": ("video_summary", "llm"),
    "RC_llm": ("region_caption", "llm"),
}
RESAMPLES = 1000

Report = dict[str, Any]


def score_run(
    run: str | Path, data: str | Path | None = None, split: str | None = None, baseline: bool = True
) -> Report:
    """Score a run's folder, or a predictions.jsonl with `data` given, against the rows that were asked.

    A run's own record says which split, tasks and limit. A lone file carries none of that: it is taken to answer
    `split` (test by default) of `data`, which nothing can verify.

    Raises InputError where the data is not what the run was made on, an index is not in the split, or the split has
    no answers.
    """
    folder = Path(run) if Path(run).is_dir() else Path(run).parent
    predictions = read_predictions(run)
    is_the_runs = Path(run).is_dir() or Path(run).name == FILE_NAME  # a run.json says nothing of another file beside it
    record = read_run(folder) if is_the_runs and (folder / "run.json").exists() else None
    if data is None:
        if record is None:
            raise InputError(f"{run} has no run.json beside it: say which data it answers with --data")
        data = record["data_path"]
    if record is not None and data_name(data) != record["data"]:
        raise InputError(f"{data} is {data_name(data)}, but {folder} was run on {record['data']}")
    if record is not None and split not in (None, record["split"]):
        raise InputError(f"split {split!r}, but {folder} was run on {record['split']}")
    record = record or {"split": split or "test", "model": None}
    split = record["split"]
    samples = select(data, split, record.get("tasks", ()), record.get("limit"))
    report = score_predictions(samples, predictions)
    report["data"], report["split"], report["model"] = str(data), split, record["model"]
    report["baseline"] = None
    if baseline and "train" in split_names(data):
        report["baseline"] = {"model": "prior", "metrics": _baseline(data, samples, report)}
    return report


def score_predictions(samples: Iterable[Sample], predictions: Mapping[int, Prediction]) -> Report:
    """Score predictions against samples of one split; see the module for the report's fields."""
    samples = list(samples)
    known = {sample.index for sample in samples}
    unknown = sorted(predictions.keys() - known)
    if unknown:
        share = f"{len(unknown)} of {len(predictions)} predictions"
        raise InputError(f"field index: the split has no row {unknown[0]}; {share} answer no row of it")
    if not any(sample.truth is not None for sample in samples):
        raise InputError("this split has no ground truth: it cannot be scored here")
    answered = {sample.task for sample in samples if sample.index in predictions}
    rows = [_score_row(sample, predictions.get(sample.index)) for sample in samples if sample.task in answered]
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    return {
        "protocol": "strict",
        "metrics": _columns(rows),
        "ci": _intervals(rows),
        "n": _counts(rows),
        "by_source": {source: _columns(part) for source, part in sorted(by_source.items())},
        "by_task": _by_task(rows, {s.index: s for s in samples}),
        "per_sample": rows,
    }


def _score_row(sample: Sample, prediction: Prediction | None) -> dict[str, Any]:
    parsed = tasks.parse(sample, prediction.prediction if prediction else "")
    scored = tasks.score(sample, parsed)
    return {
        "index": sample.index,
        "task": sample.task,
        "source": sample.source,
        "video_id": sample.video_id,
        "score": scored.value,
        "parts": scored.parts,
        "parsed": parsed.value is not None,
        "issues": list(parsed.issues),
        "finish_reason": prediction.finish_reason if prediction else None,
    }


def _columns(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for column, (task, part) in COLUMNS.items():
        values = [row["parts"][part] for row in rows if row["task"] == task and part in row["parts"]]
        columns[column] = float(np.mean(values)) if values else None
    return columns


def _intervals(rows: list[dict[str, Any]]) -> dict[str, list[float] | None]:
    """[2.5 %, 97.5 %] of each column, over videos drawn with replacement."""
    generator = np.random.default_rng(0)
    intervals: dict[str, list[float] | None] = {}
    for column, (task, part) in COLUMNS.items():
        videos: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in rows:
            if row["task"] == task and part in row["parts"]:
                videos[row["source"], row["video_id"]].append(row["parts"][part])
        if not videos:
            intervals[column] = None
            continue
        sums = np.array([sum(values) for values in videos.values()])
        counts = np.array([len(values) for values in videos.values()])
        draws = generator.multinomial(
            len(videos), np.full(len(videos), 1 / len(videos)), size=RESAMPLES
        )  # (draws, videos)
        low, high = np.quantile(draws @ sums / (draws @ counts), [0.025, 0.975])
        intervals[column] = [float(low), float(high)]
    return intervals


def _counts(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    counts = {}
    for column, (task, part) in COLUMNS.items():
        asked = [row for row in rows if row["task"] == task]
        counts[column] = {
            "rows": len(asked),
            "answered": sum(row["finish_reason"] is not None for row in asked),
            "parsed": sum(row["parsed"] for row in asked),
            "skipped": sum(part not in row["parts"] for row in asked),
            "truncated": sum(row["finish_reason"] == "length" for row in asked),
        }
    return counts


def _by_task(rows: list[dict[str, Any]], samples: dict[int, Sample]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for task in tasks.TASKS:
        part = [row for row in rows if row["task"] == task]
        measures: dict[str, list[float]] = defaultdict(list)
        for row in part:
            for name, value in row["parts"].items():
                measures[name].append(value)
        if not part:
            continue
        result[task] = {name: float(np.mean(values)) for name, values in measures.items()}
        if task == "next_action":
            labels = [(samples[row["index"]].truth, row["score"]) for row in part]
            result[task]["per_class"] = next_action.per_class([(t, v) for t, v in labels if t is not None])  # type: ignore[misc]
        if task in ("skill_assessment", "cvs_assessment"):
            truths = [t for row in part if isinstance(t := samples[row["index"]].truth, Scores)]
            result[task]["majority_answer"] = form.majority_score(truths)
    return result


def _baseline(data: str | Path, samples: list[Sample], report: Report) -> dict[str, float | None]:
    """The prior's columns on the rows of the answered tasks."""
    prior = Prior.fit(read_samples(data, "train"))
    asked = [sample for sample in samples if sample.task in report["by_task"]]
    answers = {p.index: p for p in prior.answers(sample.public() for sample in asked)}
    return _columns([_score_row(sample, answers[sample.index]) for sample in asked])
