"""Rewards that can be mixed: statistics of raw rewards by source and task, normalisers, advantages as TRL makes them.

    statistics = fit(pairs, raw)                     # of the SFT model's predictions; write, read
    rewards = normalise(raw, pairs, statistics)      # 0..1, 0.5 at each pair's median
    advantages(rewards, prompts, scale="none")       # what training will see

    reward_functions(statistics, judge)              # for TRL; verl, easyr1, ms_swift for others
    normalised(reward_fn, statistics, pair=...)      # any reward of your own

`compare` plays samples through every normaliser and every scale_rewards.
"""

from medvidbench_hf.rewards.captions import cosine
from medvidbench_hf.rewards.compare import compare
from medvidbench_hf.rewards.foreign import easyr1, ms_swift, verl
from medvidbench_hf.rewards.functions import RECIPE, reward_functions
from medvidbench_hf.rewards.normalise import (
    NORMALISERS,
    advantage_spreads,
    advantages,
    by_pair,
    logistic,
    none,
    normalise,
    percentile,
    saturated,
    zscore,
)
from medvidbench_hf.rewards.plot import plot
from medvidbench_hf.rewards.raw import caption_pair, raw_reward, sample_of
from medvidbench_hf.rewards.running import Running
from medvidbench_hf.rewards.statistics import Spread, Statistics, fit, merge, spread_of
from medvidbench_hf.rewards.wrapped import normalised

__all__ = [
    "NORMALISERS",
    "RECIPE",
    "Running",
    "Spread",
    "Statistics",
    "advantage_spreads",
    "advantages",
    "by_pair",
    "caption_pair",
    "compare",
    "cosine",
    "easyr1",
    "fit",
    "logistic",
    "merge",
    "ms_swift",
    "none",
    "normalise",
    "normalised",
    "percentile",
    "plot",
    "raw_reward",
    "reward_functions",
    "sample_of",
    "saturated",
    "spread_of",
    "verl",
    "zscore",
]
