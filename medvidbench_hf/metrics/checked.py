"""What every module shares: entries are checked as they are added, so that an error names the entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import evaluate
from datasets import Features

from medvidbench_hf.sample import InputError

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


class CheckedMetric(evaluate.Metric):
    """A metric that says in `_checked` what an entry may be. Subclasses describe themselves.

    Import this class as `checked.CheckedMetric`: `evaluate` takes the first metric class that it finds in a module.
    """

    about: ClassVar[str]
    inputs: ClassVar[str]
    example: ClassVar[str]
    form: ClassVar[Features]

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.about,
            citation=CITATION,
            inputs_description=self.inputs + self.example,
            features=self.form,
            homepage=PAPER,
            license="Apache-2.0",
            reference_urls=[PAPER],
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add predictions and what they answer. Raises InputError that names the entry."""
        given, expected = self._checked(predictions, references)
        super().add_batch(predictions=given, references=expected, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one prediction and what it answers. Raises InputError that names what is wrong with it."""
        # `evaluate.combine` calls add with the names of add_batch.
        one, answered = kwargs.pop("predictions", prediction), kwargs.pop("references", reference)
        given, expected = self._checked([one], [answered])
        super().add(prediction=given[0], reference=expected[0], **kwargs)

    def _checked(self, predictions: Any, references: Any) -> tuple[list[Any], list[Any]]:
        """Both as lists of one length in the form of `form`. Raises InputError."""
        raise NotImplementedError

    def _enforce_nested_string_type(self, schema: Any, obj: Any) -> None:
        """Nothing: `evaluate` refuses None in a string or a struct, which rows hold; `_checked` knows better."""


def lists(predictions: Any, references: Any) -> tuple[list[Any], list[Any]]:
    """Both as lists. Raises InputError unless they are of one length."""
    for name, value in (("predictions", predictions), ("references", references)):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise InputError(f"{name} is {type(value).__name__}, expected a list with one entry each")
    predictions, references = list(predictions), list(references)
    if len(predictions) != len(references):
        raise InputError(f"{len(predictions)} predictions for {len(references)} references")
    return predictions, references


def encodable(value: Any) -> Any:
    """The same with half surrogate pairs as "?": Arrow takes none."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [encodable(item) for item in value]
        case dict():
            return {key: encodable(item) for key, item in value.items()}
    return value
