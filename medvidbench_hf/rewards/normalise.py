"""Raw rewards of tasks with unlike scales -> rewards that can be mixed, and the advantages that come of them.

Four normalisers of one shape, `(raw, spread, floor) -> rewards`, by name in NORMALISERS. They take any shape and any
float; None and NaN come back as NaN, which TRL reads as "does not apply".

    logistic     1 / (1 + exp(-k (x - p50) / IQR)), k = 3 (project page, reward normalisation; k by secondary sources)
    zscore       (x - mean) / std; unbounded
    percentile   share of the statistics' rewards below x, ties counted half; flat outside what was seen
    none         x

How robust they are: let any share e of a pair's raw rewards be replaced by anything. Order statistics then move by at
most e n places, so each quantile stays between those of the true rewards at its level - e and + e, however far away
the outliers are. At e = 5 % the median stays in p45..p55 and the IQR between p70 - p30 and p80 - p20; the logistic of
every other reward stays between what these corners give, and its percentile within about e. One outlier that is large
enough takes the z-scores of all others to one number.

TRL's default scale_rewards="group" divides each prompt's advantages by their own spread. A group belongs to one pair,
so whatever a normaliser multiplied is divided out again: use "none" or "batch".

Advantages can be normalised by pair instead: `advantages(pairs=...)` from rewards, or `by_pair` inside a trainer that
has taken the group's mean off already.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from medvidbench_hf.rewards.statistics import (
    FLOOR,
    QUANTILES,
    Floats,
    Raw,
    Spread,
    Statistics,
    check_floor,
    numbered,
    numbers,
    refuse_infinite,
)
from medvidbench_hf.sample import InputError

K = 3.0
SCALES = ("none", "batch", "group")
TRL_EPSILON = 1e-4
ADVANTAGE_FLOOR = 0.01  # of a pair's spread of advantages: no advantage grows more than a hundredfold

_to_the_limit = np.errstate(over="ignore", under="ignore")  # what overflows is infinite, and its logistic 1

Normaliser = Callable[[Raw, Spread, float], Floats]
Scale = Literal["none", "batch", "group"]


def logistic(raw: Raw, spread: Spread, floor: float = FLOOR, *, k: float = K) -> Floats:
    """0..1, r(p50) = 0.5 exactly, slope k / (4 IQR) there; the floor stands in for a smaller IQR."""
    half_iqr = 0.5 * spread.p75 - 0.5 * spread.p25
    return _standard(raw, spread.p50, half_iqr, floor, lambda z: expit(k * z))


def zscore(raw: Raw, spread: Spread, floor: float = FLOOR) -> Floats:
    """Mean 0, standard deviation 1 under the statistics; the floor stands in for a smaller deviation."""
    return _standard(raw, spread.mean, 0.5 * spread.std, floor, lambda z: z)


@_to_the_limit
def percentile(raw: Raw, spread: Spread, floor: float = FLOOR) -> Floats:
    """0..1, the rank among the 101 quantiles, between them linear, at ties in the middle; needs no floor."""
    x = numbers(raw)
    q = np.asarray(spread.quantiles, dtype=np.float64)  # (101,)
    at = _count_at_or_below(q, x)  # 0..101
    below, above = np.concatenate([q[:1], q]), np.concatenate([q, q[-1:]])  # (102,) the neighbours of x, by `at`
    half_gap = 0.5 * above - 0.5 * below  # halves, since a difference of the largest floats overflows
    half_gap[half_gap == 0.0] = 1.0
    base = np.maximum(np.arange(QUANTILES + 1.0) - 1.0, 0.0)
    middle = (base + np.searchsorted(q, below, side="left")) / 2.0
    rank = base[at] + (0.5 * x - 0.5 * below[at]) / half_gap[at]
    rank = np.where((x == below[at]) & (at > 0), middle[at], np.clip(rank, 0.0, QUANTILES - 1.0))
    return rank / (QUANTILES - 1.0)


def none(raw: Raw, spread: Spread | None = None, floor: float = FLOOR) -> Floats:
    """The raw rewards."""
    return numbers(raw)


#: name -> normaliser
NORMALISERS: dict[str, Normaliser] = {"logistic": logistic, "zscore": zscore, "percentile": percentile, "none": none}


def normalise(
    raw: Raw,
    pairs: Iterable[str],
    statistics: Statistics,
    component: str = "score",
    method: str | Normaliser = "logistic",
) -> Floats:
    """Normalise a batch (n,) of any mixture, each row by its own pair (n,) -> (n,).

    A row without a raw reward stays NaN, whatever its pair; a pair that has a reward and no statistics is an
    InputError. `method` is a name in NORMALISERS or a function of that shape.
    """
    function = NORMALISERS.get(method) if isinstance(method, str) else method
    if not callable(function):
        raise InputError(f"method: {method!a}, expected one of {', '.join(NORMALISERS)}")
    if not isinstance(component, str):
        raise InputError(f"component: {component!a:.80}, expected a name such as 'score'")
    values = numbers(raw, "raw", ndim=1)
    result = np.full(len(values), np.nan)
    for pair, rows in _rows_by_pair(values, pairs, statistics, component):
        part = values[rows]
        if not np.isnan(part).all():
            result[rows] = function(part, statistics.of(pair, component), statistics.floor)
    return result


def advantages(
    rewards: Raw,
    groups: Iterable[Hashable],
    scale: Scale | str = "none",
    *,
    pairs: Iterable[str] | None = None,
    floor: float = ADVANTAGE_FLOOR,
    spreads: Mapping[str, float] | None = None,
) -> Floats:
    """What TRL 1.16 makes of rewards (n,) whose prompts are `groups` (n,) -> (n,); `scale` is its scale_rewards.

    Reward minus the mean of its group; "group" then divides by the group's standard deviation, "batch" by that of all
    rewards (both of n - 1, plus 1e-4). None and NaN leave means and deviations and get advantage 0.

    With `pairs` (n,), advantages are normalised per pair: after the group's mean is taken off, each is divided by its
    pair's spread (`advantage_spreads` of this batch, or the `spreads` given, such as a running mean of them), at least
    `floor`; `scale` then acts on what comes of that.
    """
    values = numbers(rewards, "rewards", ndim=1)
    refuse_infinite(values, "rewards")
    if scale not in SCALES:
        raise InputError(f"scale: {scale!a}, expected one of {', '.join(SCALES)}")
    names, of_row = numbered(groups, len(values), "groups")
    centred = _centred(values, of_row, len(names))
    if pairs is not None:
        pairs = list(pairs) if not isinstance(pairs, str) else pairs
        pair_names, pair_of_row = numbered(pairs, len(values), "pairs")
        _check_one_pair_a_group(names, of_row, pair_names, pair_of_row)
        centred = values = by_pair(centred, pairs, floor=floor, spreads=spreads)
    if scale == "group":
        spread = np.sqrt(_variance(centred, of_row, len(names)))[of_row]
        centred = centred / (spread + TRL_EPSILON)
    elif scale == "batch":
        here = values[~np.isnan(values)]
        # One reward alone has no deviation, and is its own baseline.
        centred = centred / ((here.std(ddof=1) if len(here) > 1 else 0.0) + TRL_EPSILON)
    return np.nan_to_num(centred, nan=0.0)


def by_pair(
    centred: Raw,
    pairs: Iterable[str],
    *,
    floor: float = ADVANTAGE_FLOOR,
    spreads: Mapping[str, float] | None = None,
) -> Floats:
    """Rewards minus their group's mean (n,), such as TRL's advantages under scale_rewards="none", each divided by the
    spread of its pair (n,) -> (n,).

    For a trainer, between the group's mean and the loss. Spreads are the root mean squares of what is given, so give
    the rows of all processes and keep your own; NaN, for a row without a reward, counts in none and stays NaN.
    """
    check_floor(floor)
    values = numbers(centred, "centred", ndim=1)
    refuse_infinite(values, "centred")
    names, of_row = numbered(pairs, len(values), "pairs")
    found = _rms(values, of_row, len(names))
    if spreads is not None:
        missing = [name for name in names if name not in spreads]
        if missing:
            raise InputError(f"spreads: none of {missing[0]!a}; leave it out to take those of the batch")
        found = np.array([spreads[str(name)] for name in names], dtype=np.float64)
    return values / np.maximum(found, floor)[of_row]


def advantage_spreads(rewards: Raw, groups: Iterable[Hashable], pairs: Iterable[str]) -> dict[str, float]:
    """Pair -> root mean square of reward minus group mean: what `advantages(pairs=...)` divides by, to be followed
    over batches. A pair without a reward is left out."""
    values = numbers(rewards, "rewards", ndim=1)
    refuse_infinite(values, "rewards")
    names, of_row = numbered(groups, len(values), "groups")
    pair_names, pair_of_row = numbered(pairs, len(values), "pairs")
    found = _rms(_centred(values, of_row, len(names)), pair_of_row, len(pair_names))
    there = set(pair_of_row[~np.isnan(values)].tolist())
    return {str(name): float(found[k]) for k, name in enumerate(pair_names) if k in there}


def saturated(rewards: Raw, low: float = 0.01, high: float = 0.99) -> float:
    """Share of rewards below `low` or above `high`, where a logistic has no slope left; 0.0 of none."""
    values = numbers(rewards, "rewards")
    here = values[~np.isnan(values)]
    return float(np.mean((here < low) | (here > high))) if here.size else 0.0


# --- parts -------------------------------------------------------------------------------------------------------


@_to_the_limit
def _standard(raw: Raw, centre: float, half_scale: float, floor: float, then: Callable[[Floats], Any]) -> Floats:
    """then((raw - centre) / scale). Of halves: the difference of the largest floats would overflow."""
    check_floor(floor)
    z = numbers(raw)
    z *= 0.5
    z -= 0.5 * centre
    z /= max(half_scale, 0.5 * floor)
    return np.asarray(then(z))


def _count_at_or_below(q: Floats, x: Floats) -> NDArray[np.intp]:
    """How many of the sorted q (at most 127) are at or below each x; 0 for NaN. By halves, all x in step: what
    np.searchsorted(q, x, "right") finds, in a third of the time."""
    padded = np.full(128, np.nan)
    padded[: len(q)] = q
    at = np.zeros(x.shape, dtype=np.intp)
    for step in (64, 32, 16, 8, 4, 2, 1):
        at += step * (padded[at + (step - 1)] <= x)
    return at


def _rows_by_pair(
    values: Floats, pairs: Iterable[str], statistics: Statistics, component: str
) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """(pair, its rows), in the order of the statistics. InputError for a row with a value of a pair not in there."""
    if isinstance(pairs, str):
        raise InputError(f"pairs: {pairs!a:.80} is one text, expected one for each of {len(values)} rewards")
    pairs = pairs if isinstance(pairs, list) else list(pairs)
    if len(pairs) != len(values):
        raise InputError(f"pairs: {len(pairs)} for {len(values)} rewards, expected one each")
    index = {pair: k for k, pair in enumerate(statistics.pairs)}
    small = np.min_scalar_type(len(index))  # sixteen bits and fewer are sorted by radix
    try:
        codes = np.fromiter(map(index.__getitem__, pairs), small, len(pairs))
    except (KeyError, TypeError):
        for row, pair in enumerate(pairs):
            if not isinstance(pair, str) and not np.isnan(values[row]):
                raise InputError(f"pairs[{row}]: {pair!a:.80}, expected a name such as 'CoPESD/stg'") from None
            if isinstance(pair, str) and pair not in index and not np.isnan(values[row]):
                statistics.of(pair, component)
        known = (index.get(pair, len(index)) if isinstance(pair, str) else len(index) for pair in pairs)
        codes = np.fromiter(known, small, len(pairs))
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(index)))
    for pair, k in index.items():
        yield pair, order[ends[k - 1] if k else 0 : ends[k]]


def _sums(values: Floats, of_row: NDArray[np.intp], n: int) -> tuple[Floats, Floats]:
    """(sum, count) a group, NaN left out."""
    here = ~np.isnan(values)
    total: Floats = np.bincount(of_row[here], weights=values[here], minlength=n).astype(np.float64)
    return total, np.bincount(of_row[here], minlength=n).astype(np.float64)


def _centred(values: Floats, of_row: NDArray[np.intp], n: int) -> Floats:
    total, count = _sums(values, of_row, n)
    return values - (total / np.maximum(count, 1.0))[of_row]


def _variance(centred: Floats, of_row: NDArray[np.intp], n: int) -> Floats:
    """A group's variance over its count - 1; 0 of a single value, whose advantage is 0 anyway."""
    total, count = _sums(centred**2, of_row, n)
    return total / np.maximum(count - 1.0, 1.0)


def _rms(centred: Floats, of_row: NDArray[np.intp], n: int) -> Floats:
    total, count = _sums(centred**2, of_row, n)
    return np.sqrt(total / np.maximum(count, 1.0))


def _check_one_pair_a_group(
    names: list[Hashable], of_row: NDArray[np.intp], pair_names: list[Hashable], pair_of_row: NDArray[np.intp]
) -> None:
    pair_of_group = np.zeros(len(names), dtype=np.intp)
    pair_of_group[of_row] = pair_of_row
    wrong = np.flatnonzero(pair_of_group[of_row] != pair_of_row)
    if len(wrong):
        group, row = names[of_row[wrong[0]]], wrong[0]
        raise InputError(
            f"pairs[{row}]: group {group!a:.80} has rows of {pair_names[pair_of_row[row]]!a} and of "
            f"{pair_names[pair_of_group[of_row[row]]]!a}; a prompt belongs to one pair"
        )
