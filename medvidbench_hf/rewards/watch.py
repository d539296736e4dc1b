"""What training is told of its rewards: figures by source and task, and two warnings."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from medvidbench_hf.rewards.normalise import advantages, saturated
from medvidbench_hf.rewards.statistics import numbers

MOST_SATURATED = 0.05  # share of a pair's rewards, before it is warned about
COUNTED = 100  # rewards of a pair that the share is taken of

LogMetric = Callable[[str, float], None]


class Watch:
    """Logs and warns for reward functions of one training.

    normalises: whether rewards are normalised at all; bounded: whether they lie in 0..1, so that they can saturate.
    """

    def __init__(self, normalises: bool, bounded: bool) -> None:
        self.normalises, self.bounded = normalises, bounded
        self._warned: set[str] = set()
        self._counts: dict[str, tuple[int, float]] = {}  # pair -> rewards seen, those of them saturated

    def trainer(self, log_metric: LogMetric | None) -> None:
        """Warn where the trainer undoes the normalisation. TRL hands out `log_metric` as a method of its trainer."""
        trainer = getattr(log_metric, "__self__", None)
        if not self.normalises or "trainer" in self._warned:
            return
        undone = ""
        if getattr(trainer, "multi_objective_aggregation", None) == "normalize_then_sum":
            undone = 'multi_objective_aggregation="normalize_then_sum"'
        elif getattr(trainer, "scale_rewards", None) == "group":
            undone = 'scale_rewards="group"'
        if undone:
            self._warned.add("trainer")
            warnings.warn(
                f"{undone} divides each group of completions by its own spread, which cancels the normalisation by "
                'source and task: set scale_rewards="none" (or "batch") in GRPOConfig, with '
                'multi_objective_aggregation="sum_then_normalize"',
                stacklevel=2,
            )

    def rewards(
        self,
        log_metric: LogMetric | None,
        pairs: Sequence[str],
        groups: Sequence[Hashable],
        raws: Sequence[float | None],
        rewards: Sequence[float | None],
    ) -> None:
        """Log a batch (n,) by "<pair>/...": raw and reward (means), unjudged (share of None), advantage (mean
        |reward - its group's mean|) and saturated (share within 0.01 of 0 or 1, of bounded rewards)."""
        given, made, names = numbers(raws), numbers(rewards), np.array(pairs, dtype=object)
        for pair in dict.fromkeys(pairs):
            here = np.flatnonzero(names == pair)
            judged = here[~np.isnan(made[here])]
            figures = {"unjudged": 1.0 - len(judged) / len(here)}
            if len(judged):
                figures["raw"] = float(given[judged].mean())
                figures["reward"] = float(made[judged].mean())
                alone = advantages(made[judged], [groups[k] for k in judged], scale="none")
                figures["advantage"] = float(np.abs(alone).mean())
            if len(judged) and self.bounded:
                figures["saturated"] = saturated(made[judged])
                self._count(pair, len(judged), figures["saturated"])
            if log_metric is not None:
                for name, value in figures.items():
                    log_metric(f"{pair}/{name}", value)

    def _count(self, pair: str, n: int, share: float) -> None:
        seen, flat = self._counts.get(pair, (0, 0.0))
        seen, flat = seen + n, flat + share * n
        if seen >= COUNTED:
            if flat / seen > MOST_SATURATED and pair not in self._warned:
                self._warned.add(pair)
                warnings.warn(
                    f"{pair}: {flat / seen:.0%} of the last {seen} rewards are within 0.01 of 0 or 1, where a better "
                    "answer hardly earns more: the statistics do not fit what the model does now",
                    stacklevel=2,
                )
            seen, flat = 0, 0.0
        self._counts[pair] = seen, flat


def content(*values: Any) -> str:
    """The same text for the same content, whatever object holds it: completions of one prompt share it."""
    return json.dumps(values, default=lambda thing: type(thing).__name__, skipkeys=True)


def group_of(row: Mapping[str, Any], prompt: Any) -> Hashable:
    """What the completions of one row of a data set share: its key, or all of its content where it has no index."""
    if row.get("index") is not None:
        return row.get("source"), row.get("split"), row["index"]
    return content(prompt, row)
