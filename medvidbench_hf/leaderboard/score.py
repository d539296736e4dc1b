"""The ten columns as the board computes them, and every trap that moved one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medvidbench_hf.leaderboard import (
    captions,
    cvs_assessment,
    dense_captioning,
    next_action,
    skill_assessment,
    stg,
    tal,
)
from medvidbench_hf.leaderboard.captions import Judged
from medvidbench_hf.leaderboard.next_action import Embed
from medvidbench_hf.leaderboard.pooling import Cells, Pool, Row, events, macro, mean_of_parts, pooled, weighted_by_rows
from medvidbench_hf.leaderboard.records import Record, TaskLost, guessed_source, source_of, sure_source, video_id
from medvidbench_hf.leaderboard.traps import TRAPS
from medvidbench_hf.tasks.answer import fold


class Column(NamedTuple):
    task: str
    pool: Pool


#: in the board's order
COLUMNS = {
    "CVS_acc": Column("cvs_assessment", macro),
    "NAP_acc": Column("next_action", pooled),
    "SA_acc": Column("skill_assessment", macro),
    "STG_mIoU": Column("stg", pooled),
    "TAG_mIoU@0.3": Column("tal", pooled),
    "TAG_mIoU@0.5": Column("tal", pooled),
    "DVC_F1": Column("dense_captioning", weighted_by_rows),
    "DVC_llm": Column("dense_captioning", events),
    "VS_llm": Column("video_summary", mean_of_parts),
    "RC_llm": Column("region_caption", mean_of_parts),
}

_SCORERS = {
    "tal": tal.score,
    "stg": stg.score,
    "dense_captioning": dense_captioning.score,
    "cvs_assessment": cvs_assessment.score,
    "skill_assessment": skill_assessment.score,
}


@dataclass(frozen=True, slots=True)
class TrapMet:
    """A trap that moved a column, or met rows of it. `value` is the column without the trap, where that can be told."""

    trap: str
    column: str
    rows: tuple[int, ...]
    value: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        text = TRAPS[self.trap].line.format(n=len(self.rows))
        if len(self.rows) == 1:
            text = re.sub(r"(answer|record|row|list)s", r"\1", text, count=1).replace(" them", " it")
        value = "" if self.value is None else f" {self.value:.3f}"
        first = f" (row {self.rows[0]}: {self.reason})" if self.reason else ""
        return f"{self.column}: {text}{value}{first}"


@dataclass(frozen=True, slots=True)
class BoardScore:
    """metrics: the board's columns; null where a task has no rows, was not judged, or comes out as NaN; 0.0 where one
    record loses the task. nap_exact: NAP_acc with exact labels only. per_sample: one entry a record and task, whose
    `cells` are column -> part -> (sum, count), what the columns are pooled from.
    """

    metrics: dict[str, float | None]
    by_source: dict[str, dict[str, float | None]]
    traps: list[TrapMet]
    nap_exact: float | None
    per_sample: list[dict[str, Any]]


@dataclass(slots=True)
class _Scored:
    """The rows of a task: index, source, video, and what the row is worth or why it loses the task."""

    task: str
    rows: list[tuple[int, str, str, Row]] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)


def tasks_of(record: Record) -> list[str]:
    """The tasks whose evaluator takes the record, by its qa_type."""
    name = str(record.get("qa_type", ""))
    folded = name.lower()
    found = [task for task in ("tal", "stg", "next_action") if task in folded]
    if "dense_caption" in folded or "dc" in folded:
        found.append("dense_captioning")
    found += [task for task in ("video_summary", "region_caption") if task in name]
    found += [task for task in ("cvs_assessment", "skill_assessment") if task == name]
    return found


def runs(task: str, names: set[str]) -> bool:
    """Whether the board evaluates a task at all, by the qa_types of the file."""
    if task in ("tal", "next_action", "stg", "skill_assessment", "cvs_assessment"):
        return task in names
    return any(task in name for name in names) or (task == "dense_captioning" and "dc" in names)


def score_records(
    records: Mapping[int, Record], embed: Embed | None = None, judged: Judged | None = None
) -> BoardScore:
    """Score records as the board does. Nothing of them is changed.

    records: row index -> record. embed: texts -> vectors of all-MiniLM-L6-v2 (`minilm.embed`), called once at most.
    judged: scores of the pairs that `captions.to_judge` lists; without them the three *_llm columns are None.
    """
    names = {str(record.get("qa_type", "")) for record in records.values()}
    by_task: dict[str, list[int]] = {column.task: [] for column in COLUMNS.values()}
    for index, record in records.items():
        for task in tasks_of(record):
            by_task[task].append(index)
    metrics: dict[str, float | None] = dict.fromkeys(COLUMNS)
    traps: list[TrapMet] = []
    by_source: dict[str, dict[str, float | None]] = {}
    per_sample: dict[tuple[int, str], dict[str, Any]] = {}
    exact: float | None = None
    for task, indices in by_task.items():
        if not indices or not runs(task, names):
            continue
        chosen = {index: records[index] for index in indices}
        for scored, columns in _score_task(task, chosen, embed, judged):
            for column in columns:
                made = _column(column, scored)
                metrics[column] = 0.0 if scored.lost else made.value()
                found = _traps(column, scored, made)
                if not scored.lost and any(f.trap in ("nap-no-model", "stg-not-a-number") for f in found):
                    metrics[column] = None
                traps += found
                for source, rows in _grouped(scored).items():
                    by_source.setdefault(source, dict.fromkeys(COLUMNS))[column] = _column(column, rows).value()
                if column == "NAP_acc":
                    exact = _column(next_action.EXACT, scored).value()
            for index, source, video, row in scored.rows:
                entry = per_sample.setdefault((index, task), _entry(index, task, source, video, row.parsed))
                if "stg-not-a-number" not in row.flags:
                    entry["parts"] |= {c: _mean(parts) for c, parts in row.values.items() if c in COLUMNS}
                    entry["cells"] |= {c: dict(parts) for c, parts in row.values.items() if c in COLUMNS}
                entry["traps"] = sorted({*entry["traps"], *row.without, *row.flags})
            for index, reason in scored.lost:
                record = records[index]
                entry = _entry(index, task, _source(task, record), video_id(record), False)
                per_sample[index, task] = {**entry, "traps": ["task-lost"], "reason": reason}
    ordered = [per_sample[key] for key in sorted(per_sample)]
    return BoardScore(metrics, dict(sorted(by_source.items())), traps, exact, ordered)


def _score_task(
    task: str, records: dict[int, Record], embed: Embed | None, judged: Judged | None
) -> list[tuple[_Scored, list[str]]]:
    """The task's rows, once for the rule columns and once for the judged one, with the columns they make."""
    rule = [c for c, column in COLUMNS.items() if column.task == task and not c.endswith("_llm")]
    made: list[tuple[_Scored, list[str]]] = []
    if task == "next_action":
        rows = next_action.score(next_action.read(list(records.values())), embed)
        made.append((_collect(task, records, dict(zip(records, rows, strict=True))), rule))
    elif rule:
        made.append((_collect(task, records, {i: _tried(_SCORERS[task], r) for i, r in records.items()}), rule))
    if judged is not None and task in captions.COLUMNS:
        rows_of = {i: _tried(lambda r: captions.score(task, r, judged), r) for i, r in records.items()}
        if task == "dense_captioning":  # one evaluator computes both columns: what loses one loses the other
            ruled = made[0][0]
            lost = {i for i, row in rows_of.items() if isinstance(row, TaskLost)}
            known = {i for i, _ in ruled.lost}
            ruled.lost += [(i, str(rows_of[i])) for i in rows_of if i in lost - known]
            ruled.rows = [row for row in ruled.rows if row[0] not in lost]
            rows_of |= {i: TaskLost(reason) for i, reason in ruled.lost}
        made.append((_collect(task, records, rows_of), [captions.COLUMNS[task]]))
    elif not rule:  # nothing to compute, but the rows are there
        made.append((_collect(task, records, {i: captions.unjudged(task, r) for i, r in records.items()}), []))
    return made


def _tried(scorer: Any, record: Record) -> Row | TaskLost:
    try:
        return scorer(record)
    except TaskLost as lost:
        return lost


def _collect(task: str, records: dict[int, Record], rows: Mapping[int, Row | TaskLost]) -> _Scored:
    scored = _Scored(task)
    for index, row in rows.items():
        if isinstance(row, TaskLost):
            scored.lost.append((index, str(row)))
        else:
            record = records[index]
            scored.rows.append((index, _source(task, record), video_id(record), row))
    return scored


def _source(task: str, record: Record) -> str:
    if task == "tal":
        return str(source_of(record))
    if task in ("stg", "dense_captioning"):
        return str(guessed_source(record))
    return sure_source(record, question_first=task == "next_action")


def _column(column: str, scored: _Scored, trap: str = "") -> Cells:
    """The column's cells, videos not told apart; with a trap named, of the rows as they would be without it."""
    pool = COLUMNS[column].pool if column in COLUMNS else pooled
    rows = []
    for _, source, video, row in scored.rows:
        values = row.without.get(trap, row.values)
        rows.append((source, video, values.get(column, {})))
    return Cells(rows, pool, by_video=False)


def _grouped(scored: _Scored) -> dict[str, _Scored]:
    """The rows by source; none where the task is lost."""
    groups: dict[str, _Scored] = {}
    for row in scored.rows if not scored.lost else ():
        groups.setdefault(row[1], _Scored(scored.task)).rows.append(row)
    return groups


def _entry(index: int, task: str, source: str, video: str, parsed: bool) -> dict[str, Any]:
    return {
        "index": index,
        "task": task,
        "source": source,
        "video_id": video,
        "parsed": parsed,
        "parts": {},
        "cells": {},
        "traps": [],
    }


def _traps(column: str, scored: _Scored, made: Cells) -> list[TrapMet]:
    """A line for each trap that moved the column's number, and for those that met rows without another value."""
    found = []
    value = made.value()
    if scored.lost:
        index, reason = scored.lost[0]
        found.append(TrapMet("task-lost", column, tuple(i for i, _ in scored.lost), value, reason))
    met: dict[str, list[int]] = {}
    for index, _, _, row in scored.rows:
        for trap in (*row.without, *row.flags):
            met.setdefault(trap, []).append(index)
    for trap in (t for t in TRAPS if t in met):
        rows = tuple(met[trap])
        if trap == "stg-not-a-number":
            clean = _Scored(scored.task, [row for row in scored.rows if trap not in row[3].flags])
            found.append(TrapMet(trap, column, rows, _column(column, clean).value()))
        elif any(trap in row.without for *_, row in scored.rows):
            other = _column(column, scored, trap).value()
            if other != value:
                found.append(TrapMet(trap, column, rows, other))
        else:
            found.append(TrapMet(trap, column, rows))
    if (spelling := _spelling(column, scored, value)) is not None:
        found.append(spelling)
    return found


def _spelling(column: str, scored: _Scored, value: float | None) -> TrapMet | None:
    """Sources that differ only in case, hyphen or underscore, where the column weighs by source."""
    spelled: dict[str, set[str]] = {}
    for _, source, _, _ in scored.rows:
        spelled.setdefault(_folded(source), set()).add(source)
    twins = {name for name, spellings in spelled.items() if len(spellings) > 1}
    if not twins or COLUMNS[column].pool is not macro:
        return None
    merged = [(i, _folded(s) if _folded(s) in twins else s, v, r) for i, s, v, r in scored.rows]
    rows = tuple(i for i, s, _, _ in merged if s in twins)
    other = _column(column, _Scored(scored.task, merged)).value()
    return TrapMet("source-spelling", column, rows, other) if other != value else None


def _folded(source: str) -> str:
    return fold(source).replace(" ", "")


def _mean(parts: Mapping[str, tuple[float, int]]) -> float | None:
    total, n = (sum(values) for values in zip(*parts.values(), strict=True)) if parts else (0.0, 0)
    return total / n if n else None


def lost_rows(traps: Sequence[TrapMet]) -> dict[str, tuple[int, ...]]:
    """column -> the rows that lose its task."""
    return {f.column: f.rows for f in traps if f.trap == "task-lost"}
