"""Will the board take a file, and which rows lose marks for their form: `check(file, samples)`, on any split.

It needs no truth, so a submission for the test split can be checked. Rows are numbered as in the data, from 0. What
single answers look like is in answers.py, the faults and their words are in faults.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from medvidbench_hf.leaderboard import stg
from medvidbench_hf.leaderboard.records import qa_type
from medvidbench_hf.leaderboard.submission import faults
from medvidbench_hf.leaderboard.submission.answers import asked, excess, find, form_of, used_boxes
from medvidbench_hf.leaderboard.submission.files import (
    BOM,
    PREDICTIONS,
    RESULTS,
    SUBMISSION,
    AnswerFile,
    Entry,
    answers_by_row,
)
from medvidbench_hf.leaderboard.submission.findings import Fault, Faults, Report, TaskCount, row_list
from medvidbench_hf.leaderboard.traps import MIN_RECORDS
from medvidbench_hf.sample import TASKS, VARIANTS, PublicSample

_FIELDS = {
    PREDICTIONS: {"index", "prediction", "finish_reason", "tokens", "id", "qa_type"},
    SUBMISSION: {"id", "qa_type", "prediction"},
}
_TRUTH_FIELDS = {"gnd", "gt", "struc_info", "truth", "answer", "ground_truth", "conversations"}
_SHIFT = 30  # rows that may be missing or too much in one place
_LONG_LOOKS = 10
_FURTHEST_SHIFT = 5
_RUN = 20  # rows that must match for a shift to be believed, or 3 at the end of the file
_VARIANTS = tuple(f"_{variant}" for variant in VARIANTS if variant)
_UNREAD = {"unread", "huge_number", "no_label", "label_spelling"}


def check(file: AnswerFile, samples: Sequence[PublicSample]) -> Report:
    """Check every row of a file against the rows of a split. Takes any file that `read_answer_file` gives."""
    rows = sorted(samples, key=lambda sample: sample.index)
    found = Faults()
    _file(file, rows, found)
    for entry in file.entries:
        _record(file, entry, found)
    joined = _by_index(file, rows, found) if file.keyed else _by_place(file, rows, found)
    seen: dict[int, set[Fault]] = {}
    for sample in rows:
        if sample.index in joined and _answer_field(entry := joined[sample.index]):
            seen[sample.index] = set()
            for fault in find(sample, entry):
                seen[sample.index].add(fault)
                found.add(fault, sample.index, sample.task, entry.prediction)
    answered = [(sample, joined[sample.index].prediction) for sample in rows if _has_text(seen, joined, sample)]
    _copies(answered, seen, found)
    _clocks(rows, found)
    _shifted_answers(rows, joined, found)
    _box_space([pair for pair in answered if pair[0].task == "stg"], found)
    return Report(str(file.path), file.kind, len(rows), found.findings(), _tasks(rows, answered, seen))


# --- the file --------------------------------------------------------------------------------------------------


def _file(file: AnswerFile, rows: Sequence[PublicSample], found: Faults) -> None:
    for note in file.notes:
        fault = faults.BYTE_ORDER_MARK if note == BOM and file.kind != PREDICTIONS else faults.FILE_NOTE
        found.add(fault._replace(what=note))
    if len(rows) < MIN_RECORDS:
        found.add(faults.SMALL_SPLIT)
    elif len(file.entries) < MIN_RECORDS:
        found.add(faults.TOO_FEW)
    if not file.keyed and len(file.entries) != len(rows):
        counts = f"the file has {len(file.entries)} records, the split {len(rows)} rows"
        found.add(faults.ROW_COUNT._replace(what=counts))
    if file.kind != PREDICTIONS:
        first = file.entries[0]
        short = {"id", "qa_type", "prediction"} <= set(first.fields) and _task_named(first.qa_type) is not None
        if not short and not {"metadata", "question", "answer", "qa_type"} <= set(first.fields):
            found.add(faults.FIRST_RECORD, first.index)


def _record(file: AnswerFile, entry: Entry, found: Faults) -> None:
    """What the fields of a record are."""
    fields = set(entry.fields)
    if len(fields) < len(entry.fields):
        found.add(faults.REPEATED_FIELD, entry.index)
    if not _answer_field(entry):
        found.add(faults.ANSWER_MISSING if file.kind == RESULTS else faults.FIELD_MISSING, entry.index)
    if file.kind == RESULTS:
        return
    if file.kind == SUBMISSION and None in (entry.id, entry.qa_type):
        found.add(faults.ID_MISSING, entry.index)
    extra = fields - _FIELDS[file.kind]
    if extra & _TRUTH_FIELDS:
        found.add(faults.LEAK, entry.index)
    elif extra:
        found.add(faults.EXTRA_FIELDS, entry.index)


def _answer_field(entry: Entry) -> bool:
    return "prediction" in entry.fields or (entry.record is not None and "answer" in entry.fields)


# --- which record answers which row ----------------------------------------------------------------------------


def _by_index(file: AnswerFile, rows: Sequence[PublicSample], found: Faults) -> dict[int, Entry]:
    """Row -> the record with its index."""
    joined, several = answers_by_row(file.entries)
    for row in several:
        found.add(faults.REPEATED_ROW, row)
    _missing_and_beyond(joined, rows, found)
    given = list(dict.fromkeys(entry.index for entry in file.entries))
    for row, in_order in zip(given, sorted(given), strict=True):
        if row != in_order:
            found.add(faults.LINE_ORDER if file.kind == PREDICTIONS else faults.KEY_ORDER, row)
    _identities(joined, rows, found)
    return joined


def _by_place(file: AnswerFile, rows: Sequence[PublicSample], found: Faults) -> dict[int, Entry]:
    """Row -> the record that answers it: the one at its place, or where ids say that it should be."""
    placed = dict(zip((sample.index for sample in rows), file.entries, strict=False))
    if _disordered(file.entries, rows):
        return _by_identity(file.entries, rows, placed, found)
    joined, missing, extra = _align(file.entries, rows)
    moved = [s.index for s in rows if not _holds(joined.get(s.index), placed.get(s.index))]
    if not any(row in joined and joined[row] is not placed.get(row) for row in moved):
        moved = []  # nothing stands elsewhere: rows are missing at the end, or not the data's at all
    if moved:
        gaps = [f"{row_list(missing)} missing"] if missing else []
        gaps += [f"the records at {row_list(extra).replace('row', 'place', 1)} too much"] if extra else []
        fault = faults.SHIFTED._replace(what=faults.SHIFTED.what.format(gaps=", ".join(gaps)))
        for row in moved:
            found.add(fault, row)
    else:
        _missing_and_beyond({**joined, **{entry.index: entry for entry in file.entries}}, rows, found)
    _identities(joined, rows, found)
    return joined


def _disordered(entries: Sequence[Entry], rows: Sequence[PublicSample]) -> bool:
    """Whether these are the right records, each once, and some not at their place."""
    if len(entries) != len(rows) or all(_same(e, s) for e, s in zip(entries, rows, strict=True)):
        return False
    return Counter(map(_key, entries)) == Counter((sample.id, qa_type(sample)) for sample in rows)


def _by_identity(
    entries: Sequence[Entry], rows: Sequence[PublicSample], placed: Mapping[int, Entry], found: Faults
) -> dict[int, Entry]:
    """The records of a file in another order, by id and qa_type where these are of one row only."""
    for sample in rows:
        if not _same(placed[sample.index], sample):
            found.add(faults.ORDER, sample.index)
    count = Counter(map(_key, entries))
    by_key = {_key(entry): entry for entry in entries}
    joined = {}
    for sample in rows:
        key = (sample.id, qa_type(sample))
        if count[key] == 1 or _same(placed[sample.index], sample):
            joined[sample.index] = by_key[key] if count[key] == 1 else placed[sample.index]
    return joined


def _holds(meant: Entry | None, placed: Entry | None) -> bool:
    """Whether the record at a row's place is the one that answers it, or says the same."""
    if meant is None or placed is None:
        return meant is placed
    return meant is placed or meant.prediction == placed.prediction


def _missing_and_beyond(joined: Mapping[int, Entry], rows: Sequence[PublicSample], found: Faults) -> None:
    known = {sample.index for sample in rows}
    for sample in rows:
        if sample.index not in joined:
            found.add(faults.MISSING, sample.index)
    for row in joined:
        if row not in known:
            found.add(faults.BEYOND, row)


def _align(entries: Sequence[Entry], rows: Sequence[PublicSample]) -> tuple[dict[int, Entry], list[int], list[int]]:
    """Walk down both, skipping rows or records where that makes the ids match again: joined, missing, extra."""
    joined: dict[int, Entry] = {}
    missing: list[int] = []
    extra: list[int] = []
    i = j = 0
    long_looks = _LONG_LOOKS  # a lost shard is a long gap; looking for one at every record would be quadratic
    while i < len(entries) and j < len(rows):
        if not _same(entries[i], rows[j]):
            furthest = len(rows) if long_looks > 0 else _SHIFT
            for shift in range(1, furthest + 1):
                if _run(entries, rows, i, j + shift):
                    missing += [sample.index for sample in rows[j : j + shift]]
                    j += shift
                    break
                if _run(entries, rows, i + shift, j):
                    extra += range(i, i + shift)
                    i += shift
                    break
            else:
                long_looks -= 1
        joined[rows[j].index] = entries[i]
        i, j = i + 1, j + 1
    return joined, missing, extra


def _run(entries: Sequence[Entry], rows: Sequence[PublicSample], i: int, j: int) -> bool:
    n = min(_RUN, len(entries) - i, len(rows) - j)
    return n >= 3 and all(_same(entries[i + k], rows[j + k]) for k in range(n))


def _same(entry: Entry, sample: PublicSample) -> bool:
    """Whether what a record says of its row is true; what it does not say is no objection."""
    if entry.id not in (None, sample.id):
        return False
    if isinstance(entry.qa_type, str) and entry.qa_type.endswith(_VARIANTS) and sample.variant:
        return entry.qa_type == qa_type(sample)
    return _task_named(entry.qa_type) in (None, sample.task)


def _key(entry: Entry) -> tuple[Any, Any]:
    return entry.id if isinstance(entry.id, str) else None, entry.qa_type if isinstance(entry.qa_type, str) else None


def _task_named(qa_type: Any) -> str | None:
    """The task whose name stands in a qa_type."""
    return next((task for task in TASKS if task in qa_type), None) if isinstance(qa_type, str) else None


def _identities(joined: Mapping[int, Entry], rows: Sequence[PublicSample], found: Faults) -> None:
    """Ids and qa_types against those of the data, where they are given."""
    known = {sample.id for sample in rows}
    pairs = [(sample, joined[sample.index]) for sample in rows if sample.index in joined]
    given = [(sample, entry) for sample, entry in pairs if entry.id is not None]
    unknown = faults.ID_UNKNOWN if any(sample.id == entry.id for sample, entry in given) else faults.OTHER_SPLIT
    for sample, entry in given:
        if entry.id != sample.id:
            elsewhere = isinstance(entry.id, str) and entry.id in known
            found.add(faults.ID_ELSEWHERE if elsewhere else unknown, sample.index)
    for sample, entry in pairs:
        if entry.qa_type in (None, sample.task, qa_type(sample)):
            continue
        named = _task_named(entry.qa_type)
        found.add(faults.QA_TYPE if named in (None, sample.task) else faults.OTHER_TASK, sample.index)


# --- over all answers ------------------------------------------------------------------------------------------


def _has_text(seen: Mapping[int, set[Fault]], joined: Mapping[int, Entry], sample: PublicSample) -> bool:
    """Whether a row has an answer with content."""
    kinds = {fault.kind for fault in seen.get(sample.index, ())}
    return sample.index in seen and not kinds & {"not_text", "empty", "refused"}


def _copies(answered: Sequence[tuple[PublicSample, str]], seen: Mapping[int, set[Fault]], found: Faults) -> None:
    """The same text for rows of one id but several tasks, or for many clips of one task."""
    by_id: dict[tuple[str, str], list[PublicSample]] = defaultdict(list)
    by_task: dict[tuple[str, str], list[PublicSample]] = defaultdict(list)
    for sample, text in answered:
        by_id[sample.id, text].append(sample)
        if sample.task in ("tal", "stg", "dense_captioning") and len(text) >= len("1.0-2.0 seconds"):
            by_task[sample.task, text].append(sample)
    for (_, text), samples in by_id.items():
        if len({sample.task for sample in samples}) > 1:
            for sample in samples:
                found.add(faults.KEYED_BY_ID, sample.index, value=text)
    total = Counter(sample.task for sample, _ in answered)
    times = {faults.STG_NO_TIME, faults.STG_FIRST_TIME, faults.STG_TIMES}
    for (task, text), samples in by_task.items():
        clips = {(sample.video_id, sample.clip_start_s) for sample in samples}
        if len(clips) >= 5 and len(samples) >= 0.2 * total[task]:
            other_times = sum(bool(times & seen[sample.index]) for sample in samples)
            for sample in samples:
                fault = faults.COPIED_TIMES if 2 * other_times > len(samples) else faults.COPIED
                found.add(fault, sample.index, task, text)


def _clocks(rows: Sequence[PublicSample], found: Faults) -> None:
    """Times after the end of the clip are another clock where many rows have them."""
    total = Counter(sample.task for sample in rows)
    for task in ("tal", "dense_captioning"):
        beyond = found.rows.get((faults.BEYOND_CLIP, task), [])
        if len(beyond) >= max(5, 0.2 * total[task]):
            found.replace(faults.BEYOND_CLIP, faults.OTHER_CLOCK, task)


def _shifted_answers(rows: Sequence[PublicSample], joined: Mapping[int, Entry], found: Faults) -> None:
    """Answers in other tasks' forms, whose forms fit once all are moved by a row or a few."""
    if sum(len(of) for (fault, _), of in found.rows.items() if fault is faults.OTHER_FORM) < max(5, 0.05 * len(rows)):
        return
    texts = [entry.prediction if (entry := joined.get(s.index)) else None for s in rows]
    forms = [form_of(text) if isinstance(text, str) else None for text in texts]

    def fits(shift: int) -> int:
        pairs = ((forms[k + shift], s.task) for k, s in enumerate(rows) if 0 <= k + shift < len(rows))
        return sum(form == task for form, task in pairs)

    best = max(range(-_FURTHEST_SHIFT, _FURTHEST_SHIFT + 1), key=lambda shift: (fits(shift), -abs(shift)))
    if best and fits(best) >= max(1.2 * fits(0), 0.9 * sum(form is not None for form in forms)):
        rows_told = f"{abs(best)} row{'s' * (abs(best) > 1)} {'up' if best > 0 else 'down'}"
        fault = faults.SHIFTED_ANSWERS
        found.add(fault._replace(what=fault.what.format(shift=rows_told)))


def _box_space(answered: Sequence[tuple[PublicSample, str]], found: Faults) -> None:
    """Boxes in 0..1000: no coordinate is larger, and many leave a canvas that is smaller."""
    boxes = [
        (sample, [b for b in used_boxes(sample, stg.parse(text, asked(sample))) if any(b)]) for sample, text in answered
    ]
    large = [(sample, of_row) for sample, of_row in boxes if max((v for box in of_row for v in box), default=0) > 1]
    over = sum(any(v > 1000 for box in of_row for v in box) for _, of_row in large)
    if not large or over > 0.01 * len(large):
        return
    outside = sum(any(excess(box, sample) > 0.05 for box in of_row) for sample, of_row in large)
    wide = [sample for sample, _ in large if sample.canvas.width > 1100]
    if outside >= max(3, 0.1 * len(large)):
        found.forget(faults.STG_OUTSIDE, "stg")
        found.forget(faults.STG_PARTLY, "stg")
        for sample, _ in large:
            found.add(faults.STG_THOUSAND, sample.index, "stg")
    elif len(wide) >= 50:
        for sample in wide:
            found.add(faults.STG_MAYBE_THOUSAND, sample.index, "stg")


def _tasks(
    rows: Sequence[PublicSample], answered: Sequence[tuple[PublicSample, str]], seen: Mapping[int, set[Fault]]
) -> tuple[TaskCount, ...]:
    total = Counter(sample.task for sample in rows)
    with_text = Counter(sample.task for sample, _ in answered)
    read = Counter(sample.task for sample, _ in answered if not _UNREAD & {fault.kind for fault in seen[sample.index]})
    return tuple(
        TaskCount(task, total[task], with_text[task], read[task], read[task] / total[task])
        for task in TASKS
        if total[task]
    )
