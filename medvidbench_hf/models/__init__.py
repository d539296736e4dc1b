"""Models that answer questions. A model sees `PublicSample`s only and knows no task's truth.

`prior` is the model that looks at nothing: the statistics of the train split, the line every other has to pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from medvidbench_hf.predictions import Prediction
from medvidbench_hf.sample import PublicSample


class Model(Protocol):
    """What `evaluation.run` asks of a model: its name, and answers in the order of the questions."""

    name: str

    def answers(self, samples: Iterable[PublicSample]) -> Iterator[Prediction]: ...
