"""Write the file that the board takes, from any answers, complete and in row order.

    [{"id": "v1&&0&&20&&0.5", "qa_type": "tal", "prediction": "22.0-78.0 seconds."},
     ...]

The row index says which answer belongs to which row; ids are copied from the data and only compared. A manifest beside
it (SUBMISSION.manifest.json) names every input by its sha256. The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import medvidbench_hf
from medvidbench_hf.leaderboard.records import kind_of, qa_type
from medvidbench_hf.leaderboard.submission.files import AnswerFile, Entry
from medvidbench_hf.leaderboard.submission.findings import row_list, shortened
from medvidbench_hf.sample import TASKS, InputError, PublicSample


@dataclass(frozen=True)
class Source:
    """A file that went in: its path as given, its hash, how many rows it gave; task for an overlay."""

    path: str
    sha256: str
    rows: int
    task: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a submission is made of, as it stands beside it."""

    submission: str  # file name
    sha256: str
    rows: int
    tasks: dict[str, int]  # qa_type -> rows
    inputs: tuple[Source, ...]
    overlays: tuple[Source, ...]
    filled: tuple[int, ...]  # rows that no input answers
    mended: tuple[int, ...]  # rows where half a surrogate pair became a question mark
    version: str  # of medvidbench_hf


def write_submission(
    parts: Sequence[AnswerFile],
    samples: Sequence[PublicSample],
    out: str | Path,
    overlays: Mapping[str, AnswerFile] | None = None,
    fill: Mapping[int, str] | None = None,
) -> Manifest:
    """Write OUT and its manifest, each whole or not at all, and return the manifest.

    parts: the answers, each row in one of them; one that ended in an error counts as none. overlays: task -> the file
    that answers all rows of this task, whatever parts say; other rows in it do not matter, and it may be a list of this
    task's rows alone, with their ids. fill: row -> text for rows that have no answer; without it they are an error.
    Raises InputError that names the file and the rows.
    """
    rows = sorted(samples, key=lambda sample: sample.index)
    if not rows or [sample.index for sample in rows] != list(range(len(rows))):
        raise InputError(f"the data has {len(rows)} rows that are not row 0, 1, 2, ...: give the whole split")
    out, overlays = Path(out), overlays or {}
    manifest_path = _targets(out, [*parts, *overlays.values()])
    answers: dict[int, tuple[AnswerFile, Entry]] = {}
    inputs, laid = [], []
    for task, overlay in sorted(overlays.items()):
        entries = _overlay(task, overlay, rows)
        answers.update({row: (overlay, entry) for row, entry in entries.items()})
        laid.append(Source(str(overlay.path), overlay.sha256, len(entries), task))
    replaced = frozenset(answers)
    for part in parts:
        entries = _answers(part, rows, replaced)
        twice = sorted(entries.keys() & answers.keys())
        if twice:
            others = ", ".join(dict.fromkeys(str(answers[row][0].path) for row in twice))
            raise InputError(f"{row_list(twice)} answered in {part.path} and in {others}: give each row once")
        answers.update({row: (part, entry) for row, entry in entries.items()})
        inputs.append(Source(str(part.path), part.sha256, len(entries)))
    missing = [sample.index for sample in rows if sample.index not in answers]
    unfilled = missing if fill is None else [row for row in missing if row not in fill]
    if unfilled:
        raise InputError(
            f"{len(unfilled)} of {len(rows)} rows have no answer ({row_list(unfilled)}): answer them with "
            "`medvidbench run --resume`, or fill them with --fill-missing empty or prior"
        )
    texts = {row: entry.prediction for row, (_, entry) in answers.items()} | {row: (fill or {})[row] for row in missing}
    clean = {row: text.encode("utf-8", "replace").decode() for row, text in texts.items()}
    lines = [
        json.dumps({"id": sample.id, "qa_type": qa_type(sample), "prediction": clean[sample.index]}) for sample in rows
    ]
    content = "[\n" + ",\n".join(lines) + "\n]\n"
    manifest = Manifest(
        out.name,
        hashlib.sha256(content.encode()).hexdigest(),
        len(rows),
        dict(sorted(Counter(map(qa_type, rows)).items())),
        tuple(inputs),
        tuple(laid),
        tuple(missing),
        tuple(row for row in sorted(clean) if clean[row] != texts[row]),
        medvidbench_hf.__version__,
    )
    _write({out: content, manifest_path: json.dumps(asdict(manifest), indent=1) + "\n"})
    return manifest


def _targets(out: Path, inputs: Sequence[AnswerFile]) -> Path:
    """The manifest's path. Raises InputError where a file cannot be written, or is an input."""
    if out.is_dir():
        raise InputError(f"{out}: a folder; name the file to write")
    manifest = out.with_suffix(".manifest.json")
    if not out.resolve().parent.is_dir():
        raise InputError(f"{out}: its folder does not exist")
    for path in (out, manifest):
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is in the way and not a file")
        for file in inputs:
            if path.resolve() == file.path.resolve() or (
                path.exists() and file.path.exists() and path.samefile(file.path)
            ):
                raise InputError(f"{path}: is an input too; write the submission elsewhere")
    return manifest


def _answers(
    file: AnswerFile, rows: Sequence[PublicSample], replaced: frozenset[int] = frozenset()
) -> dict[int, Entry]:
    """Row -> its answer, `replaced` rows and errors left out. Raises InputError."""
    if not file.keyed and len(file.entries) != len(rows):
        raise InputError(
            f"{file.path}: a list of {len(file.entries)} records for {len(rows)} rows, and a record's place in it is "
            "its row: give a complete list, or a predictions.jsonl"
        )
    entries = [e for e in file.entries if e.finish_reason != "error" and e.index not in replaced]
    return _checked(file, entries, rows)


def _overlay(task: str, file: AnswerFile, rows: Sequence[PublicSample]) -> dict[int, Entry]:
    """The answers to all rows of a task. Raises InputError."""
    if task not in TASKS:
        raise InputError(f"overlay {task}={file.path}: unknown task {task!r}; known: {', '.join(TASKS)}")
    of_task = [sample for sample in rows if sample.task == task]
    if not of_task:
        raise InputError(f"overlay {task}={file.path}: the split has no {task} row")
    if not file.keyed and len(file.entries) == len(of_task) < len(rows):
        if any(entry.id is None for entry in file.entries):
            raise InputError(
                f"overlay {task}={file.path} field id: missing, and without it nothing says which row is which"
            )
        entries = _checked(file, file.entries, of_task)
    else:
        others = frozenset(sample.index for sample in rows if sample.task != task)
        entries = _answers(file, rows, others)
    missing = [sample.index for sample in of_task if sample.index not in entries]
    if missing:
        raise InputError(
            f"overlay {task}={file.path}: {len(missing)} of {len(of_task)} rows have no answer ({row_list(missing)}); "
            "an overlay answers the whole task"
        )
    return entries


def _checked(file: AnswerFile, entries: Sequence[Entry], rows: Sequence[PublicSample]) -> dict[int, Entry]:
    """Row -> entry, each once, text, and with the id and qa_type of its row where it has them. Raises InputError."""
    by_row = {sample.index: sample for sample in rows}
    if file.keyed:
        pairs = [(entry.index, entry) for entry in entries]
    else:
        pairs = [(rows[entry.position].index, entry) for entry in entries]
    seen: set[int] = set()
    wrong: dict[str, list[int]] = {}
    first: dict[str, str] = {}
    for row, entry in pairs:
        problem, value = _problem(entry, by_row.get(row), row in seen)
        seen.add(row)
        if problem:
            wrong.setdefault(problem, []).append(row)
            first.setdefault(problem, value)
    if wrong:
        problem, of_rows = next(iter(wrong.items()))
        raise InputError(f"{file.path} {row_list(of_rows)} {problem}{first[problem]}")
    return dict(pairs)


def _problem(entry: Entry, sample: PublicSample | None, seen: bool) -> tuple[str, str]:
    """What keeps an entry from being a row's answer, and the values in question; ("", "") where nothing does."""
    if sample is None:
        return "not in the split: is it the right data?", ""
    if seen:
        return "answered twice: keep one answer a row", ""
    if not isinstance(entry.prediction, str):
        field = "prediction" if entry.record is None else "answer"
        return f"field {field}: expected text, not ", kind_of(entry.prediction)
    if entry.id not in (None, sample.id):
        return "field id: not the data's: ", f"{shortened(entry.id)} for {sample.id!a} in row {sample.index}"
    if entry.qa_type not in (None, sample.task, qa_type(sample)):
        return "field qa_type: not the data's: ", (
            f"{shortened(entry.qa_type)} for {qa_type(sample)!r} in row {sample.index}"
        )
    return "", ""


def _write(contents: Mapping[Path, str]) -> None:
    """Write all files or none, the last one last: it says that the others are complete."""
    partial = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in contents}
    try:
        for path, content in contents.items():
            with partial[path].open("w", encoding="utf-8", newline="\n") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        list(contents)[-1].unlink(missing_ok=True)
        for path in contents:
            partial[path].replace(path)
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
