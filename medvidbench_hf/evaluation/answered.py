"""What there is to score: the rows of a split, or of a file that brings its own, and what a file says to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvidbench_hf.evaluation.run import data_name, read_run, select
from medvidbench_hf.leaderboard.next_action import board_labels
from medvidbench_hf.leaderboard.records import Record, qa_type, sure_source
from medvidbench_hf.leaderboard.score import tasks_of
from medvidbench_hf.leaderboard.submission.files import RESULTS, AnswerFile, Entry, answers_by_row, read_answer_file
from medvidbench_hf.predictions import FILE_NAME
from medvidbench_hf.sample import InputError, Sample
from medvidbench_hf.sources.release.merged import merged_sample


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows and what a file says to them.

    texts: row index -> the answer, any JSON value. reasons: row index -> finish reason. records: the board's own
    records where the file brought them with their truth. notes: what to tell about the file.
    """

    samples: list[Sample]
    texts: dict[int, Any]
    reasons: dict[int, str | None]
    data: str
    split: str | None  # None: the file's own rows
    model: str | None = None
    records: Mapping[int, Record] | None = None
    notes: tuple[str, ...] = ()

    def has(self, index: int) -> bool:
        """Whether a row has an answer; a call that ended in an error gave none."""
        return index in self.texts and self.reasons.get(index) != "error"


def read_answered(run: str | Path, data: str | Path | None = None, split: str | None = None) -> Answered:
    """What `score_run` scores; see there."""
    folder = Path(run) if Path(run).is_dir() else Path(run).parent
    file = read_answer_file(run)
    if file.kind == RESULTS and data is None:
        return _official(file)
    entries = _once(file)
    texts = {index: "" if entry.finish_reason == "error" else entry.prediction for index, entry in entries.items()}
    reasons = {index: entry.finish_reason for index, entry in entries.items()}
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
    notes: tuple[str, ...] = ()
    if record is None:
        record = {"split": split or "test", "model": Path(run).name}
        notes = (f"{run}: taken as answers to the {record['split']} split of {data}",)
    if record.get("subset"):
        notes = (*notes, f"{run}: only the subset {record['subset']!r} of the {record['split']} split was asked")
    samples = select(data, record["split"], record.get("tasks", ()), record.get("limit"), record.get("subset", ""))
    if not file.keyed and len(file.entries) != len(samples):
        raise InputError(
            f"{run}: a list of {len(file.entries)} records for {len(samples)} rows, and a record's place in it is "
            "its row: give a complete list, or a predictions.jsonl, whose lines name their rows"
        )
    _cross_check(file, {sample.index: sample for sample in samples})
    return Answered(
        samples, texts, reasons, str(data), record["split"], record["model"], notes=(*notes, *_file_notes(file))
    )


def _official(file: AnswerFile) -> Answered:
    """A file in the merged form that brings its own truth."""
    records = {index: entry.record or {} for index, entry in _once(file).items()}
    samples, other = [], []
    for index, record in records.items():
        found = tasks_of(record)
        if not found:
            other.append(index)
            continue
        source, question = sure_source(record, question_first=True), str(record.get("question"))
        options = board_labels(source, question) if found[0] == "next_action" else None
        samples.append(merged_sample(index, record, found[0], options or ()))
    if other and not samples:
        raise InputError(
            f"{file.path} has no row of a task: qa_type {records[other[0]].get('qa_type')!r:.60} in row {other[0]}"
        )
    if not any(sample.truth is not None for sample in samples):
        raise InputError(
            f"{file.path} holds no ground truth (gnd and struc_info are empty): --data says which rows it answers"
        )
    texts = {sample.index: records[sample.index].get("answer") for sample in samples}
    notes = [f"{file.path}: scored against the truth that the file itself holds", *_file_notes(file)]
    if n_absent := max(records) + 1 - len(records):
        first = next(index for index in range(len(records) + 1) if index not in records)
        notes.append(
            f"{n_absent} of the rows 0 to {max(records)} are not in the file, row {first} first, and do not count"
        )
    if other:
        name = records[other[0]].get("qa_type")
        notes.append(f"rows of no task, left out: {len(other)}, row {other[0]} first, with qa_type {name!r:.60}")
    return Answered(samples, texts, dict.fromkeys(texts), str(file.path), None, file.path.name, records, tuple(notes))


def _once(file: AnswerFile) -> dict[int, Entry]:
    """Row -> its one answer. Raises InputError."""
    found, several = answers_by_row(file.entries)
    if several:
        raise InputError(
            f"{file.path} row {several[0]} is answered more than once, as are {len(several) - 1} others: keep one"
        )
    return found


def _file_notes(file: AnswerFile) -> tuple[str, ...]:
    twice = [entry.index for entry in file.entries if len(set(entry.fields)) < len(entry.fields)]
    if not twice:
        return file.notes
    return (
        *file.notes,
        f"{file.path}: records that have a field twice, the last one counts: {len(twice)}, row {twice[0]} first",
    )


def _cross_check(file: AnswerFile, samples: Mapping[int, Sample]) -> None:
    """ids and qa_types that a file gives beside its answers must be those of the rows. Raises InputError."""
    differing = [
        (entry.index, name, said, own)
        for entry in file.entries
        if (sample := samples.get(entry.index)) is not None
        for name, said, own in (
            ("id", entry.id, (sample.id,)),
            ("qa_type", entry.qa_type, (qa_type(sample), sample.task)),
        )
        if said is not None and said not in own
    ]
    if differing:
        index, name, said, own = differing[0]
        raise InputError(
            f"{file.path} row {index} field {name}: {said!r:.80}, but that row of the data has {own[0]!r:.80}; "
            f"{len(differing)} such differences: medvidbench check lists them"
        )
