"""Any answer file as it stands: raw JSON values and the place of every row, nothing judged and nothing mended.

predictions   {"index": 42, "prediction": "22.0-78.0 seconds.", "finish_reason": "stop", "tokens": 12}   one a line
submission    [{"id": "v1&&0&&20&&0.5", "qa_type": "tal", "prediction": "22.0-78.0 seconds."}, ...]
results       {"0": {"qa_type": "tal", "answer": "22.0-78.0 seconds.", "question": "...", ...}, "1": ...}

A list whose records have `answer` is read as results; a run's folder means the predictions.jsonl in it. Whatever JSON
an answer is, it is kept: the board meets the same value. What cannot be read at all raises InputError.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvidbench_hf.leaderboard.records import kind_of
from medvidbench_hf.leaderboard.submission.findings import shortened
from medvidbench_hf.predictions import FILE_NAME
from medvidbench_hf.sample import InputError

PREDICTIONS, SUBMISSION, RESULTS = "predictions", "submission", "results"

#: Notes on a whole file.
BOM = "the file starts with a byte order mark"
NOT_JSON_NUMBER = "the file holds NaN or Infinity, which are not JSON"
REPEATED_INSIDE = "objects inside rows repeat a key; the last counts"

_EXPECTED = (
    'expected a predictions.jsonl ({"index", "prediction"} a line), a submission (a list of {"id", "qa_type",'
    ' "prediction"}) or a results.json (an object keyed "0", "1", ...)'
)
_ROW_KEY = re.compile(r"0|[1-9][0-9]{0,17}")
_GAP = re.compile(r"[\s,:]*+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of an answer file; a field that the row does not have is None."""

    position: int  # place in the file, from 0
    index: int  # the row of the split that it answers: the file's own index or key, else its place
    id: Any
    qa_type: Any
    prediction: Any
    finish_reason: Any
    tokens: Any
    record: dict[str, Any] | None  # the whole record of a results file
    fields: tuple[str, ...]  # the names that stand in the row; one that is repeated stands twice


@dataclass(frozen=True)
class AnswerFile:
    """An answer file as read. keyed: its rows say which row they answer; else a row's place does."""

    path: Path
    kind: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]
    keyed: bool
    sha256: str


def read_answer_file(path: str | Path) -> AnswerFile:
    """Read predictions, a submission or results, whichever the content is.

    A torn last line of a predictions.jsonl is left out with a warning. Raises InputError that names the file and,
    where there is one, the line and the row.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
        if not path.exists():
            raise InputError(f"{path.parent}: a folder without a {FILE_NAME}; give an answer file or a run's folder")
    if not path.exists():
        raise InputError(f"{path}: no such file; give a run's folder or an answer file")
    if not path.is_file():
        raise InputError(f"{path}: not a file; give an answer file or a run's folder")
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    text = _text(path, raw)
    reader = _Reader()
    if text.startswith("\ufeff"):
        text = text[1:]
        reader.notes[BOM] = None
    if not text.strip():
        raise InputError(f"{path}: is empty; {_EXPECTED}")
    keyed = True
    if _is_lines(path, text, reader):
        kind, entries = PREDICTIONS, _from_lines(path, text, reader)
    else:
        value = _whole(path, text, reader)
        if isinstance(value, dict):
            kind, entries = RESULTS, _from_object(path, value, reader)
        elif isinstance(value, list):
            kind, keyed, entries = _from_list(path, value, reader)
        else:
            raise InputError(f"{path}: {kind_of(value)}; {_EXPECTED}")
    if not entries:
        raise InputError(f"{path}: holds no answer; {_EXPECTED}")
    if reader.repeated:
        reader.notes[REPEATED_INSIDE] = None
    return AnswerFile(path, kind, tuple(entries), tuple(reader.notes), keyed, hashlib.sha256(raw).hexdigest())


def answers_by_row(entries: Sequence[Entry]) -> tuple[dict[int, Entry], tuple[int, ...]]:
    """Row -> its answer, the last one that did not end in an error; and the rows that have several of these."""
    found: dict[int, Entry] = {}
    several: dict[int, None] = {}
    for entry in entries:
        before = found.get(entry.index)
        if before is None or before.finish_reason == "error":
            found[entry.index] = entry
        elif entry.finish_reason != "error":
            several[entry.index] = None
            found[entry.index] = entry
    return found, tuple(several)


class _Reader:
    """A JSON decoder that remembers what it met: repeated keys, and numbers that are not JSON."""

    def __init__(self) -> None:
        self.notes: dict[str, None] = {}
        self.repeated: dict[int, tuple[dict[str, Any], list[tuple[str, Any]]]] = {}  # id of an object -> it, its pairs
        self.json = json.JSONDecoder(object_pairs_hook=self._object, parse_constant=self._constant)

    def pairs(self, value: dict[str, Any]) -> list[tuple[str, Any]]:
        """What stood in an object, repeats too."""
        _, pairs = self.repeated.pop(id(value), (value, None))
        return list(value.items()) if pairs is None else pairs

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            self.repeated[id(found)] = (found, pairs)  # holds the object, so that no other gets its id
        return found

    def _constant(self, name: str) -> float:
        self.notes[NOT_JSON_NUMBER] = None
        return float(name)


# --- text ------------------------------------------------------------------------------------------------------


def _text(path: Path, raw: bytes) -> str:
    """The file as text, a byte order mark included. Raises InputError where it is not UTF-8."""
    if raw[:2] == b"\x1f\x8b":
        raise InputError(f"{path}: is compressed (gzip); unpack it first")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw[:4]:
        raise InputError(f"{path}: byte 0: looks like UTF-16 or UTF-32; save the file as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":  # cut inside a character: what follows will find the cut
            return raw[: error.start].decode("utf-8") + "\ufffd"
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} line {line}: byte {error.start} (0x{raw[error.start]:02x}) is not UTF-8; save the file as UTF-8"
        ) from None


def _is_lines(path: Path, text: str, reader: _Reader) -> bool:
    """Whether the file has an object a line: by its name, or as its first line is an object with an index."""
    first = text.lstrip().partition("\n")[0]
    if not first.startswith("{"):
        return False
    if path.suffix == ".jsonl":
        return True
    found = False
    if '"index"' in first:
        with suppress(ValueError, RecursionError):
            found = "index" in reader.json.decode(first)
        reader.repeated.clear()
    return found


def _whole(path: Path, text: str, reader: _Reader) -> Any:
    try:
        return reader.json.decode(text)
    except (ValueError, RecursionError) as error:
        reader.repeated.clear()
        where = f"row {_whole_rows(text, reader)}"
        if isinstance(error, json.JSONDecodeError):
            if error.msg == "Extra data":
                raise InputError(f"{path} line {error.lineno}: text after the end of the JSON; {_EXPECTED}") from None
            where = f"line {error.lineno} {where}"
            rest = text[error.pos :].rstrip()
            at_end = len(rest) <= len("\\u123") and not rest.endswith(("]", "}"))
            if text.lstrip()[0] in "[{" and (at_end or error.msg.startswith("Unterminated string")):
                raise InputError(f"{path} {where}: the file is cut off here; write or copy it again") from None
        raise InputError(f"{path} {where}: not JSON ({_why(error)})") from None


def _whole_rows(text: str, reader: _Reader) -> int:
    """How many rows of a list or an object can be read before it breaks."""
    text = text.lstrip()
    parts, at = 0, 1
    with suppress(ValueError, RecursionError):
        while True:
            at = _GAP.match(text, at).end()  # type: ignore[union-attr]
            _, at = reader.json.raw_decode(text, at)
            parts += 1
    return parts // 2 if text[0] == "{" else parts


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "a whole number of more than 4,300 digits"


# --- rows ------------------------------------------------------------------------------------------------------


def _from_lines(path: Path, text: str, reader: _Reader) -> list[Entry]:
    entries: list[Entry] = []
    lines = text.split("\n")
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = reader.json.decode(line)
        except (ValueError, RecursionError) as error:
            if n == len(lines) > 1:  # without a line end: a kill tore it
                warnings.warn(f"{path}: the last line is cut off and left out", stacklevel=3)
                break
            raise InputError(f"{path} line {n} is not JSON ({_why(error)})") from None
        if not isinstance(record, dict):
            raise InputError(f"{path} line {n} is {kind_of(record)}, expected an object")
        entries.append(_indexed(f"{path} line {n}", len(entries), record, reader))
    return entries


def _from_object(path: Path, value: dict[str, Any], reader: _Reader) -> list[Entry]:
    pairs = reader.pairs(value)
    wrong = next((key for key in value if not _ROW_KEY.fullmatch(key)), None)
    if wrong is not None:
        if not any(map(_ROW_KEY.fullmatch, value)):
            keys = ", ".join(f"{key[:40]!a}" for key in list(value)[:5])
            raise InputError(f"{path}: an object with {len(value)} keys ({keys}); {_EXPECTED}")
        raise InputError(f"{path} key {wrong[:40]!a}: no row index; the keys of a results.json are 0, 1, 2, ...")
    entries = []
    for position, (key, record) in enumerate(pairs):
        if not isinstance(record, dict):
            raise InputError(f"{path} key {key} is {kind_of(record)}, expected an object")
        entries.append(_entry(position, int(key), record, reader, whole=True))
    return entries


def _from_list(path: Path, value: list[Any], reader: _Reader) -> tuple[str, bool, list[Entry]]:
    """kind, keyed, entries."""
    for position, record in enumerate(value):
        if not isinstance(record, dict):
            raise InputError(f"{path} row {position} is {kind_of(record)}, expected an object")
    if value and "index" in value[0] and "id" not in value[0]:
        rows = (_indexed(f"{path} row {n}", n, record, reader) for n, record in enumerate(value))
        return PREDICTIONS, True, list(rows)
    whole = any("answer" in record for record in value) and not any("prediction" in record for record in value)
    entries = [_entry(n, n, record, reader, whole) for n, record in enumerate(value)]
    return RESULTS if whole else SUBMISSION, False, entries


def _indexed(where: str, position: int, record: dict[str, Any], reader: _Reader) -> Entry:
    if "index" not in record:
        raise InputError(f"{where} field index: missing; {_EXPECTED}")
    index = record["index"]
    if type(index) is not int or not 0 <= index < 2**63:
        shown = str(index)[:40] if type(index) is int else shortened(index)
        raise InputError(f"{where} field index: {shown}, expected a row's index")
    return _entry(position, index, record, reader, whole=False)


def _entry(position: int, index: int, record: dict[str, Any], reader: _Reader, whole: bool) -> Entry:
    answer = "answer" if whole and "answer" in record else "prediction"
    return Entry(
        position,
        index,
        record.get("id"),
        record.get("qa_type"),
        record.get(answer),
        record.get("finish_reason"),
        record.get("tokens"),
        record if whole else None,
        tuple(name for name, _ in reader.pairs(record)),
    )
