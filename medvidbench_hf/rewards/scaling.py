"""From raw rewards to rewards, as reward functions do it: by the statistics of each row's pair, under watch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np

from medvidbench_hf.rewards.normalise import NORMALISERS, normalise
from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.statistics import Statistics
from medvidbench_hf.rewards.watch import LogMetric, Watch, evaluates
from medvidbench_hf.sample import InputError

BOUNDED = ("logistic", "percentile")

Rewards = list[float | None]
#: as TRL calls them: (prompts=, completions=, <every column as a list>, log_metric=, ...) -> a reward or None each
RewardFunction = Callable[..., Rewards] | Callable[..., Awaitable[Rewards]]


class Scaling:
    """Raw rewards -> rewards, by the statistics of each row's pair."""

    def __init__(self, statistics: Statistics | Running | None, method: str) -> None:
        if method not in NORMALISERS:
            raise InputError(f"method: {method!a}, expected one of {', '.join(NORMALISERS)}")
        self.method = method
        self.running = statistics if isinstance(statistics, Running) else None
        self.fixed = statistics.fixed if isinstance(statistics, Running) else statistics
        self.about: Mapping[str, Any] = self.fixed.about if self.fixed else {}
        acts = self.fixed is not None and method != "none"
        self.watch = Watch(normalises=acts, bounded=acts and method in BOUNDED, running=self.running)

    def check(self, pairs: Sequence[str], components: Sequence[str]) -> None:
        """Raises InputError for a pair without statistics."""
        if self.fixed is not None:
            for pair in dict.fromkeys(pairs):
                for component in components:
                    self.fixed.of(pair, component)

    def __call__(
        self, raws: Sequence[float | None], pairs: Sequence[str], component: str, log_metric: LogMetric | None = None
    ) -> Rewards:
        now = self.running.statistics if self.running else self.fixed
        if now is None:
            return list(raws)
        made = normalise(raws, pairs, now, component, self.method)
        if self.running and not evaluates(log_metric):
            self.running.update(pairs, raws, component)
        return [None if np.isnan(value) else value for value in made.tolist()]


def placed(places: Sequence[int], values: Sequence[float | None], n: int) -> Rewards:
    """The values at their places in a batch of n, None elsewhere."""
    rewards: Rewards = [None] * n
    for k, value in zip(places, values, strict=True):
        rewards[k] = value
    return rewards


def is_column(values: Any, n: int) -> bool:
    """Whether a keyword argument of a reward function holds a value for each of n completions."""
    if isinstance(values, np.ndarray):
        return values.ndim > 0 and len(values) == n
    return isinstance(values, list | tuple) and len(values) == n
