"""What `medvidbench_judge` computes: captions in, five scores from 1 to 5 for each out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, Value

from medvidbench_hf import judge as judges
from medvidbench_hf.endpoint import Budget, Endpoint, ReplyCache
from medvidbench_hf.metrics.checked import encodable
from medvidbench_hf.sample import InputError

LEXICON = "lexicon"
FORM = Features({"predictions": Value("string"), "references": Value("string")})


def entries(candidates: list[Any], references: list[Any]) -> tuple[list[str], list[str]]:
    """Both as texts that Arrow takes. Raises InputError that names the entry."""
    for name, values in (("predictions", candidates), ("references", references)):
        for k, value in enumerate(values):
            if not isinstance(value, str):
                raise InputError(f"{name}[{k}] is {type(value).__name__}, expected text")
    for k, reference in enumerate(references):
        if not reference.strip():
            raise InputError(f"references[{k}] is empty: there is nothing to compare with")
    return encodable(candidates), encodable(references)


def judged(
    candidates: Sequence[str],
    references: Sequence[str],
    judge: str = LEXICON,
    *,
    rubric: str = "comparative",
    domain: str = "surgical_video",
    task: str = "",
    base_url: str | None = None,
    budget_usd: float | None = None,
    budget_tokens: int | None = None,
    cache: str | Path | None = None,
    concurrency: int = 32,
) -> dict[str, Any]:
    """The metric's result. A model's key is that of OPENAI_API_KEY.

    Raises InputError; with a model JudgeStopped, where too many judgements fail, and BudgetSpent.
    """
    if not candidates:
        raise InputError("no caption was given")
    pairs = [judges.Pair(reference, text, task) for reference, text in zip(references, candidates, strict=True)]
    if judge == LEXICON:
        for_models = {
            "rubric": rubric != "comparative",
            "domain": domain != "surgical_video",
            "base_url": base_url is not None,
            "budget_usd": budget_usd is not None,
            "budget_tokens": budget_tokens is not None,
            "cache": cache is not None,
        }
        useless = [name for name, given in for_models.items() if given]
        if useless:
            raise InputError(f"{', '.join(useless)}: only for a model, and judge is {LEXICON!r}")
        return summary(judges.LexiconJudge().judge(pairs))
    asked = judges.rubric(rubric, domain)
    endpoint = Endpoint(
        judge, base_url=base_url, concurrency=concurrency, budget=Budget(usd=budget_usd, tokens=budget_tokens)
    )
    with nullcontext() if cache is None else ReplyCache(cache) as kept:
        return summary(_outside_any_loop(judges.LLMJudge(endpoint, asked, cache=kept), pairs))


def summary(verdicts: judges.Verdicts) -> dict[str, Any]:
    """Means over the pairs that were judged, None where none was; the scores of each pair."""
    scores = [judgement.scores for judgement in verdicts.judgements if judgement]  # (judged, 5)
    means = np.mean(scores, axis=0).tolist() if scores else [None] * len(judges.DIMENSIONS)
    result: dict[str, Any] = {
        "judge": verdicts.judge,
        "rubric": verdicts.rubric,
        "mean": float(np.mean(scores)) if scores else None,
        **dict(zip(judges.DIMENSIONS, means, strict=True)),
        "n": len(verdicts.judgements),
        "failed": len(verdicts.failures),
        "per_pair": [judgement and [float(score) for score in judgement.scores] for judgement in verdicts.judgements],
    }
    if verdicts.failures:
        result["failures"] = [f"predictions[{k}]: {reason}" for k, reason in verdicts.failures]
    return result


def _outside_any_loop(judge: judges.LLMJudge, pairs: list[judges.Pair]) -> judges.Verdicts:
    """What the judge says, also in a notebook, where an event loop runs already and `compute` cannot await."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return judge.judge(pairs, progress=True)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(judge.judge, pairs, progress=True).result()
