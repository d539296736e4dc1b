"""What the three modules share: rows of `load_dataset` and texts go in, columns of the one scorer come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import evaluate
from datasets import Dataset, Features, IterableDataset, Value

from medvidbench_hf.evaluation.score import COLUMNS, PROTOCOLS, score_predictions
from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import InputError, Sample, features

PAPER = "https://arxiv.org/abs/2512.06581"
CITATION = """\
@inproceedings{su2026medgrpo,
  title     = {MedGRPO: Multi-Task Reinforcement Learning for Heterogeneous Medical Video Understanding},
  author    = {Su, Yuhao and Choudhuri, Anwesa and Gao, Zhongpai and Planche, Benjamin and Nguyen, Van Nguyen and
               Zheng, Meng and Shen, Yuhan and Innanje, Arun and Chen, Terrence and Elhamifar, Ehsan and Wu, Ziyan},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2026},
  note      = {arXiv:2512.06581}
}
"""
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


class RowMetric(evaluate.Metric):
    """A metric of `columns` over rows of our data. Subclasses name the columns and describe themselves.

    Import this class as `rows.RowMetric`: `evaluate` takes the first metric class that it finds in a module.
    """

    columns: ClassVar[tuple[str, ...]]
    about: ClassVar[str]
    example: ClassVar[str]

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.about,
            citation=CITATION,
            inputs_description=INPUTS + self.example,
            features=metric_features(),
            homepage=PAPER,
            license="Apache-2.0",
            reference_urls=[PAPER],
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose rows the columns score."""
        return tuple(dict.fromkeys(COLUMNS[column][0] for column in self.columns))

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add answers and the rows they answer, as a list or as a batch of `rows.iter(batch_size)`.

        Raises InputError that names the row and the field.
        """
        texts, rows = self._checked(predictions, references)
        super().add_batch(predictions=texts, references=rows, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one answer and the row it answers. Raises InputError that names the row and the field."""
        # `evaluate.combine` calls add with the names of add_batch.
        one, row = kwargs.pop("predictions", prediction), kwargs.pop("references", reference)
        texts, rows = self._checked([one], [row])
        super().add(prediction=texts[0], reference=rows[0], **kwargs)

    def _checked(self, predictions: Any, references: Any) -> tuple[list[str], list[dict[str, Any]]]:
        """Copies in the form of `metric_features`."""
        if isinstance(references, Mapping) and all(isinstance(column, list) for column in references.values()):
            references = [dict(zip(references, row, strict=True)) for row in zip(*references.values(), strict=True)]
        for name, value in (("predictions", predictions), ("references", references)):
            if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
                raise InputError(f"{name} is {type(value).__name__}, expected a list with one entry a row")
        if isinstance(references, Dataset | IterableDataset) and "video" in (references.column_names or ()):
            references = references.remove_columns(["video"])  # so that no clip is opened
        predictions, references = list(predictions), list(references)
        if len(predictions) != len(references):
            raise InputError(f"{len(predictions)} predictions for {len(references)} references")
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
            texts.append(_encodable(text))
            rows.append(_encodable(sample.to_row()))
        return texts, rows

    def _enforce_nested_string_type(self, schema: Any, obj: Any) -> None:
        """Nothing: `evaluate` refuses None in a string or a struct, which rows hold; `_checked` knows better."""

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


def _encodable(value: Any) -> Any:
    """The same with half surrogate pairs as "?": Arrow takes none."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
    return value


def _check_keys(samples: list[Sample]) -> None:
    if not samples:
        raise InputError("no row was given")
    splits = sorted({sample.split for sample in samples})
    if len(splits) > 1:
        raise InputError(f"references are rows of {', '.join(splits)}: score one split at a time")
    [[index, times]] = Counter(sample.index for sample in samples).most_common(1)
    if times > 1:
        raise InputError(f"{splits[0]}[{index}] was given {times} times: each row has one answer")
