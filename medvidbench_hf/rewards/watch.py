"""What training is told of its rewards: figures by source and task, and what is wrong with its settings.

TRL hands out `log_metric` as a method of its trainer, which is where all that is known of the trainer comes from; other
trainers hand out none.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from medvidbench_hf.rewards.normalise import advantages, saturated
from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.statistics import numbers

MOST_SATURATED = 0.05  # share of a pair's rewards, before it is warned about
COUNTED = 100  # rewards of a pair that the share is taken of

LogMetric = Callable[[str, float], None]


def evaluates(log_metric: LogMetric | None) -> bool:
    """Whether the trainer is evaluating, so that nothing is to be learned from its rows."""
    trainer = _trainer(log_metric)
    return (
        not getattr(getattr(trainer, "model", None), "training", True)  # what TRL goes by
        # After a generation by continuous batching the model is in training mode, also in evaluation.
        or getattr(getattr(trainer, "control", None), "should_evaluate", False)
        or not getattr(trainer, "is_in_train", True)
    )


class Watch:
    """Logs and warns for reward functions of one training.

    normalises: whether rewards are normalised at all; bounded: whether they lie in 0..1, so that they can saturate;
    running: the statistics, if they follow training.
    """

    def __init__(self, normalises: bool, bounded: bool, running: Running | None = None) -> None:
        self.normalises, self.bounded, self.running = normalises, bounded, running
        self._started = False
        self._warned: set[str] = set()
        self._counts: dict[str, tuple[int, float]] = {}  # what -> rewards seen, those of them saturated

    def start(self, log_metric: LogMetric | None) -> None:
        """At the first batch, before anything is made of it: warn of a trainer that undoes the normalisation, and of
        running statistics that were left behind by a training that goes on."""
        if self._started or log_metric is None:
            return
        self._started = True
        trainer = _trainer(log_metric)
        step = getattr(getattr(trainer, "state", None), "global_step", 0)
        if step and self.running and self.running.is_new:
            self._warn(
                "running",
                f"training goes on at step {step}, but the running statistics have seen nothing: load the state_dict() "
                "that was saved with the checkpoint, or rewards are on another scale than before",
            )
        undone = ""
        if getattr(trainer, "multi_objective_aggregation", None) == "normalize_then_sum":
            undone = 'multi_objective_aggregation="normalize_then_sum"'
        elif getattr(trainer, "scale_rewards", None) == "group":
            undone = 'scale_rewards="group"'
        if undone and self.normalises:
            self._warn(
                "trainer",
                f"{undone} divides each group of completions by its own spread, which cancels the normalisation by "
                'source and task: set scale_rewards="none" (or "batch") in GRPOConfig, with '
                'multi_objective_aggregation="sum_then_normalize"',
            )

    def unjudged(self, log_metric: LogMetric | None, module: str) -> None:
        """A row could not be judged: warn where its None does not keep it out of training, since a reward function of
        another module may reward it too, and TRL's sum then counts None as 0."""
        functions = getattr(_trainer(log_metric), "reward_funcs", ())
        others = [function for function in functions if getattr(function, "__module__", "") != module]
        if others:
            names = ", ".join(getattr(function, "__name__", type(function).__name__) for function in others)
            self._warn(
                "unjudged",
                f"a row that cannot be judged gets None, which TRL counts as 0 points, and not as no advantage, where "
                f"another function ({names}) rewards the row: let that one give None to captions too, or put both "
                "into one function of yours",
            )

    def _warn(self, what: str, text: str) -> None:
        """Once."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(text, stacklevel=3)

    def rewards(
        self,
        log_metric: LogMetric | None,
        pairs: Sequence[str],
        groups: Sequence[Hashable],
        raws: Sequence[float | None],
        rewards: Sequence[float | None],
        components: Mapping[str, Sequence[float | None]],
    ) -> None:
        """Log a batch (n,) by "<pair>/...": raw and reward (means), unjudged (share of None), advantage (mean
        |reward - its group's mean|, over the group's spread where the trainer divides by it) and saturated (share of
        bounded rewards within 0.01 of 0 or 1; the largest of the components (n,), whose mean would hide it)."""
        given, made, names = numbers(raws), numbers(rewards), np.array(pairs, dtype=object)
        parts = {component: numbers(values) for component, values in components.items()} if self.bounded else {}
        counts = not evaluates(log_metric)
        # The spread of the whole batch, of "batch", is not known here; it is one factor for all pairs.
        scale = "group" if getattr(_trainer(log_metric), "scale_rewards", None) == "group" else "none"
        for pair in dict.fromkeys(pairs):
            here = np.flatnonzero(names == pair)
            judged = here[~np.isnan(made[here])]
            figures = {"unjudged": 1.0 - len(judged) / len(here)}
            if len(judged):
                figures["raw"] = float(given[judged].mean())
                figures["reward"] = float(made[judged].mean())
                alone = advantages(made[judged], [groups[k] for k in judged], scale=scale)
                figures["advantage"] = float(np.abs(alone).mean())
                flat = {component: saturated(values[judged]) for component, values in parts.items()}
                if flat:
                    figures["saturated"] = max(flat.values())
                for component, share in flat.items():
                    if counts:
                        self._count(pair if component == "score" else f"{pair} {component}", len(judged), share)
            if log_metric is not None:
                for name, value in figures.items():
                    log_metric(f"{pair}/{name}", value)

    def _count(self, what: str, n: int, share: float) -> None:
        seen, flat = self._counts.get(what, (0, 0.0))
        seen, flat = seen + n, flat + share * n
        if seen >= COUNTED:
            if flat / seen > MOST_SATURATED:
                self._warn(
                    what,
                    f"{what}: {flat / seen:.0%} of the last {seen} rewards are within 0.01 of 0 or 1, where a better "
                    "answer hardly earns more: the statistics do not fit what the model does now",
                )
            seen, flat = 0, 0.0
        self._counts[what] = seen, flat


def _trainer(log_metric: LogMetric | None) -> Any:
    return getattr(log_metric, "__self__", None)


def content(*values: Any) -> str:
    """The same text for the same content, whatever object holds it: completions of one prompt share it."""
    return json.dumps(values, default=lambda thing: type(thing).__name__, skipkeys=True)


def group_of(row: Mapping[str, Any], prompt: Any) -> Hashable:
    """What the completions of one row of a data set share: its key, or all of its content where it has no index."""
    if row.get("index") is not None:
        return row.get("source"), row.get("split"), row["index"]
    return content(prompt, row)
