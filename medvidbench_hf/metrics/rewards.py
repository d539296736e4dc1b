"""What `medvidbench_normalized_reward` computes: raw rewards of unlike tasks in, rewards that can be mixed out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, Value

from medvidbench_hf.metrics.checked import encodable
from medvidbench_hf.rewards import Statistics, normalise, saturated, spread_of
from medvidbench_hf.rewards.compare import BOUNDED
from medvidbench_hf.rewards.statistics import Floats, numbers, refuse_infinite
from medvidbench_hf.sample import InputError

FORM = Features({"predictions": Value("float64"), "references": Value("string")})


def entries(raw: list[Any], pairs: list[Any]) -> tuple[list[float | None], list[str]]:
    """Floats, NaN as None; and texts that Arrow takes. Raises InputError that names the entry."""
    values = numbers(raw, "predictions", ndim=1)
    refuse_infinite(values, "predictions")
    for k, pair in enumerate(pairs):
        if not isinstance(pair, str):
            raise InputError(f"references[{k}]: {pair!a:.80}, expected the name of a pair such as 'CoPESD/stg'")
    return _or_none(values), encodable(pairs)


def rewarded(
    raw: Sequence[float | None],
    pairs: Sequence[str],
    statistics: Statistics | Mapping[str, Any] | str | Path | None = None,
    component: str = "score",
    method: str = "logistic",
) -> dict[str, Any]:
    """The metric's result. Raises InputError."""
    if statistics is None:
        raise InputError(
            "statistics: none given; make them of your SFT model's answers with `medvidbench rewards stats`, or of "
            "arrays with medvidbench_hf.rewards.fit"
        )
    if not pairs:
        raise InputError("no reward was given")
    values = numbers(raw)  # (n,)
    rewards = normalise(values, pairs, statistics_of(statistics), component, method)  # (n,)
    for k in np.flatnonzero(np.isinf(rewards)):
        raise InputError(
            f"predictions[{k}]: {values[k]:g} is too large for {method!a}, whose reward of it is {rewards[k]}"
        )
    names = np.array(pairs, dtype=object)
    by_pair = {}
    for pair in dict.fromkeys(pairs):
        here = names == pair
        bounded = method in BOUNDED and not np.isnan(rewards[here]).all()
        by_pair[pair] = {
            **_counts(rewards[here]),
            "raw": _mean(values[here]),
            "reward": _mean(rewards[here]),
            "saturated": saturated(rewards[here]) if bounded else None,
        }
    return {"rewards": _or_none(rewards), "by_pair": by_pair, "mean": _mean(rewards), **_counts(rewards)}


def statistics_of(given: Statistics | Mapping[str, Any] | str | Path) -> Statistics:
    """Statistics as they are, of a file's path, or of the object in a file. Raises InputError."""
    match given:
        case Statistics():
            return given
        case str() | Path():
            return Statistics.read(given)
        case Mapping():
            try:
                text = json.dumps(dict(given))
            except (TypeError, ValueError, RecursionError) as error:
                raise InputError(f"statistics: the object is not JSON ({error})") from None
            return Statistics.from_json(text)
    raise InputError(f"statistics: {type(given).__name__}, expected a file's path or what rewards.fit returns")


def _counts(rewards: Floats) -> dict[str, int]:
    return {"n": len(rewards), "unrewarded": int(np.isnan(rewards).sum())}


def _mean(values: Floats) -> float | None:
    """Of those that are not NaN, whose sum may be too large for a float; None of none."""
    here = values[~np.isnan(values)]
    return spread_of(here).mean if here.size else None


def _or_none(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
