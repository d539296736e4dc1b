"""What the modules over rows share: rows of `load_dataset` and texts in, columns of the one scorer out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from datasets import Dataset, Features, IterableDataset, Value

from medvidbench_hf.evaluation.score import COLUMNS, PROTOCOLS, score_predictions
from medvidbench_hf.metrics.checked import CheckedMetric, encodable, lists
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError, Sample, features

INPUTS = """
Args:
    predictions (list of str): a model's answers, one for each row; "" where it gave none.
    references (list of dict, or a Dataset): the rows they answer, as `load_dataset` gives them, all of one split.
        The `video` column is never read.
    protocol (str): "strict" (default): every row counts, what cannot be read is wrong. "leaderboard": as the board
        computes the column, oddities included. "both": a result each.

Returns:
    dict: column -> 0..1, or None where no row was given or (the *_llm columns) a judge would be needed;
    n: rows; parsed: answers that the protocol could read;
    findings: leaderboard only, where there are any: a line for each oddity that moved a number.
    With protocol="both": {"leaderboard": {...}, "strict": {...}}.
"""


def metric_features() -> Features:
    """The inputs of every module: an answer, and a row without its clip."""
    row = {name: feature for name, feature in features().items() if name != "video"}
    return Features({"predictions": Value("string"), "references": row})


class RowMetric(CheckedMetric):
    """A metric of `columns` over rows of our data. Subclasses name the columns and describe themselves.

    Rows may be added as a list or as a batch of `rows.iter(batch_size)`. Import this class as `rows.RowMetric`:
    `evaluate` takes the first metric class that it finds in a module.
    """

    columns: ClassVar[tuple[str, ...]]
    inputs = INPUTS
    form = metric_features()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose rows the columns score."""
        return tuple(dict.fromkeys(COLUMNS[column][0] for column in self.columns))

    def _checked(self, predictions: Any, references: Any) -> tuple[list[str], list[dict[str, Any]]]:
        """Copies in the form of `metric_features`."""
        if isinstance(references, Mapping) and all(isinstance(column, list) for column in references.values()):
            references = [dict(zip(references, row, strict=True)) for row in zip(*references.values(), strict=True)]
        if isinstance(references, Dataset | IterableDataset) and "video" in (references.column_names or ()):
            references = references.remove_columns(["video"])  # so that no clip is opened
        predictions, references = lists(predictions, references)
        texts, rows = [], []
        for k, (text, row) in enumerate(zip(predictions, references, strict=True)):
            if not isinstance(row, Mapping):
                raise InputError(f"references[{k}] is {type(row).__name__}, expected a row of load_dataset")
            sample = Sample.from_row({**row, "video": None})
            where = f"{sample.split}[{sample.index}]"
            if sample.task not in self.tasks:
                raise InputError(f"{where} is a {sample.task} row; {self.name} scores {', '.join(self.tasks)}")
            if sample.truth is None and sample.answer is None:
                raise InputError(f"{where}: this split has no ground truth: it cannot be scored here")
            try:
                Prediction(sample.index, text)
            except InputError as error:
                raise InputError(f"predictions[{k}] for {where} {error}") from None
            texts.append(encodable(text))
            rows.append(encodable(sample.to_row()))
        return texts, rows

    def _compute(self, predictions: list[str], references: list[dict[str, Any]], protocol: str = "strict") -> Any:
        if protocol not in (*PROTOCOLS, "both"):
            raise InputError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}, both")
        samples = [Sample.from_row({**row, "video": None}) for row in references]
        _check_keys(samples)
        given = {s.index: Prediction(s.index, text) for s, text in zip(samples, predictions, strict=True)}
        wanted = PROTOCOLS if protocol == "both" else (protocol,)
        results = {name: self._result(score_predictions(samples, given, protocol=name)) for name in wanted}
        return results if protocol == "both" else results[protocol]

    def _result(self, report: dict[str, Any]) -> dict[str, Any]:
        result = {column: report["metrics"][column] for column in self.columns}
        counts = {COLUMNS[column][0]: report["n"][column] for column in self.columns}  # columns of a task share them
        result["n"] = sum(count["rows"] for count in counts.values())
        result["parsed"] = sum(count["parsed"] for count in counts.values())
        if report.get("findings"):
            result["findings"] = report["findings"]
        return result


def _check_keys(samples: list[Sample]) -> None:
    if not samples:
        raise InputError("no row was given")
    splits = sorted({sample.split for sample in samples})
    if len(splits) > 1:
        raise InputError(f"references are rows of {', '.join(splits)}: score one split at a time")
    [[index, times]] = Counter(sample.index for sample in samples).most_common(1)
    if times > 1:
        raise InputError(f"{splits[0]}[{index}] was given {times} times: each row has one answer")
