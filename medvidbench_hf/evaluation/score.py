"""Score answers under either protocol.

    strict        ours: every row counts, what cannot be read is wrong
    leaderboard   the board's, oddities included (medvidbench_hf.leaderboard)

The report:

    protocol    "strict" or "leaderboard"
    metrics     the ten columns; null where no row of the task was answered, or no judge was asked
    ci          95 % intervals of the columns, by bootstrap over videos (questions of one video are not independent)
    n           per column: rows, answered, parsed, skipped (not in the column's value), truncated
    by_source   columns within each source          by_task   every measure of each task, and what stands beside it
    baseline    the ten columns of `prior`, fitted on the train split and scored on the same rows
    findings    leaderboard only: a line for each of the board's traps that moved a number or met rows
    traps       leaderboard only: the same as data, with row indices and the column's value without the trap
    nap_exact   leaderboard only: NAP_acc with exact labels only, which needs no model
    lost        leaderboard only: column -> the rows on which the board's code fails, so that the column is 0.0
    unanswered  leaderboard only: rows of the split without an answer; the board refuses the file if there are any
    lexicon     strict only: columns of the offline lexicon judge, with `metrics`, `ci`, `n`; null if not asked
    judge       who filled the *_llm columns, with calls, cost and every judgement that failed; null if nobody
    notes       what to know about the file that was scored
    per_sample  one entry a row; `parts` are its measures, `cells` (leaderboard) what it adds to a column by part
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medvidbench_hf import tasks
from medvidbench_hf.builder import read_samples, split_names
from medvidbench_hf.evaluation import judged as judging
from medvidbench_hf.evaluation.answered import Answered, read_answered
from medvidbench_hf.evaluation.judged import LEXICON_COLUMNS, Judge
from medvidbench_hf.judge import Pair
from medvidbench_hf.leaderboard import minilm
from medvidbench_hf.leaderboard import score as board
from medvidbench_hf.leaderboard.captions import Judged
from medvidbench_hf.leaderboard.pooling import Cells, pooled
from medvidbench_hf.leaderboard.records import Record, kind_of, record_of
from medvidbench_hf.models.prior import Prior
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError, Sample, Scores
from medvidbench_hf.tasks import form

PROTOCOLS = ("leaderboard", "strict")

#: column -> (task, measure of `strict`), in the board's order
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
MOST_SOURCES = 100

Report = dict[str, Any]


def score_run(
    run: str | Path,
    data: str | Path | None = None,
    split: str | None = None,
    baseline: bool = True,
    protocol: str = "strict",
    judge: Judge | None = None,
    progress: bool = False,
) -> Report:
    """Score a run's folder, or an answer file, against the rows that were asked; `protocol="both"` gives a report each.

    A run's own record says which split, tasks and limit. A lone file carries none of that: it is taken to answer
    `split` (test by default) of `data`, which nothing can verify. A file in the official merged form with its truth in
    it needs no data. judge: of captions; each distinct pair is judged once for both protocols.

    Raises InputError where the data is not what the run was made on, an index is not in the split, or the split has
    no answers.
    """
    if protocol not in (*PROTOCOLS, "both"):
        raise InputError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}, both")
    answered = read_answered(run, data, split)
    _check(answered)
    wanted = PROTOCOLS if protocol == "both" else (protocol,)
    measure = judging.measure_of(judge) if judge else ""
    if measure == "lexicon" and "strict" not in wanted:
        raise InputError("the board has no lexicon judge: score under strict, or both, or take a model as judge")
    prior = _prior_answers(answered) if baseline else None
    judged: dict[str, Judged] = {}
    asked_judge = None
    if judge:
        pairs = _pairs(answered, [name for name in wanted if measure == "llm" or name == "strict"])
        verdicts = judge.judge(pairs, progress)
        judged[measure], asked_judge = judging.looked_up(verdicts, pairs), judging.summary(verdicts, pairs)
    reports = {}
    for name in wanted:
        report = _scored(answered, name, **judged)
        report["judge"] = asked_judge if name == "strict" or measure == "llm" else None
        report["data"], report["split"], report["model"] = answered.data, answered.split, answered.model
        report["notes"] = list(answered.notes)
        report["baseline"] = None
        if prior is not None:
            scored = _strict(prior.samples, prior) if name == "strict" else _leaderboard(prior.samples, prior, None)
            report["baseline"] = {"model": "prior", "metrics": scored["metrics"]}
            if judge and report["lexicon"]:
                pairs = judging.strict_pairs(prior.samples, prior.texts)
                beside = _strict(prior.samples, prior, None, judging.looked_up(judge.judge(pairs), pairs))
                report["baseline"]["lexicon"] = beside["lexicon"]["metrics"]
        reports[name] = report
    return reports if protocol == "both" else reports[protocol]


def score_predictions(
    samples: Iterable[Sample],
    predictions: Mapping[int, Prediction],
    protocol: str = "strict",
    llm: Judged | None = None,
    lexicon: Judged | None = None,
) -> Report:
    """Score predictions against samples of one split; see the module for the report's fields.

    llm, lexicon: a judge's five scores by (reference, candidate), None for a judgement that failed; the pairs are those
    of `judged.strict_pairs` or `judged.board_pairs`. Without them the columns are null.
    """
    texts = {index: p.prediction for index, p in predictions.items()}
    reasons = {index: p.finish_reason for index, p in predictions.items()}
    answered = Answered(list(samples), texts, dict(reasons), "", "")
    _check(answered)
    return _scored(answered, protocol, llm, lexicon)


def column_cells(
    report: Report, column: str, videos: Mapping[tuple[str, str], int] | None = None, source: str | None = None
) -> Cells | None:
    """What a column of a report, the lexicon's too, is pooled from, of one source if given; None where it has no value.

    None, too, for a mean over more than MOST_SOURCES sources: its cells would be sources times videos.
    videos: (source, video id) -> position, to draw the same videos from two reports.
    """
    columns = report["lexicon"]["metrics"] if column in LEXICON_COLUMNS and report["lexicon"] else report["metrics"]
    if columns.get(column) is None:
        return None
    task, measure = (COLUMNS | LEXICON_COLUMNS)[column]
    rows = []
    for row in report["per_sample"]:
        if row["task"] != task or source not in (None, row["source"]):
            continue
        if report["protocol"] == "leaderboard":
            if "task-lost" not in row["traps"]:  # a row that does not count still weighs for its source
                rows.append((row["source"], row["video_id"], row["cells"].get(column, {})))
        elif measure in row["parts"]:
            rows.append((row["source"], row["video_id"], {"": (row["parts"][measure], 1)}))
    if not rows:
        return None
    pool = board.COLUMNS[column].pool if report["protocol"] == "leaderboard" else pooled
    if pool is not pooled and len({row[0] for row in rows}) > MOST_SOURCES:
        return None
    return Cells(rows, pool, videos)


def _check(answered: Answered) -> None:
    """Raises InputError where nothing can be scored."""
    known = {sample.index for sample in answered.samples}
    unknown = sorted(answered.texts.keys() - known)
    if unknown:
        share = f"{len(unknown)} of {len(answered.texts)} predictions"
        raise InputError(f"field index: the split has no row {unknown[0]}; {share} answer no row of it")
    if not any(sample.truth is not None for sample in answered.samples):
        raise InputError(
            "this split has no ground truth: it cannot be scored here; `medvidbench check` reads the file without it"
        )


def _pairs(answered: Answered, protocols: Iterable[str]) -> list[Pair]:
    """What a judge is to be asked for the protocols, each pair once."""
    asked = _asked(answered)
    found: list[Pair] = []
    for protocol in protocols:
        if protocol == "strict":
            found += judging.strict_pairs(asked, answered.texts)
        else:
            found += judging.board_pairs(_records(asked, answered).values())
    distinct: dict[tuple[str, str], Pair] = {}
    for pair in found:
        distinct.setdefault((pair.reference, pair.candidate), pair)
    return list(distinct.values())


def _asked(answered: Answered) -> list[Sample]:
    """The rows of the tasks that were answered."""
    answered_tasks = {sample.task for sample in answered.samples if sample.index in answered.texts}
    return [sample for sample in answered.samples if sample.task in answered_tasks]


def _records(asked: list[Sample], answered: Answered) -> dict[int, Record]:
    """The rows with their answers in the board's form."""
    if answered.records is not None:
        return {sample.index: answered.records[sample.index] for sample in asked}
    return {s.index: record_of(s, answered.texts.get(s.index, "")) for s in asked}


def _scored(answered: Answered, protocol: str, llm: Judged | None = None, lexicon: Judged | None = None) -> Report:
    asked = _asked(answered)
    report = _strict(asked, answered, llm, lexicon) if protocol == "strict" else _leaderboard(asked, answered, llm)
    report["judge"] = None
    for part, columns in ((report, COLUMNS), (report["lexicon"], LEXICON_COLUMNS)):
        if part:
            cells = {column: column_cells(report, column) for column in columns}
            part["ci"] = {column: None if made is None else interval(made) for column, made in cells.items()}
    for column in report.get("lost", ()):
        report["ci"][column] = None
    return report


def interval(cells: Cells) -> list[float] | None:
    """[2.5 %, 97.5 %] of a column, over videos drawn with replacement."""
    drawn = cells.drawn(draws(len(cells.videos)))
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [float(low), float(high)]


def draws(n_videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """How often each video is drawn, (resamples, n_videos); fewer resamples where videos are very many."""
    resamples = min(resamples, max(100, 20_000_000 // max(1, n_videos)))
    return np.random.default_rng(seed).multinomial(n_videos, np.full(n_videos, 1 / n_videos), size=resamples)


# --- strict ----------------------------------------------------------------------------------------------------


def _strict(
    asked: list[Sample], answered: Answered, llm: Judged | None = None, lexicon: Judged | None = None
) -> Report:
    given = {name: judged for name, judged in (("llm", llm), ("lexicon", lexicon)) if judged is not None}
    rows = [_score_row(sample, answered, given) for sample in asked]
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    return {
        "protocol": "strict",
        "metrics": _means(rows),
        "ci": {},
        "n": {column: _counts(rows, task, measure) for column, (task, measure) in COLUMNS.items()},
        "by_source": {source: _means(part) for source, part in sorted(by_source.items())},
        "by_task": _by_task(rows, {s.index: s for s in asked}),
        "lexicon": None if lexicon is None else _lexicon(rows),
        "per_sample": rows,
    }


def _lexicon(rows: list[dict[str, Any]]) -> dict[str, Any]:
    counted = {column: _counts(rows, task, measure) for column, (task, measure) in LEXICON_COLUMNS.items()}
    return {"metrics": _means(rows, LEXICON_COLUMNS), "ci": {}, "n": counted}


def _score_row(sample: Sample, answered: Answered, given: Mapping[str, Judged]) -> dict[str, Any]:
    """given: measure of a judge -> its scores."""
    text = answered.texts.get(sample.index, "")
    readable = text if isinstance(text, str) else ""
    parsed = tasks.parse(sample, readable)
    scored = tasks.score(sample, parsed)
    issues = [*parsed.issues] if isinstance(text, str) else [f"the answer is {kind_of(text)}, not text"]
    value, parts = scored.value, dict(scored.parts)
    if judging.applies(sample):
        for measure, judged in given.items():
            worth = judging.row_value(sample, parsed, scored, judged)
            if worth is None:
                issues.append("a judgement failed")
            else:
                parts[measure] = worth
        if value is None and "llm" in parts:
            value = (parts["llm"] - 1) / 4
    return {
        "index": sample.index,
        "task": sample.task,
        "source": sample.source,
        "video_id": sample.video_id,
        "score": value,
        "parts": parts,
        "parsed": parsed.value is not None,
        "issues": issues,
        "answered": answered.has(sample.index),
        "finish_reason": answered.reasons.get(sample.index),
    }


def _means(rows: list[dict[str, Any]], of: Mapping[str, tuple[str, str]] = COLUMNS) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for column, (task, part) in of.items():
        values = [row["parts"][part] for row in rows if row["task"] == task and part in row["parts"]]
        columns[column] = float(np.mean(values)) if values else None
    return columns


def _counts(rows: list[dict[str, Any]], task: str, part: str) -> dict[str, int]:
    """part: what a row's `parts` hold where it is in the column's value."""
    asked = [row for row in rows if row["task"] == task]
    return {
        "rows": len(asked),
        "answered": sum(row["answered"] for row in asked),
        "parsed": sum(row["parsed"] for row in asked),
        "skipped": sum(row["parts"].get(part) is None for row in asked),
        "truncated": sum(row["finish_reason"] == "length" for row in asked),
    }


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
            result[task]["per_class"] = tasks.next_action.per_class([(t, v) for t, v in labels if t is not None])  # type: ignore[misc]
        if task in ("skill_assessment", "cvs_assessment"):
            truths = [t for row in part if isinstance(t := samples[row["index"]].truth, Scores)]
            result[task]["majority_answer"] = form.majority_score(truths)
    return result


# --- leaderboard -----------------------------------------------------------------------------------------------


def _leaderboard(asked: list[Sample], answered: Answered, llm: Judged | None) -> Report:
    """A row without an answer is scored as an empty one, `unanswered` says how many: the board refuses such a file."""
    records = _records(asked, answered)
    scored = board.score_records(records, minilm.embed if minilm.installed() else None, llm)
    for row in scored.per_sample:
        row["answered"], row["finish_reason"] = answered.has(row["index"]), answered.reasons.get(row["index"])
    present = [task for task in tasks.TASKS if any(row["task"] == task for row in scored.per_sample)]
    return {
        "protocol": "leaderboard",
        "metrics": scored.metrics,
        "ci": {},
        "n": {column: _counts(scored.per_sample, task, column) for column, (task, _) in COLUMNS.items()},
        "by_source": scored.by_source,
        "by_task": {task: {c: scored.metrics[c] for c, (of, _) in COLUMNS.items() if of == task} for task in present},
        "findings": [str(met) for met in scored.traps],
        "traps": [asdict(met) for met in scored.traps],
        "lost": {column: list(rows) for column, rows in board.lost_rows(scored.traps).items()},
        "nap_exact": scored.nap_exact,
        "lexicon": None,
        "unanswered": sum(not answered.has(sample.index) for sample in answered.samples),
        "per_sample": scored.per_sample,
    }


def _prior_answers(answered: Answered) -> Answered | None:
    """What the prior, fitted on the train split, says to the rows of the answered tasks; None without that split."""
    if answered.records is not None or "train" not in split_names(answered.data):
        return None
    tasks_answered = {sample.task for sample in answered.samples if sample.index in answered.texts}
    asked = [sample for sample in answered.samples if sample.task in tasks_answered]
    prior = Prior.fit(read_samples(answered.data, "train"))
    texts = {p.index: p.prediction for p in prior.answers(sample.public() for sample in asked)}
    return Answered(asked, texts, dict.fromkeys(texts), answered.data, answered.split)
