"""Which normaliser, under which scale_rewards? Every combination played through on the same samples.

    result = compare(samples)            # k samples a prompt: (pair, prompt, raw reward)
    result["methods"]["logistic"]["none"]["easy_hard"]
    plot(result, "compare.svg")

Pairs weigh alike in training where their mean |advantage| is alike. The figures say what a combination does to that,
to the order of rewards, under outliers, and once the model has become better than the statistics know.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medvidbench_hf.rewards.normalise import SCALES, advantages, normalise, saturated
from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.statistics import Floats, Raw, Statistics, fit, numbered, numbers, refuse_infinite
from medvidbench_hf.sample import InputError

METHODS = ("none", "logistic", "zscore", "percentile", "advantage", "running")
BOUNDED = ("logistic", "percentile", "running")
OUTLIER_SHARE = 0.05
OUTLIER_IQRS = 20.0  # how far above the median an outlier lies
DRAWS = 5  # of the rows that become outliers
SHIFTS = (0.1, 0.25, 0.5)  # of the way to the top; the paper's gains: 0.03 to 0.09 on grounding, 0.42 on summaries
RULE_SHIFT = 0.25
MOST = 1000.0  # of a ratio: ten doublings
RULE = (
    "the smallest sum of six costs, each 0 at best and 1 for a factor of two or for all lost: balance (log2 of max:min "
    "mean |advantage| over the pairs), order (1 - rank correlation with the raw advantages), quiet (|log2| of how "
    "much more the prompts whose samples differ least weigh against those where they differ most than with raw "
    "rewards), outliers (log2 of 1 + the relative change of the other rows' "
    f"advantages), drift (|log2| of the change of mean |advantage| at a shift of {RULE_SHIFT:g}), saturation (share of "
    "rewards)"
)


class Samples(NamedTuple):
    """Columns of the same length n: the pair of each sample, its prompt, its raw reward."""

    pairs: Sequence[str]
    prompts: Sequence[Hashable]
    raw: Raw


def compare(
    samples: Samples | Sequence[tuple[str, Hashable, float | None]],
    statistics: Statistics | None = None,
    *,
    component: str = "score",
    seed: int = 0,
) -> dict[str, Any]:
    """Compare METHODS under each scale_rewards; JSON-able. Without statistics, those of the samples are taken.

        n, left_out  samples, and those without a reward, which take no part
        pairs        pair -> n, prompts, median, iqr, floored, no_variance (share of its prompts)
        easy, hard   the pairs of the highest and the lowest median, of those where some prompt's rewards differ
        silent       the other pairs: they teach nothing, whatever is done
        methods      method -> saturated (share of rewards; None where unbounded), no_variance (share of prompts whose
                     rewards are alike in float32, in which TRL computes), rank_mean and rank_min (over pairs, Spearman
                     of reward and raw reward), drift (shift -> saturated), and for each of SCALES:
            mean_abs     pair -> mean |advantage|
            easy_hard, max_min   ratios of it, max_min at most 1000; None with one pair, or nothing to divide by
            order        mean over pairs of Spearman of advantage and raw reward minus its prompt's mean
            quiet_loud   mean over pairs of the mean |advantage| of the quarter of prompts whose raw rewards vary least,
                         over that of the quarter where they vary most; None with fewer than four prompts
            outliers     mean over pairs of the relative change of the other rows' mean |advantage| when 5 % of the rows
                         are put 20 IQR above the median and the statistics are of these rewards
            outlier_draws   the same for five draws of these rows, the one above first
            drift        shift -> mean_abs (relative to no shift, mean over pairs) and easy_hard, when each raw reward
                         has gone that part of its way to 1 (to the highest, if above 1) and the statistics stayed
        warm         pairs whose running statistics had enough samples; the others go by the fixed ones
        recommendation   method, scale, why, rule, and the costs of every combination, the smallest sum first; close:
                         the combinations whose sum is at most a tenth larger; without: cost -> the combination that
                         would be recommended if this cost did not count, where that is another; stable: share of the
                         draws of outliers under which it wins

    "advantage" leaves the reward raw and normalises advantages per pair. "running" is the logistic once its window has
    seen the samples. Raises InputError.
    """
    pairs, prompts, raw, left_out = _columns(samples)
    statistics = statistics or fit(pairs, raw, component=component)
    play = _Play(pairs, prompts, raw, statistics, component)
    about = {pair: play.about(pair) for pair in play.rows}
    varied = [pair for pair in about if about[pair]["no_variance"] < 1]
    varied.sort(key=lambda pair: (about[pair]["median"], float(raw[play.rows[pair]].mean()), pair))
    if not varied:
        raise InputError("no prompt has two samples whose rewards differ: nothing to compare")
    top = max(1.0, float(raw.max()))
    shifted = {f"{shift:g}": raw + shift * (top - raw) for shift in SHIFTS}
    clean, draws = play.refitted(raw), [play.with_outliers(seed + k) for k in range(DRAWS)]
    dirty = [play.refitted(outlying) for _, outlying in draws]
    centred = play.advantages(raw, "none", "none")
    methods: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        rewards = play.rewards(raw, method)
        pure, mixed = clean.rewards(raw, method), [other.rewards(other.raw, method) for other in dirty]
        later = {shift: play.rewards(values, method) for shift, values in shifted.items()}
        ranks = [play.rank(rewards, raw, pair) for pair in varied]
        methods[method] = {
            "saturated": saturated(rewards) if method in BOUNDED else None,
            "no_variance": float(np.mean(play.alike(rewards))),
            "rank_mean": _mean(ranks),
            "rank_min": min(ranks),
            "drift": {shift: saturated(values) if method in BOUNDED else None for shift, values in later.items()},
        }
        for scale in SCALES:
            made = play.advantages(rewards, method, scale)
            size = play.mean_abs(made)
            before = play.advantages(pure, method, scale)
            changes = [
                play.change(before, play.advantages(rewards, method, scale), alone, varied)
                for rewards, (alone, _) in zip(mixed, draws, strict=True)
            ]
            drifted = {shift: play.mean_abs(play.advantages(values, method, scale)) for shift, values in later.items()}
            methods[method][scale] = {
                "mean_abs": size,
                "easy_hard": _ratio(size, varied[-1], varied[0]),
                "max_min": _widest([size[pair] for pair in varied]),
                "order": _mean([play.rank(made, centred, pair) for pair in varied]),
                "quiet_loud": play.quiet_loud(made),
                "outliers": changes[0],
                "outlier_draws": changes,
                "drift": {
                    shift: {
                        "mean_abs": _mean([sizes[pair] / size[pair] for pair in varied if size[pair]]),
                        "easy_hard": _ratio(sizes, varied[-1], varied[0]),
                    }
                    for shift, sizes in drifted.items()
                },
            }
    return {
        "n": len(raw),
        "left_out": left_out,
        "pairs": about,
        "easy": varied[-1],
        "hard": varied[0],
        "silent": [pair for pair in about if pair not in varied],
        "methods": methods,
        "warm": play.warm(),
        "recommendation": recommend(methods),
    }


def recommend(methods: dict[str, Any]) -> dict[str, Any]:
    """By RULE, from the figures of `compare`, of the combinations that leave any advantage; of equal sums, the first
    in the order of METHODS and SCALES."""
    raw = methods["none"]["none"]
    costs = []
    for method, found in methods.items():
        for scale in SCALES:
            cell = found[scale]
            if not any(cell["mean_abs"].values()):
                continue
            quiet = cell["quiet_loud"]
            cost = {
                "balance": log2(cell["max_min"] or 1.0),
                "order": 1.0 - cell["order"],
                "quiet": 0.0 if quiet is None else abs(log2(max(quiet, 1 / MOST) / raw["quiet_loud"])),
                "outliers": log2(1.0 + cell["outliers"]),
                "drift": abs(log2(max(cell["drift"][f"{RULE_SHIFT:g}"]["mean_abs"], 1 / MOST))),
                "saturation": found["saturated"] or 0.0,
            }
            costs.append({"method": method, "scale": scale, **cost, "sum": sum(cost.values())})
    of_raw = costs[0]["sum"]
    costs.sort(key=lambda cost: cost["sum"])
    best = costs[0]
    wins = 0
    for k in range(DRAWS):
        drawn = {_told(cost): log2(1.0 + methods[cost["method"]][cost["scale"]]["outlier_draws"][k]) for cost in costs}
        wins += best is min(costs, key=lambda cost, drawn=drawn: cost["sum"] - cost["outliers"] + drawn[_told(cost)])  # type: ignore[misc]
    close = [_told(cost) for cost in costs[1:] if cost["sum"] <= 1.1 * best["sum"]]
    named = [name for name in best if name not in ("method", "scale", "sum")]
    winners = {name: min(costs, key=lambda cost, name=name: cost["sum"] - cost[name]) for name in named}  # type: ignore[misc]
    why = f"its costs add up to {best['sum']:.2f}, those of raw rewards under none to {of_raw:.2f}"
    why += f", but with other outliers another wins ({DRAWS - wins} of {DRAWS} draws); " if wins < DRAWS else "; "
    why += f"as good within a tenth: {', '.join(close)}" if close else "no other comes within a tenth"
    return {
        "method": best["method"],
        "scale": best["scale"],
        "why": why,
        "close": close,
        "stable": wins / DRAWS,
        "without": {name: _told(winner) for name, winner in winners.items() if winner is not best},
        "rule": RULE,
        "costs": costs,
    }


def _told(cost: dict[str, Any]) -> str:
    return f"{cost['method']} under {cost['scale']}"


# --- parts -------------------------------------------------------------------------------------------------------


class _Play:
    """Samples and statistics: what each method makes of rewards, and what can be seen of the result."""

    def __init__(
        self, pairs: list[str], prompts: list[Hashable], raw: Floats, statistics: Statistics, component: str
    ) -> None:
        self.pairs, self.prompts, self.raw = pairs, prompts, raw
        self.statistics, self.component = statistics, component
        names, self.group = numbered(zip(pairs, prompts, strict=True), len(raw), "samples")  # (n,) a prompt's number
        self.n_groups = len(names)
        of_row = np.array(pairs, dtype=object)
        self.rows = {pair: np.flatnonzero(of_row == pair) for pair in dict.fromkeys(pairs)}
        self.groups = {pair: np.unique(self.group[rows]) for pair, rows in self.rows.items()}

    def rewards(self, raw: Floats, method: str) -> Floats:
        """(n,) as TRL holds them: in float32."""
        now = self._running(raw).statistics if method == "running" else self.statistics
        by = {"running": "logistic", "advantage": "none"}.get(method, method)
        return normalise(raw, self.pairs, now, self.component, by).astype(np.float32).astype(np.float64)

    def advantages(self, rewards: Floats, method: str, scale: str) -> Floats:
        return advantages(rewards, self.group, scale, pairs=self.pairs if method == "advantage" else None)

    def about(self, pair: str) -> dict[str, Any]:
        spread, groups = self.statistics.of(pair, self.component), self.groups[pair]
        return {
            "n": len(self.rows[pair]),
            "prompts": len(groups),
            "median": float(np.median(self.raw[self.rows[pair]])),
            "iqr": spread.iqr,
            "floored": spread.floored,
            "no_variance": float(self.alike(self.raw)[groups].mean()),
        }

    def warm(self) -> list[str]:
        return [pair for pair, component in self._running(self.raw).warm if component == self.component]

    def alike(self, rewards: Floats) -> NDArray[np.bool_]:
        """(n_groups,) whether all rewards of a group are the same."""
        low, high = np.full(self.n_groups, np.inf), np.full(self.n_groups, -np.inf)
        np.minimum.at(low, self.group, rewards)
        np.maximum.at(high, self.group, rewards)
        return low == high

    def mean_abs(self, made: Floats, only: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Pair -> mean |advantage|, of some rows only."""
        kept = {pair: rows if only is None else rows[only[rows]] for pair, rows in self.rows.items()}
        return {pair: float(np.abs(made[rows]).mean()) if len(rows) else 0.0 for pair, rows in kept.items()}

    def change(self, before: Floats, after: Floats, alone: NDArray[np.bool_], pairs: list[str]) -> float:
        """Mean over the pairs of the relative change of the mean |advantage| of the rows that were left alone."""
        was, now = self.mean_abs(before, alone), self.mean_abs(after, alone)
        return _mean([abs(now[pair] / was[pair] - 1.0) for pair in pairs if was[pair]])

    def rank(self, a: Floats, b: Floats, pair: str) -> float:
        """Spearman's rank correlation over the rows of a pair; 0 where one side has no order left."""
        from scipy.stats import rankdata

        x, y = (rankdata(values[self.rows[pair]]) for values in (a, b))
        return 0.0 if np.ptp(x) == 0 or np.ptp(y) == 0 else float(np.corrcoef(x, y)[0, 1])

    def quiet_loud(self, made: Floats) -> float | None:
        size, varied = self._by_group(np.abs(made)), ~self.alike(self.raw)
        spread = self._by_group((self.raw - self._by_group(self.raw)[self.group]) ** 2)
        ratios = []
        for groups in self.groups.values():
            here = groups[varied[groups]]
            here = here[np.argsort(spread[here], kind="stable")]
            quarter = len(here) // 4
            if quarter and size[here[-quarter:]].any():
                ratios.append(float(size[here[:quarter]].mean() / size[here[-quarter:]].mean()))
        return _mean(ratios) if ratios else None

    def with_outliers(self, seed: int) -> tuple[NDArray[np.bool_], Floats]:
        """(rows left alone (n,), raw rewards (n,))."""
        rng = np.random.default_rng(seed)
        raw, alone = self.raw.copy(), np.ones(len(self.raw), dtype=bool)
        for pair, rows in self.rows.items():
            chosen = rng.permutation(rows)[: max(1, int(OUTLIER_SHARE * len(rows)))]
            spread = self.statistics.of(pair, self.component)
            raw[chosen] = spread.p50 + OUTLIER_IQRS * max(spread.iqr, self.statistics.floor)
            alone[chosen] = False
        return alone, raw

    def refitted(self, raw: Floats) -> _Play:
        floor = self.statistics.floor
        statistics = fit(self.pairs, raw, component=self.component, min_rows=1, floor=floor)
        return _Play(self.pairs, self.prompts, raw, statistics, self.component)

    def _by_group(self, values: Floats) -> Floats:
        """(n_groups,)"""
        return np.bincount(self.group, values, self.n_groups) / np.bincount(self.group, minlength=self.n_groups)

    def _running(self, raw: Floats) -> Running:
        running = Running(self.statistics)
        running.update(self.pairs, raw, self.component)
        return running


def _columns(
    samples: Samples | Sequence[tuple[str, Hashable, float | None]],
) -> tuple[list[str], list[Hashable], Floats, int]:
    """(pairs, prompts, raw rewards, samples left out for want of one)."""
    if not isinstance(samples, Samples):
        wrong = [k for k, row in enumerate(samples) if not (isinstance(row, (tuple, list)) and len(row) == 3)]
        if wrong:
            raise InputError(f"samples[{wrong[0]}]: {samples[wrong[0]]!a:.80}, expected (pair, prompt, raw reward)")
        samples = Samples([row[0] for row in samples], [row[1] for row in samples], [row[2] for row in samples])
    given = numbers(samples.raw, "raw", ndim=1)
    refuse_infinite(given, "raw")
    with np.errstate(over="ignore", under="ignore"):
        raw = given.astype(np.float32).astype(np.float64)
    for k in np.flatnonzero(np.isinf(raw)):
        raise InputError(f"raw[{k}]: {given[k]:g} is too large for float32, in which TRL computes")
    if not len(samples.pairs) == len(samples.prompts) == len(raw):
        lengths = f"{len(samples.pairs)} pairs, {len(samples.prompts)} prompts, {len(raw)} rewards"
        raise InputError(f"samples: {lengths}, expected one each")
    kept = np.flatnonzero(~np.isnan(raw)).tolist()
    if not kept:
        raise InputError("samples: none has a reward")
    pairs, prompts = list(samples.pairs), list(samples.prompts)
    return [pairs[k] for k in kept], [prompts[k] for k in kept], raw[kept], len(raw) - len(kept)


def _ratio(size: dict[str, float], over: str, under: str) -> float | None:
    return size[over] / size[under] if over != under and size[under] else None


def _widest(sizes: list[float]) -> float | None:
    """Largest : smallest, at most MOST, which is also what it is where a pair has no advantage left."""
    return min(max(sizes) / max(min(sizes), 1e-300), MOST) if len(sizes) > 1 else None


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0
