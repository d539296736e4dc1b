"""Normalisation for reward functions of other tasks: whatever TRL takes as a reward function, wrapped.

    statistics = fit(pairs, raw)                                   # raw rewards of the model before training
    rewards = normalised(my_reward, statistics, pair=lambda row: row["subject"])
    trainer = GRPOTrainer(model, reward_funcs=rewards, args=GRPOConfig(scale_rewards="none", ...), ...)

A pair is whatever has a scale of rewards of its own: a data set, a task, a level of difficulty.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.scaling import RewardFunction, Rewards, Scaling, is_column, placed
from medvidbench_hf.rewards.statistics import Statistics, numbers, refuse_infinite
from medvidbench_hf.rewards.watch import content
from medvidbench_hf.sample import InputError

_OWN = ("completions", "completion_ids")  # of each completion; its prompt's others share all other columns


def normalised(
    reward_fn: RewardFunction,
    statistics: Statistics | Running,
    pair: str | Callable[[Mapping[str, Any]], str] | None = None,
    *,
    component: str = "score",
    method: str = "logistic",
) -> RewardFunction:
    """Any reward function of TRL, with its rewards normalised, logged and watched; sync or async as it was.

    pair: the pair of the statistics that all rows are of, or a function from a row's columns to it; None takes
    "<source>/<task>" from the columns. A row that reward_fn gives None is of no pair. Raises InputError for a reward
    that is infinite or no number.
    """
    if not callable(reward_fn):
        raise InputError(f"reward_fn: {type(reward_fn).__name__}, expected a function; a reward model is none")
    scaling, pair_of = Scaling(statistics, method), functools.partial(_pair_of, pair)

    def finish(values: Sequence[float | None], given: Mapping[str, Any]) -> Rewards:
        columns = {column: value for column, value in given.items() if is_column(value, len(values))}
        theirs = [k for k, value in enumerate(values) if value is not None]
        rows = [{column: value[k] for column, value in columns.items()} for k in theirs]
        raws = _numbers(values, wrapped.__name__)
        pairs = [pair_of(row) for row in rows]
        log_metric = given.get("log_metric")
        scaling.watch.start(log_metric)
        made = scaling(raws, pairs, component, log_metric)
        refuse_infinite(numbers(made), f"{wrapped.__name__}: rewards by {method}")
        groups = [content({column: value for column, value in row.items() if column not in _OWN}) for row in rows]
        scaling.watch.rewards(log_metric, pairs, groups, raws, made, {component: made})
        return placed(theirs, made, len(values))

    if _is_async(reward_fn):

        async def asynchronous(*args: Any, **given: Any) -> Rewards:
            return finish(await reward_fn(*args, **given), given)  # type: ignore[misc]

        wrapped: RewardFunction = asynchronous
    else:

        def synchronous(*args: Any, **given: Any) -> Rewards:
            return finish(reward_fn(*args, **given), given)  # type: ignore[arg-type]

        wrapped = synchronous
    wrapped.__name__ = getattr(_unwrapped(reward_fn), "__name__", type(reward_fn).__name__)
    return wrapped


def _numbers(values: Sequence[Any], name: str) -> list[float]:
    """The rewards that the function of that name gave, without None. Raises InputError."""
    try:
        raws = [None if value is None else float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: a reward is no number ({error})") from None
    refuse_infinite(np.array(raws, dtype=np.float64), f"{name}: rewards")
    return [value for value in raws if value is not None]


def _pair_of(pair: str | Callable[[Mapping[str, Any]], str] | None, row: Mapping[str, Any]) -> str:
    if isinstance(pair, str):
        return pair
    if pair is not None:
        return pair(row)
    if "source" not in row or "task" not in row:
        raise InputError("no columns source and task: say with pair= which pair of the statistics a row is of")
    return f"{row['source']}/{row['task']}"


def _is_async(function: Callable[..., Any]) -> bool:
    function = _unwrapped(function)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
