"""The study of reward normalisers on simulated rewards, and how fast a million rewards are normalised.

    python -m tests.bench.rewards_study           figures as JSON, then the tables
    python -m tests.bench.rewards_study plot.svg  and the picture

`trap` is two pairs, one easy and one hard: what TRL's scale_rewards does to a normaliser. `simulated` is five pairs of
the kinds that occur. Neither is taken from a model's answers.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from medvidbench_hf.rewards import fit, normalise
from medvidbench_hf.rewards.compare import METHODS, RULE_SHIFT, SHIFTS, Samples, compare
from medvidbench_hf.rewards.normalise import SCALES
from medvidbench_hf.rewards.plot import plot

SAMPLES = 8  # a prompt
NAMES = {"none": "raw", "advantage": "raw, advantages per pair", "running": "logistic, running"}


def trap(prompts: int = 4000, seed: int = 0) -> Samples:
    """Easy: normal, mean 0.49, deviation 0.167. Hard: normal, mean 0.10, deviation 0.12. Both clipped to 0..1, so that
    the medians are 0.49 and 0.10 and a fifth of the hard rewards are 0."""
    rng = np.random.default_rng(seed)
    drawn = {"easy/grounding": rng.normal(0.49, 0.167, (prompts, SAMPLES))}
    drawn["hard/grounding"] = rng.normal(0.10, 0.12, (prompts, SAMPLES))
    return samples({pair: np.clip(values, 0.0, 1.0) for pair, values in drawn.items()})


def simulated(prompts: int = 400, seed: int = 0) -> Samples:
    """Five pairs; each prompt has a level of its own, about which its samples lie.

    easy/grounding   bounded, median about 0.5
    hard/grounding   two samples of five score 0, the others little
    judged/caption   a judge's 1..5, mapped to 0..1: five values
    skewed/caption   mostly low, with a long upper tail
    equal/labels     always 0.2: nothing can be learned from it
    """
    rng = np.random.default_rng(seed)

    def about(level: np.ndarray, deviation: float) -> np.ndarray:
        return rng.normal(level[:, None], deviation, (prompts, SAMPLES))

    easy = about(rng.normal(0.5, 0.08, prompts), 0.17)
    hard = np.where(rng.random((prompts, SAMPLES)) < 0.4, 0.0, about(rng.normal(0.14, 0.04, prompts), 0.07))
    judged = (np.clip(np.round(about(rng.normal(3.6, 0.5, prompts), 0.7)), 1, 5) - 1) / 4
    skewed = np.exp(about(rng.normal(-1.9, 0.3, prompts), 0.6))
    drawn = {"easy/grounding": easy, "hard/grounding": hard, "judged/caption": judged, "skewed/caption": skewed}
    drawn["equal/labels"] = np.full((prompts, SAMPLES), 0.2)
    return samples({pair: np.clip(values, 0.0, 1.0) for pair, values in drawn.items()})


def samples(drawn: dict[str, np.ndarray]) -> Samples:
    """Pair -> rewards (prompts, k), as columns."""
    pairs = [pair for pair, values in drawn.items() for _ in range(values.size)]
    prompts = [prompt for values in drawn.values() for prompt in range(len(values)) for _ in range(SAMPLES)]
    return Samples(pairs, prompts, np.concatenate([values.ravel() for values in drawn.values()]))


def study() -> dict[str, Any]:
    """The ratios of `trap` and the comparison of `simulated`, rounded."""
    two, five = compare(trap()), compare(simulated())
    ratios = {method: {s: two["methods"][method][s]["easy_hard"] for s in SCALES} for method in METHODS}
    medians = {name: two["pairs"][two[name]]["median"] for name in ("easy", "hard")}
    return _rounded({"trap": {"medians": medians, "easy_hard": ratios}, "five": five})


def normalise_1m(method: str = "logistic", repeats: int = 5) -> float:
    """Seconds for 1,000,000 rewards of 20 pairs, which come as a list of texts; the best of `repeats`."""
    rng = np.random.default_rng(0)
    names = [f"source{k}/task" for k in range(20)]
    pairs = [names[k] for k in rng.integers(0, 20, 1_000_000)]
    raw = rng.random(1_000_000)
    statistics = fit(pairs[:20_000], raw[:20_000])
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        normalise(raw, pairs, statistics, method=method)
        taken.append(time.perf_counter() - started)
    return min(taken)


def tables(figures: dict[str, Any]) -> str:
    """Markdown of what `study` gave."""
    two, five = figures["trap"], figures["five"]
    head = ["reward", *(f"scale_rewards={scale}" for scale in SCALES)]
    widest = {method: {s: five["methods"][method][s]["max_min"] for s in SCALES} for method in METHODS}
    parts = [
        f"Two simulated pairs of 4,000 prompts, {SAMPLES} samples each, raw medians {two['medians']['easy']:.2f} and "
        f"{two['medians']['hard']:.2f}. Mean \\|advantage\\|, easy : hard (1 = both weigh alike):",
        _table(head, _ratios(two["easy_hard"])),
        "Five simulated pairs of 400 prompts: "
        + "; ".join(f"{pair}, median {p['median']:.2f}, IQR {p['iqr']:.2f}" for pair, p in five["pairs"].items())
        + f". The rewards of {', '.join(five['silent'])} never differ, so it takes no part in what follows. Mean "
        "\\|advantage\\|, largest : smallest pair:",
        _table(head, _ratios(widest)),
        "What each combination costs. order: rank correlation of the advantages with the raw ones. "
        "quiet : loud: weight of the prompts whose samples hardly differ against those whose samples differ most. "
        "outliers: change of the other rows when 5 % are far out. drift: mean \\|advantage\\| that is left when every "
        f"raw reward has gone {_percent(RULE_SHIFT)} of its way to 1.",
        _table(
            ["reward", "scale_rewards", "order", "quiet : loud", "outliers", "drift", "sum of costs"], _combined(five)
        ),
        "Saturated share (below 0.01 or above 0.99) as the model improves, prompts without variance in float32, and "
        "rank correlation with the raw reward (the lowest of the pairs):",
        _table(
            ["reward", "now", *(f"{_percent(shift)} of the way to 1" for shift in SHIFTS), "no variance", "rank"],
            _by_method(five),
        ),
        _recommended(five["recommendation"]),
    ]
    return "\n\n".join(parts)


def _ratios(found: dict[str, dict[str, float | None]]) -> list[list[str]]:
    return [[_name(method), *(_number(by_scale[scale]) for scale in SCALES)] for method, by_scale in found.items()]


def _combined(found: dict[str, Any]) -> list[list[str]]:
    rows = []
    for cost in found["recommendation"]["costs"]:
        cell = found["methods"][cost["method"]][cost["scale"]]
        rows.append(
            [
                _name(cost["method"]),
                cost["scale"],
                _number(cell["order"]),
                _number(cell["quiet_loud"]),
                _percent(cell["outliers"]),
                _percent(cell["drift"][f"{RULE_SHIFT:g}"]["mean_abs"]),
                _number(cost["sum"]),
            ]
        )
    return rows


def _by_method(found: dict[str, Any]) -> list[list[str]]:
    rows = []
    for method in METHODS:
        of = found["methods"][method]
        shares = [_percent(share) for share in (of["saturated"], *of["drift"].values())]
        rows.append([_name(method), *shares, _percent(of["no_variance"]), f"{of['rank_min']:.3f}"])
    return rows


def _recommended(recommendation: dict[str, Any]) -> str:
    r = recommendation
    others = "; ".join(f"without {cost}, {told}" for cost, told in r["without"].items())
    return (
        f'Recommended for such rewards: **{_name(r["method"])}, scale_rewards="{r["scale"]}"** ({r["why"]}). The rule: '
        f"{r['rule']}. The costs weigh alike, which is a choice; "
        + (f"with one of them left out another would win: {others}." if others else "whichever is left out, it wins.")
    ).replace("|", "\\|")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _name(method: str) -> str:
    return NAMES.get(method, method)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    figures = study()
    print(json.dumps(figures, indent=1))
    print(tables(figures))
    for path in sys.argv[1:]:
        plot(figures["five"], path)


if __name__ == "__main__":
    main()
