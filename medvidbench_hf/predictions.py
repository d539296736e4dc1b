"""predictions.jsonl: one answer a line, appended as they come, keyed by the row's index.

    {"index": 42, "prediction": "22.0-78.0 seconds.", "finish_reason": "stop", "tokens": 12}

The fields are a closed list, so nothing of the truth can be copied in; `id` and `qa_type` of the row may stand beside
them, and a score compares them with the data's. A torn last line, left by a kill, is dropped
when the file is read and cut off when it is continued.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from medvidbench_hf.sample import InputError

FINISH_REASONS = ("stop", "length", "refusal", "error")
FILE_NAME = "predictions.jsonl"
_FIELDS = ("index", "prediction", "finish_reason", "tokens")
_NAMES = ("id", "qa_type")  # of the row, to be compared


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to one row. finish_reason says how it ended; tokens counts what was generated."""

    index: int
    prediction: str
    finish_reason: str = "stop"
    tokens: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.index, int) or isinstance(self.index, bool) or not 0 <= self.index < 2**63:
            raise InputError(f"field index: {self.index!r}, expected a row's index")
        if not isinstance(self.prediction, str):
            raise InputError(f"field prediction: {type(self.prediction).__name__}, expected text")
        if self.finish_reason not in FINISH_REASONS:
            raise InputError(
                f"field finish_reason: {self.finish_reason!r}, expected one of {', '.join(FINISH_REASONS)}"
            )
        if self.tokens is not None and (type(self.tokens) is not int or self.tokens < 0):
            raise InputError(f"field tokens: {self.tokens!r}, expected a count")


def read_predictions(path: str | Path) -> dict[int, Prediction]:
    """Read a predictions.jsonl, or the one in a run's folder; index -> Prediction.

    An index may come again only after an answer that ended in an error: the later line counts. Raises InputError that
    names the line and the field.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give a run's folder or a predictions.jsonl") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    found: dict[int, Prediction] = {}
    for n, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if n == 1 else "utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            if n == len(lines) > 1:  # without a line end: a kill tore it
                warnings.warn(f"{path}: the last line is cut off and left out", stacklevel=2)
                break
            raise InputError(f"{path} line {n} is not JSON ({error})") from None
        try:
            prediction = _prediction(record)
        except InputError as error:
            raise InputError(f"{path} line {n} {error}") from None
        before = found.get(prediction.index)
        if before is not None and before.finish_reason != "error":
            raise InputError(f"{path} line {n} field index: {prediction.index} was answered on an earlier line")
        found[prediction.index] = prediction
    if not found:
        raise InputError(f"{path}: holds no prediction")
    return found


class PredictionLog:
    """Appends predictions to a file; what is written survives a kill. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        cut_torn_line(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def write(self, prediction: Prediction) -> None:
        self._file.write(json.dumps(asdict(prediction)) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that has no line end."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _prediction(record: Any) -> Prediction:
    if not isinstance(record, dict):
        raise InputError(f"is a JSON {type(record).__name__}, expected an object")
    for field in ("index", "prediction"):
        if field not in record:
            raise InputError(f"field {field}: missing")
    unknown = sorted(record.keys() - {*_FIELDS, *_NAMES})
    if unknown:
        raise InputError(
            f"field {unknown[0]!a}: not known; a prediction has {', '.join((*_FIELDS, *_NAMES))} and nothing else"
        )
    for field in _NAMES:
        if not isinstance(record.get(field, ""), str):
            raise InputError(f"field {field}: {type(record[field]).__name__}, expected text")
    return Prediction(**{field: record[field] for field in _FIELDS if field in record})


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
