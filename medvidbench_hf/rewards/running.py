"""Statistics that follow training: fixed ones age as the model moves past the median they were taken at.

    running = Running(Statistics.read("stats.json"))
    rewards = normalise(raw, pairs, running.statistics)  # by what was seen before this batch
    running.update(pairs, raw)

Nothing uses it unless told to: it makes the reward of one and the same answer change during training. Reward functions
update it, with the rows of training only.

Over several processes each sees the rewards of its own rows. With `gather`, what was updated waits until every process
calls `settle`, between two batches and on the main thread (a reward function of captions is not on it, where a gather
over GPUs would take the wrong one). A checkpoint does not hold it: write `state_dict` beside it, load it before
training goes on. As a callback of TRL's trainer:

    running = Running(Statistics.read("stats.json"), gather=accelerate.utils.gather_object)

    class Follow(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            running.settle()

        def on_save(self, args, state, control, **_):
            if state.is_world_process_zero:
                Path(args.output_dir, f"running-{state.global_step}.json").write_text(json.dumps(running.state_dict()))
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from medvidbench_hf.rewards.statistics import Raw, Spread, Statistics, numbered, numbers, refuse_infinite, spread_of
from medvidbench_hf.sample import InputError

WINDOW = 2048
WARM_UP = 256


class Running:
    """Quantiles of the last `window` raw rewards of each pair and component.

    Until `warm_up` of them were seen the fixed statistics hold for that component. Deterministic: the same rewards in
    the same order give the same statistics, also across `state_dict` and `load_state_dict`.

    gather: a process's list -> the lists of all processes in one, the same for each; None where there is one process.
    """

    def __init__(
        self,
        statistics: Statistics,
        window: int = WINDOW,
        warm_up: int = WARM_UP,
        gather: Callable[[list[Any]], list[Any]] | None = None,
    ) -> None:
        if type(window) is not int or type(warm_up) is not int or not 1 <= warm_up <= window:
            raise InputError(f"window {window!r}, warm_up {warm_up!r}: expected counts, 1 <= warm_up <= window")
        self.fixed, self.window, self.warm_up = statistics, window, warm_up
        self._last: dict[tuple[str, str], deque[float]] = {
            (pair, component): deque(maxlen=window)
            for pair, components in statistics.pairs.items()
            for component in components
        }
        self._now: Statistics | None = statistics
        self.gather = gather
        self._waiting: list[tuple[str, str, float]] = []  # (pair, component, raw reward), for `settle`

    @property
    def statistics(self) -> Statistics:
        """What holds now."""
        if self._now is None:
            pairs: dict[str, dict[str, Spread]] = {pair: dict(found) for pair, found in self.fixed.pairs.items()}
            for (pair, component), last in self._last.items():
                if self._is_warm(last):
                    pairs[pair][component] = spread_of(np.array(last), self.fixed.floor)
            self._now = replace(self.fixed, pairs=pairs)
        return self._now

    @property
    def warm(self) -> list[tuple[str, str]]:
        """The (pair, component) that go by what was seen."""
        return [key for key, last in self._last.items() if self._is_warm(last)]

    @property
    def is_new(self) -> bool:
        """Whether it has seen nothing."""
        return not self._waiting and not any(self._last.values())

    def update(self, pairs: Iterable[str], raw: Raw, component: str = "score") -> None:
        """Take in the raw rewards (n,) of a batch, with `gather` at the next `settle`; None and NaN never enter.
        InputError for a pair without fixed statistics."""
        values = numbers(raw, "raw", ndim=1)
        refuse_infinite(values, "raw")
        names, of_row = numbered(pairs, len(values), "pairs")
        here = ~np.isnan(values)
        seen = {str(name): values[here & (of_row == k)] for k, name in enumerate(names)}
        seen = {pair: found for pair, found in seen.items() if len(found)}
        for pair in seen:
            self.fixed.of(pair, component)
        rows = [(pair, component, value) for pair, found in seen.items() for value in found.tolist()]
        if self.gather is None:
            self._take(rows)
            return
        waited, self._waiting = len(self._waiting), self._waiting + rows
        if waited < self.window <= len(self._waiting):
            warnings.warn(
                f"{len(self._waiting):,} raw rewards wait for settle(): call it at the end of each step, in every "
                "process, or the fixed statistics hold for ever",
                stacklevel=2,
            )

    def settle(self) -> None:
        """Take in what the processes were given since the last call. Every process calls it, as often as the others;
        without `gather` there is nothing to do."""
        if self.gather is not None:
            rows, self._waiting = self._waiting, []
            self._take(self.gather(rows))

    def _take(self, rows: Iterable[tuple[str, str, float]]) -> None:
        for pair, component, value in rows:
            self._last[pair, component].append(value)
            self._now = None

    def state_dict(self) -> dict[str, Any]:
        """JSON-able: what `load_state_dict` needs to go on exactly. What waits for `settle` is not in it."""
        last: dict[str, dict[str, list[float]]] = {}
        for (pair, component), values in self._last.items():
            last.setdefault(pair, {})[component] = list(values)
        return {"window": self.window, "warm_up": self.warm_up, "statistics": _digest(self.fixed), "last": last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """InputError where the state is broken or of other settings or statistics; nothing is changed then."""
        if not isinstance(state, Mapping):
            raise InputError(f"running statistics: {type(state).__name__}, expected what state_dict gave")
        expected = {"window": self.window, "warm_up": self.warm_up, "statistics": _digest(self.fixed)}
        for name, value in expected.items():
            if state.get(name) != value:
                raise InputError(
                    f"running statistics, field {name}: {state.get(name)!a:.80}, expected {value!r}: the state is of a "
                    "run with other settings"
                )
        last = state.get("last")
        loaded = {}
        for pair, component in self._last:
            try:
                values = numbers(last[pair][component], f"last[{pair!a}][{component!a}]", ndim=1)  # type: ignore[index]
            except (TypeError, KeyError):
                raise InputError(
                    f"running statistics, field last: no values of the {component!a} of {pair!a}"
                ) from None
            if len(values) > self.window or not np.isfinite(values).all():
                raise InputError(
                    f"running statistics, field last, {component!a} of {pair!a}: expected at most {self.window} finite "
                    "numbers"
                )
            loaded[pair, component] = deque(values.tolist(), maxlen=self.window)
        self._last, self._now = loaded, None

    def _is_warm(self, last: deque[float]) -> bool:
        return len(last) >= self.warm_up


def _digest(statistics: Statistics) -> str:
    """Of what the normalisers use."""
    pairs = {
        pair: {component: [spread.mean, spread.std, *spread.quantiles] for component, spread in components.items()}
        for pair, components in statistics.pairs.items()
    }
    text = json.dumps([statistics.floor, pairs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
