"""Reward statistics, normalisers, advantages: the laws they keep, and what becomes of them under TRL's scaling."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvidbench_hf.cli.judge_tables import print_reward_comparison
from medvidbench_hf.evaluation.raw_rewards import read_raw_csv, read_samples_csv
from medvidbench_hf.rewards import (
    NORMALISERS,
    Running,
    Spread,
    Statistics,
    advantage_spreads,
    advantages,
    by_pair,
    compare,
    fit,
    logistic,
    merge,
    normalise,
    percentile,
    plot,
    saturated,
    spread_of,
    zscore,
)
from medvidbench_hf.rewards.compare import METHODS, Samples
from medvidbench_hf.rewards.normalise import SCALES
from medvidbench_hf.sample import InputError
from tests.bench import rewards_study

nan, inf = float("nan"), float("inf")
grid = st.integers(-1024, 1024).map(lambda k: k / 1024)  # sums and products with powers of two are exact
rewards_of_a_pair = st.lists(grid, min_size=2, max_size=60)
finite = st.floats(allow_nan=False, allow_infinity=False)
some = settings(max_examples=60)


def spread(values: Any, floor: float = 0.05) -> Spread:
    return spread_of(np.array(values, dtype=float), floor)


# --- normalisers -----------------------------------------------------------------------------------------------


@some
@given(st.lists(finite, min_size=1, max_size=30), finite, st.floats(1e-12, 10))
def test_the_median_gets_one_half_exactly_whatever_the_rewards(values: list[float], other: float, floor: float) -> None:
    of = spread(values, floor)
    assert logistic([of.p50], of, floor)[0] == 0.5
    assert logistic([other], of, floor)[0] == pytest.approx(0.5) or other != of.p50


@some
@given(rewards_of_a_pair, st.lists(st.floats(-3, 3), min_size=2, max_size=30))
def test_logistic_is_increasing_wherever_float32_can_tell(values: list[float], steps: list[float]) -> None:
    """Within 3 IQR of the median, a thousandth of an IQR changes the reward by more than float32 rounds away."""
    of = spread(values)
    scale = max(of.iqr, 0.05)
    apart = sorted({round(step, 3) for step in steps})
    rewards = logistic(of.p50 + np.array(apart) * scale, of).astype(np.float32)
    assert (np.diff(rewards) > 0).all()


@some
@given(
    rewards_of_a_pair, st.lists(st.floats(allow_nan=False), min_size=2, max_size=20), st.sampled_from([*NORMALISERS])
)
def test_no_normaliser_ever_turns_an_order_around(values: list[float], x: list[float], method: str) -> None:
    rewards = NORMALISERS[method](sorted(x), spread(values), 0.05)
    assert (rewards[:-1] <= rewards[1:]).all()


@some
@given(rewards_of_a_pair, st.sampled_from([2.0**k for k in range(-6, 7)]), st.integers(-64, 64), st.data())
def test_an_affine_change_of_a_pairs_rewards_changes_nothing(
    values: list[float], a: float, b: int, data: st.DataObject
) -> None:
    """With a floor that is not used. Exact up to rounding; ties stay ties."""
    x = np.array(values)
    method = data.draw(st.sampled_from(["logistic", "zscore", "percentile"]))
    if spread(x).iqr == 0 and method != "percentile":
        return
    of, of_changed = spread(x, 1e-9), spread(a * x + b, 1e-9)
    assert not of.floored or method == "percentile"
    function = NORMALISERS[method]
    np.testing.assert_allclose(function(a * x + b, of_changed, 1e-9), function(x, of, 1e-9), rtol=1e-9, atol=1e-9)


@some
@given(st.lists(grid, min_size=40, max_size=120), st.lists(finite, min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_outliers_of_any_size_move_the_other_rewards_within_known_bounds(
    values: list[float], outliers: list[float], seed: int
) -> None:
    """5 % replaced: each quantile stays between the clean ones at its level - 5 % and + 5 % (in order statistics)."""
    clean = np.array(values)
    n, m = len(clean), len(clean) // 20
    at = np.random.default_rng(seed).permutation(n)[:m]
    dirty = clean.copy()
    dirty[at] = np.resize(outliers, m)
    others = np.delete(clean, at)

    def bounds(level: float) -> tuple[float, float]:
        low, high = np.quantile(clean, np.clip([level - m / (n - 1), level + m / (n - 1)], 0, 1))
        return low - 1e-9, high + 1e-9

    (low25, high25), (low50, high50), (low75, high75) = map(bounds, (0.25, 0.5, 0.75))
    corners = [
        1 / (1 + np.exp(-3 * (others - p50) / max(iqr, 0.05)))
        for p50 in (low50, high50)
        for iqr in (low75 - high25, high75 - low25)
    ]
    found = logistic(others, spread(dirty))
    assert (np.min(corners, axis=0) - 1e-6 <= found).all()
    assert (found <= np.max(corners, axis=0) + 1e-6).all()
    moved = np.abs(percentile(others, spread(dirty)) - percentile(others, spread(clean)))
    assert len(set(values)) < n or moved.max() <= m / (n - 1) + 0.02 + 1e-9  # two steps of the 101 quantiles


def test_five_percent_outliers_hardly_move_the_logistic_and_ruin_the_z_scores() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(0.4, 0.1, 1000)
    dirty = clean.copy()
    dirty[:50] = 1e6
    of = {
        name: (function(clean[50:], spread(clean)), function(clean[50:], spread(dirty)))
        for name, function in (("logistic", logistic), ("percentile", percentile), ("zscore", zscore))
    }
    assert np.abs(np.subtract(*of["logistic"])).max() < 0.06
    assert np.abs(np.subtract(*of["percentile"])).max() < 0.06
    assert np.ptp(of["zscore"][0]) > 6
    assert np.ptp(of["zscore"][1]) < 1e-4


EDGES = [-inf, -1.7e308, -1e308, -1.0, -5e-324, 0.0, 5e-324, 0.2, 1.0, 1e308, 1.7e308, inf]


@pytest.mark.parametrize("method", NORMALISERS)
@pytest.mark.parametrize(
    "values",
    [[0.2, 0.4, 0.6], [0.2] * 5, [-1.7e308, 1.7e308], [1.7e308] * 3, [0.0, 5e-324, 1e-323], [0.0, 1e-310], [0, 1e308]],
)
def test_no_float_overflows_or_warns(method: str, values: list[float]) -> None:
    of = spread(values)
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        rewards = NORMALISERS[method]([*EDGES, nan], of, 0.05)
    assert np.isnan(rewards).tolist() == [False] * len(EDGES) + [True]
    assert (rewards[:-2] <= rewards[1:-1]).all()
    if method in ("logistic", "percentile"):
        assert rewards[0] == 0.0
        assert rewards[-2] == 1.0


def test_the_floor_bounds_the_slope() -> None:
    of = spread([0.3] * 30)
    assert of.floored
    step = 1e-7
    slope = (logistic([0.3 + step], of)[0] - logistic([0.3 - step], of)[0]) / (2 * step)
    assert slope == pytest.approx(0.75 / 0.05, rel=1e-4)
    assert zscore([0.35], of)[0] == pytest.approx(1.0)
    with pytest.raises(InputError, match="floor: 0, expected a positive number"):
        logistic([0.3], of, 0)


def test_percentile_is_the_rank_with_ties_in_the_middle() -> None:
    of = spread([k / 100 for k in range(101)])
    np.testing.assert_allclose(percentile([0.0, 0.255, 0.5, 1.0, -1.0, 2.0], of), [0.0, 0.255, 0.5, 1.0, 0.0, 1.0])
    tied = spread([0.0] * 60 + [0.5] * 20 + [1.0] * 21)  # p0..p59, p60..p79, p80..p100
    np.testing.assert_allclose(
        percentile([-0.1, 0.0, 0.25, 0.5, 0.75, 1.0, 1.1], tied), [0, 0.295, 0.595, 0.695, 0.795, 0.9, 1.0]
    )
    assert percentile([0.2], spread([0.2] * 9))[0] == 0.5


@some
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]) | grid, min_size=1, max_size=40), st.lists(grid, min_size=1))
def test_percentile_is_what_a_slow_twin_finds(values: list[float], x: list[float]) -> None:
    of = spread(values)
    q = of.quantiles

    def slow(value: float) -> float:
        if value in q:
            return (q.index(value) + 100 - q[::-1].index(value)) / 200
        if not q[0] < value < q[100]:
            return 0.0 if value < q[0] else 1.0
        k = max(k for k in range(101) if q[k] < value)
        return (k + (value - q[k]) / (q[k + 1] - q[k])) / 100

    asked = [*x, *values]
    np.testing.assert_allclose(percentile(asked, of), [slow(value) for value in asked], atol=1e-12)


def test_none_and_nan_come_back_as_nan_and_other_things_are_refused() -> None:
    of = spread([0.1, 0.2, 0.3])
    assert np.isnan(logistic([None, nan, 0.2], of)).tolist() == [True, True, False]
    assert logistic(0.2, of) == 0.5
    refused: list[tuple[Any, str]] = [
        (["0.5"], r"raw\[0\]: '0.5', expected a number or None"),
        ([0.1, "x"], r"raw\[1\]: 'x', expected a number or None"),
        ([0.1, 1j], r"raw\[1\]: 1j, expected a number or None"),
        ([10**400], "too large for a float"),
        ([[1.0], [1.0, 2.0]], "lists of different lengths"),
    ]
    for bad, said in refused:
        with pytest.raises(InputError, match=said):
            logistic(bad, of)


# --- batches ---------------------------------------------------------------------------------------------------

THREE = Statistics(
    {name: {"score": spread(np.linspace(0, top, 30))} for name, top in (("A/x", 1), ("B/x", 0.2), ("C/y", 5))}
)
batches = st.lists(st.tuples(st.sampled_from(["A/x", "B/x", "C/y"]), st.none() | grid), max_size=30)


@some
@given(batches, st.sampled_from([*NORMALISERS]), st.randoms(use_true_random=False))
def test_a_mixed_batch_is_its_rows_in_any_order(batch: list[Any], method: str, random: Any) -> None:
    def together(rows: list[Any]) -> list[float]:
        return normalise([x for _, x in rows], [pair for pair, _ in rows], THREE, method=method).tolist()

    whole = together(batch)
    np.testing.assert_array_equal(whole, [together([row])[0] for row in batch])
    order = list(range(len(batch)))
    random.shuffle(order)
    np.testing.assert_array_equal(together([batch[k] for k in order]), [whole[k] for k in order])


def test_a_row_without_a_reward_needs_no_statistics_and_one_with_a_reward_does() -> None:
    assert np.isnan(normalise([None, nan, 0.5], ["?", None, "A/x"], THREE)).tolist() == [True, True, False]  # type: ignore[list-item]
    with pytest.raises(InputError, match="no reward statistics of 'D/x'; there are those of 'A/x', 'B/x', 'C/y'"):
        normalise([0.1, 0.2], ["A/x", "D/x"], THREE)
    with pytest.raises(
        InputError, match="no reward statistics of the 'judge' of 'A/x'; there are those of its 'score'"
    ):
        normalise([0.1], ["A/x"], THREE, component="judge")
    with pytest.raises(InputError, match=r"pairs\[1\]: \['A/x'\], expected a name"):
        normalise([0.1, 0.2], ["A/x", ["A/x"]], THREE)  # type: ignore[list-item]
    with pytest.raises(InputError, match="pairs: 1 for 2 rewards"):
        normalise([0.1, 0.2], ["A/x"], THREE)
    with pytest.raises(InputError, match="pairs: 'A/x' is one text, expected one for each of 3 rewards"):
        normalise([0.1, 0.2, 0.3], "A/x", THREE)
    for method in ("sigmoid", ["logistic"], 5, None):
        with pytest.raises(InputError, match=r"method: .*, expected one of logistic, zscore, percentile, none"):
            normalise([0.1], ["A/x"], THREE, method=method)  # type: ignore[arg-type]
    for component in (["score"], None):
        with pytest.raises(InputError, match=r"component: .*, expected a name such as 'score'"):
            normalise([0.1], ["A/x"], THREE, component=component)  # type: ignore[arg-type]
    assert len(normalise([], [], THREE)) == 0


def test_a_normaliser_of_ones_own_fits_in() -> None:
    made = normalise([0.5, 0.1], ["A/x", "B/x"], THREE, method=lambda raw, of, floor: logistic(raw, of, floor, k=6.0))
    np.testing.assert_allclose(made, [0.5, 0.5])


def test_saturated_is_the_share_that_has_no_slope_left() -> None:
    assert saturated([0.0, 0.01, 0.5, 0.99, 1.0, None]) == pytest.approx(0.4)
    assert saturated([None]) == 0.0


# --- advantages ------------------------------------------------------------------------------------------------

# Six prompts of four samples; the expected values are those of the statements in TRL 1.16's grpo_trainer.py.
TRL_REWARDS = [
    *(0.1, 0.9, 0.4, 0.4, 0.25, None, 0.75, 0.5, None, None, 0.6, None),
    *(0.3, 0.3, 0.3, 0.3, None, None, None, None, 0.0, 1.0, 1.0, None),
]
TRL_ADVANTAGES = {
    "none": [-0.35, 0.45, -0.05, -0.05, -0.25, 0, 0.25, *[0] * 13, -0.666667, 0.333333, 0.333333, 0],
    "batch": [
        *(-1.116728, 1.435793, -0.159533, -0.159533, -0.797663, 0, 0.797663),
        *([0] * 13),
        *(-2.127101, 1.063551, 1.063551, 0),
    ],
    "group": [
        *(-1.054972, 1.356392, -0.15071, -0.15071, -0.9996, 0, 0.9996),
        *([0] * 13),
        *(-1.154501, 0.57725, 0.57725, 0),
    ],
}


@pytest.mark.parametrize("scale", SCALES)
def test_advantages_are_those_of_trl(scale: str) -> None:
    groups = [("prompt", k // 4) for k in range(24)]
    np.testing.assert_allclose(advantages(TRL_REWARDS, groups, scale), TRL_ADVANTAGES[scale], atol=2e-6)
    assert advantages([0.4], ["a"], scale).tolist() == [0.0]
    assert advantages([0.4, 0.9], ["a", "b"], scale).tolist() == [0.0, 0.0]
    assert advantages([], [], scale).tolist() == []


@some
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | grid), max_size=30), st.sampled_from(SCALES))
def test_advantages_are_those_of_a_slow_twin_for_groups_of_any_size(rows: list[Any], scale: str) -> None:
    values = np.array([nan if x is None else x for _, x in rows])
    here = values[~np.isnan(values)]
    batch = here.std(ddof=1) if len(here) > 1 else 0.0
    expected = []
    for group, x in rows:
        own = np.array([y for other, y in rows if other == group and y is not None])
        if x is None or len(own) < 2:
            expected.append(0.0)
            continue
        expected.append((x - own.mean()) / {"none": 1, "batch": batch + 1e-4, "group": own.std(ddof=1) + 1e-4}[scale])
    found = advantages([x for _, x in rows], [group for group, _ in rows], scale)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_what_cannot_be_an_advantage_is_refused() -> None:
    for arguments, said in (
        (([0.1], ["a"], "groups"), "scale: 'groups', expected one of none, batch, group"),
        (([0.1, inf], ["a", "a"]), r"rewards\[1\]: inf is not a reward"),
        (([0.1], ["a", "b"]), "groups: 2 for 1 rewards"),
        (([0.1], [["a"]]), "groups: unhashable type: 'list'"),
        (([0.1], "a"), "groups: 'a' is one text"),
    ):
        with pytest.raises(InputError, match=said):
            advantages(*arguments)
    with pytest.raises(InputError, match=r"pairs\[0\]: group 'a' has rows of 'A' and of 'B'; a prompt belongs to one"):
        advantages([0.1, 0.2], ["a", "a"], pairs=["A", "B"])


def test_advantages_by_pair_weigh_the_pairs_alike_down_to_a_floor() -> None:
    rng = np.random.default_rng(0)
    sizes = {"wide": 0.3, "narrow": 0.02, "hardly": 1e-4}
    rewards = np.concatenate([rng.normal(0.5, size, 800) for size in sizes.values()])
    pairs = [pair for pair in sizes for _ in range(800)]
    groups = [k // 8 for k in range(2400)]
    plain = advantages(rewards, groups)
    made = advantages(rewards, groups, pairs=pairs)
    rms = {pair: np.sqrt(np.mean(made[800 * k : 800 * k + 800] ** 2)) for k, pair in enumerate(sizes)}
    assert rms["wide"] == pytest.approx(1.0)
    assert rms["narrow"] == pytest.approx(1.0)
    np.testing.assert_allclose(made[1600:], plain[1600:] * 100)  # the floor of 0.01
    spreads = advantage_spreads(rewards, groups, pairs)
    np.testing.assert_array_equal(advantages(rewards, groups, pairs=pairs, spreads=spreads), made)
    doubled = {pair: 2 * value for pair, value in spreads.items()}
    np.testing.assert_allclose(advantages(rewards, groups, pairs=pairs, spreads=doubled)[:1600], made[:1600] / 2)
    with pytest.raises(InputError, match="spreads: none of 'narrow'"):
        advantages(rewards, groups, pairs=pairs, spreads={"wide": 1.0})
    assert advantage_spreads([None, 0.1, 0.3], [0, 1, 1], ["A", "B", "B"]) == {"B": pytest.approx(0.1)}


def test_a_trainer_that_took_the_groups_mean_off_may_normalise_by_pair_itself() -> None:
    rng = np.random.default_rng(0)
    rewards, pairs = np.concatenate([rng.normal(0, 1, 80), rng.normal(0, 5, 80)]), ["A"] * 80 + ["B"] * 80
    groups = [k // 8 for k in range(160)]
    centred = advantages(rewards, groups)
    np.testing.assert_allclose(by_pair(centred, iter(pairs)), advantages(rewards, groups, pairs=iter(pairs)))
    spreads = advantage_spreads(rewards, groups, pairs)
    np.testing.assert_allclose(by_pair(centred[:5], pairs[:5], spreads=spreads), centred[:5] / spreads["A"])
    there = np.array([0.5, -0.5, nan, 0.0])
    np.testing.assert_allclose(by_pair(there, ["A", "A", "A", "B"], floor=0.1), [1.0, -1.0, nan, 0.0])
    for bad, said in (([inf], r"centred\[0\]: inf is not a reward"), ([0.1, 0.2], "pairs: 1 for 2 rewards")):
        with pytest.raises(InputError, match=said):
            by_pair(bad, ["A"])


def test_scale_rewards_group_cancels_every_normaliser_and_none_lets_it_act() -> None:
    """Raw medians 0.49 and 0.10, 8 samples a prompt. Easy:hard mean |advantage|, raw against normalised."""
    pairs, prompts, raw = rewards_study.trap()
    statistics, groups = fit(pairs, raw), list(zip(pairs, prompts, strict=True))
    easy = np.array(pairs) == "easy/grounding"
    assert statistics.of("easy/grounding").p50 == pytest.approx(0.49, abs=0.005)
    assert statistics.of("hard/grounding").p50 == pytest.approx(0.10, abs=0.005)

    def ratio(method: str, scale: str) -> float:
        made = np.abs(advantages(normalise(raw, pairs, statistics, method=method), groups, scale))
        return float(made[easy].mean() / made[~easy].mean())

    for scale in ("none", "batch"):
        assert ratio("none", scale) == pytest.approx(1.63, abs=0.03)
        assert ratio("logistic", scale) == pytest.approx(1.06, abs=0.03)
        assert ratio("none", scale) > 1.4
        for method in ("logistic", "zscore", "percentile"):
            assert ratio(method, scale) < 1.2
    for method in NORMALISERS:
        assert 0.9 < ratio(method, "group") < 1.1


# --- statistics ------------------------------------------------------------------------------------------------


def test_statistics_are_of_the_rewards_there_are() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(50), rng.random(30)
    raw = [*a, None, nan, *b]
    found = fit(["S/stg"] * 52 + ["T/stg"] * 30, raw)
    of = found.of("S/stg")
    assert (of.n, of.floored) == (50, False)
    np.testing.assert_allclose(of.quantiles, np.quantile(a, np.linspace(0, 1, 101)))
    np.testing.assert_allclose([of.mean, of.std], [a.mean(), a.std()])
    assert (of.p25, of.p50, of.p75) == (of.quantiles[25], of.quantiles[50], of.quantiles[75])
    assert found.of("T/stg").n == 30
    assert found.notes == ()


@some
@given(st.lists(finite, min_size=1, max_size=30))
def test_a_spread_is_finite_and_in_order_whatever_the_magnitude(values: list[float]) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        of = spread(values)
    assert (of.quantiles[0], of.quantiles[100]) == pytest.approx((min(values), max(values)))


def test_what_is_far_below_the_largest_value_loses_digits_and_nothing_else_does() -> None:
    small = np.linspace(1, 2, 99)
    assert spread([*small * 1e8, 1e308]).p50 == pytest.approx(np.median([*small * 1e8, 1e308]), rel=1e-12)
    lost = spread([*small * 1e-20, 1e308])
    assert lost.p50 == pytest.approx(1.5e-20, abs=1e-300 * 1e308)
    assert lost.quantiles[100] == 1e308


def test_pairs_with_too_few_rewards_are_refused_all_at_once() -> None:
    pairs = ["A/stg"] * 30 + ["B/stg"] * 3 + ["C/tal"] + ["D/tal"]
    raw = [*np.linspace(0, 1, 30), 0.1, 0.2, None, 0.5, None]
    with pytest.raises(InputError) as caught:
        fit(pairs, raw)
    assert str(caught.value) == (
        "fewer than 20 values of score in 'B/stg' (n = 2), 'C/tal' (n = 1), 'D/tal' (n = 0); add predictions, lower "
        'min_rows, or pool with fallback="task" or "all"'
    )
    with pytest.raises(InputError, match=r"'C/tal' \(n = 1\), and with fallback=\"task\" n = 1; add predictions"):
        fit(pairs, raw, fallback="task")
    found = fit(pairs, raw, fallback="all")
    assert [found.of(pair).n for pair in ("A/stg", "B/stg", "D/tal")] == [30, 33, 33]
    assert "D/tal score: n = 0, pooled over all pairs (4): n = 33" in found.notes
    by_task = fit(pairs[:33], raw[:33], fallback="task")
    assert by_task.of("B/stg").n == 32
    assert by_task.notes == ("B/stg score: n = 2, pooled over the pairs of stg (2): n = 32",)
    assert fit(pairs[:33], raw[:33], min_rows=2).of("B/stg").n == 2


def test_a_pair_without_spread_is_floored_and_said_so() -> None:
    found = fit(["A/x"] * 20 + ["B/x"] * 20, [0.2] * 20 + list(np.linspace(0, 1, 20)), floor=0.1)
    assert [found.of(pair).floored for pair in ("A/x", "B/x")] == [True, False]
    assert found.notes == ("A/x score: IQR 0; the floor 0.1 stands in for it",)
    assert fit(["A/x"] * 20, np.linspace(0, 0.1, 20), floor=0.051).of("A/x").floored
    assert not fit(["A/x"] * 20, np.linspace(0, 0.1, 20), floor=0.049).of("A/x").floored


def test_what_cannot_be_fitted_is_refused() -> None:
    for pairs, raw, options, said in (
        (["A"] * 2, [0.1, inf], {}, r"raw\[1\]: inf is not a reward; None says that none applies"),
        (["A"] * 2, [0.1], {}, "pairs: 2 for 1 rewards"),
        ([], [], {}, "raw: holds no reward"),
        (["A", 3], [0.1, 0.2], {}, r"pairs\[1\]: 3, expected a name"),
        (["A"], [[0.1]], {}, r"raw: an array of shape \(1, 1\), expected 1 dimension"),
        (["A"], [0.1], {"min_rows": 0}, "min_rows: 0, expected a count of at least 1"),
        (["A"], [0.1], {"fallback": "source"}, "fallback: 'source', expected"),
        (["A"], [0.1], {"floor": nan}, "floor: nan, expected a positive number"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            fit(pairs, raw, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_components_are_fitted_apart_and_merged() -> None:
    pairs, about = ["S/video_summary"] * 20, {"model": "org/sft"}
    similarity = fit(pairs, np.linspace(0.5, 0.9, 20), component="similarity", about=about)
    judge = fit(pairs, np.linspace(0, 1, 20), component="judge", about={**about, "judge": "lexicon"})
    both = merge(similarity, judge)
    assert list(both.pairs["S/video_summary"]) == ["similarity", "judge"]
    assert both.about == {"model": "org/sft", "judge": "lexicon"}
    for parts, said in (
        ((judge, judge), "the 'judge' of 'S/video_summary' is in two of the statistics"),
        ((judge, fit(pairs, range(20), about={"model": "x"})), "field model: 'org/sft' and 'x' cannot be merged"),
        ((judge, fit(pairs, range(20), floor=0.1)), "field floor: 0.05 and 0.1 cannot be merged"),
        ((), "merge: no statistics given"),
    ):
        with pytest.raises(InputError, match=said):
            merge(*parts)


def test_statistics_that_contradict_themselves_are_refused() -> None:
    of = spread([0.1, 0.1])
    with pytest.raises(InputError, match=r"pair 'A', 'score' field floored: True, but its IQR is 0\.5 and"):
        Statistics({"A": {"score": Spread(2, 0.1, 0.0, tuple(np.linspace(0, 1, 101)), True)}})
    with pytest.raises(InputError, match="field about: 'pairs' is a name of the file's own"):
        Statistics({"A": {"score": of}}, about={"pairs": 1})
    with pytest.raises(InputError, match=r"field quantiles: p1 is 0\.0, below p0, which is 1\.0"):
        Spread(1, 0.0, 0.0, (1.0, *[0.0] * 100), True)


# --- the file --------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(finite, min_size=1, max_size=8), min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(["model", "judge", "note on this"]), st.text(max_size=8) | st.none()),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, raw: dict[str, list[float]], about: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("stats") / "stats.json"
    pairs = [pair for pair, values in raw.items() for _ in values]
    made = fit(pairs, [x for values in raw.values() for x in values], min_rows=1, about=about)
    made.write(path)
    read = Statistics.read(path)
    assert (read.pairs, read.floor, read.notes) == (made.pairs, made.floor, made.notes)
    assert {name: read.about[name] for name in about} == about
    read.write(path)
    assert Statistics.read(path) == read


def test_the_file_has_the_fields_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    fit(["CoPESD/stg"] * 20, np.linspace(0, 1, 20), about={"model": "org/sft", "judge": "lexicon"}).write(path)
    record = json.loads(path.read_text())
    assert list(record) == [
        *("schema", "created", "model", "model_revision", "scorer_version", "data_hash", "split", "decoding"),
        *("judge", "pairs", "floor", "notes"),
    ]
    assert (record["schema"], record["model"], record["split"]) == (1, "org/sft", None)
    assert list(record["pairs"]["CoPESD/stg"]["score"]) == ["n", "mean", "std", "quantiles", "floored"]
    assert [p.name for p in tmp_path.iterdir()] == ["stats.json"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    path.write_text("old")
    made = fit(["A"] * 20, np.linspace(0, 1, 20), about={"decoding": object()})
    with pytest.raises(InputError, match="field about cannot be written as JSON"):
        made.write(path)
    with pytest.raises(InputError, match=r"no/stats\.json: cannot be written"):
        THREE.write(tmp_path / "no" / "stats.json")
    with pytest.raises(InputError, match="cannot be written"):
        THREE.write(tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("stats.json", "old")]
    assert not list(tmp_path.parent.glob(".*partial"))


def changed(record: dict[str, Any], *where: str, value: Any) -> bytes:
    record = json.loads(json.dumps(record))
    inner = record
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    return json.dumps(record).encode()


def test_a_hostile_file_is_refused_with_its_field(tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    fit(["A"] * 20, np.linspace(0, 1, 20)).write(path)
    record = json.loads(path.read_text())
    of = ("pairs", "A", "score")
    quantiles = record["pairs"]["A"]["score"]["quantiles"]
    for content, said in (
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is a JSON list, expected an object"),
        (b'{"schema": 1, "schema": 1}', "an object has a name twice"),
        (path.read_bytes().replace(b'"mean": 0.5', b'"mean": NaN'), "NaN is not JSON"),
        (changed(record, "schema", value=2), "field schema: 2, expected 1"),
        (changed(record, "schema", value=True), "field schema: True, expected 1"),
        (json.dumps({k: v for k, v in record.items() if k != "split"}).encode(), "field split: missing"),
        (changed(record, "pairs", value=[]), "field pairs: list, expected an object"),
        (changed(record, "pairs", "A", value=3), "pair 'A': int, expected an object"),
        (changed(record, *of, value={}), "pair 'A', 'score' field n: missing"),
        (changed(record, *of, "n", value=1.5), "pair 'A', 'score' field n: 1.5, expected a count"),
        (changed(record, *of, "n", value=True), "field n: True, expected a count"),
        (changed(record, *of, "mean", value="0.5"), "field mean: '0.5', expected a finite number"),
        (changed(record, *of, "mean", value=10**400), "field mean: 1000"),
        (changed(record, *of, "std", value=-1), "field std: -1 is negative"),
        (changed(record, *of, "quantiles", value={}), "field quantiles: dict, expected a list"),
        (changed(record, *of, "quantiles", value=quantiles[1:]), "field quantiles: 100 values, expected 101"),
        (changed(record, *of, "quantiles", value=[*quantiles[:100], None]), "quantiles: p100 is None, expected"),
        (changed(record, *of, "quantiles", value=quantiles[::-1]), "p1 is 0.9[0-9]*, below p0, which is 1.0"),
        (json.dumps(record).replace("1.0]", "1e999]").encode(), "quantiles: p100 is inf, expected a finite number"),
        (changed(record, *of, "floored", value=1), "field floored: 1, expected true or false"),
        (changed(record, *of, "floored", value=True), "field floored: True, but its IQR is 0.5 and the floor 0.05"),
        (changed(record, "floor", value=0), "floor: 0, expected a positive number"),
        (changed(record, "notes", value="x"), "field notes: expected a list of texts"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=said) as caught:
            Statistics.read(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        Statistics.read(tmp_path / "none.json")


# --- statistics that follow training ---------------------------------------------------------------------------

FIXED = fit(["A/x"] * 20 + ["B/x"] * 20, [*np.linspace(0, 1, 20), *np.linspace(0, 0.2, 20)])


def test_the_fixed_statistics_hold_until_warm_up_and_the_window_after() -> None:
    running = Running(FIXED, window=50, warm_up=30)
    raw = np.random.default_rng(0).random(200)
    for start in range(0, 200, 6):  # the fifth batch completes the warm-up
        batch = raw[start : start + 6]
        running.update(["A/x"] * len(batch), batch)
        seen = raw[: start + len(batch)]
        expected = FIXED.of("A/x") if len(seen) < 30 else spread(seen[-50:])
        assert running.statistics.of("A/x") == expected
        assert running.statistics.of("B/x") == FIXED.of("B/x")
    assert running.warm == [("A/x", "score")]
    np.testing.assert_array_equal(
        normalise([0.9], ["A/x"], running.statistics), logistic([0.9], running.statistics.of("A/x"))
    )


updates = st.lists(st.lists(st.tuples(st.sampled_from(["A/x", "B/x"]), st.none() | grid), max_size=12), max_size=8)


@some
@given(updates, updates)
def test_a_resumed_run_goes_on_exactly(before: list[Any], after: list[Any]) -> None:
    def play(running: Running, steps: list[Any]) -> None:
        for batch in steps:
            running.update([pair for pair, _ in batch], [x for _, x in batch])

    straight, stopped, resumed = (Running(FIXED, window=9, warm_up=4) for _ in range(3))
    play(straight, [*before, *after])
    play(stopped, before)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict(), allow_nan=False)))
    assert resumed.statistics == stopped.statistics
    play(resumed, after)
    assert resumed.statistics == straight.statistics
    assert resumed.state_dict() == straight.state_dict()


def test_a_state_of_other_settings_or_a_broken_one_changes_nothing() -> None:
    running = Running(FIXED, window=9, warm_up=4)
    running.update(["A/x"] * 5, [0.1, 0.2, 0.3, 0.4, 0.5])
    state = running.state_dict()
    other = fit(["A/x"] * 20, np.linspace(0, 2, 20))
    for bad, said in (
        ({**state, "window": 10}, "field window: 10, expected 9"),
        ({**state, "statistics": Running(other, 9, 4).state_dict()["statistics"]}, "field statistics: "),
        ({**state, "last": {}}, "field last: no values of the 'score' of 'A/x'"),
        ({**state, "last": None}, "field last: no values"),
        ({**state, "last": {"A/x": {"score": [nan]}, "B/x": {"score": []}}}, "at most 9 finite numbers"),
        ({**state, "last": {"A/x": {"score": [0.1] * 10}, "B/x": {"score": []}}}, "at most 9 finite numbers"),
        ({**state, "last": {"A/x": {"score": ["x"]}, "B/x": {"score": []}}}, "'x', expected a number"),
        ([], "list, expected what state_dict gave"),
    ):
        with pytest.raises(InputError, match=said):
            running.load_state_dict(bad)  # type: ignore[arg-type]
        assert running.state_dict() == state
    with pytest.raises(InputError, match="no reward statistics of 'D/x'"):
        running.update(["A/x", "D/x"], [0.1, 0.2])
    with pytest.raises(InputError, match=r"raw\[0\]: inf is not a reward"):
        running.update(["A/x"], [inf])
    running.update(["A/x", "D/x"], [None, nan])
    assert running.state_dict() == state
    with pytest.raises(InputError, match="window 5, warm_up 6: expected counts"):
        Running(FIXED, window=5, warm_up=6)


def test_processes_that_gather_have_the_same_statistics_whatever_each_has_seen() -> None:
    """Two threads stand in for the processes; each is handed the rows of both, in one order."""
    rng, barrier = np.random.default_rng(0), Barrier(2, timeout=20)
    given: dict[int, list[Any]] = {}

    def gather(rows: list[Any], rank: int) -> list[Any]:
        given[rank] = rows
        barrier.wait()
        return given[0] + given[1]

    alone = Running(FIXED, window=20, warm_up=10)
    both = [Running(FIXED, window=20, warm_up=10, gather=partial(gather, rank=rank)) for rank in (0, 1)]
    for _ in range(6):
        batches = [(["A/x"] * 3, rng.random(3)), (["B/x"] * 4, rng.random(4))]
        before = both[0].statistics
        for running, batch in zip(both, batches, strict=True):
            running.update(*batch)
            assert not running.is_new
            assert running.statistics == before  # until settle
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Running.settle, both))
        for batch in batches:
            alone.update(*batch)
        assert both[0].state_dict() == both[1].state_dict() == alone.state_dict()
        assert both[0].statistics == both[1].statistics == alone.statistics
    assert set(alone.warm) == {("A/x", "score"), ("B/x", "score")}
    alone.settle()  # one process has nothing to settle
    resumed = Running(FIXED, window=20, warm_up=10)
    resumed.load_state_dict(both[0].state_dict())
    assert resumed.statistics == alone.statistics


def test_rewards_that_nobody_settles_are_told() -> None:
    running = Running(FIXED, window=10, warm_up=5, gather=lambda rows: rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(6):
            running.update(["A/x"] * 4, [0.1, 0.2, 0.3, 0.4])
    assert ["12 raw rewards wait for settle()" in str(one.message) for one in caught] == [True]
    running.settle()
    assert running.warm == [("A/x", "score")]


# --- raw rewards in a CSV --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"pair,raw\nA/x,0.5\n\xff,1\n", "line 3: is not UTF-8"),
        (b"pair,raw\nA/x," + b"1" * 200_000 + b"\n", r"line 2: field larger than field limit \(131072\)"),
        (b"pair,raw\nA/x,0.5\nA/x,inf\n", "line 3 column raw: 'inf' is no number"),
        (b"pair,raw\nA/x,1e999\n", "line 2 column raw: '1e999' is no number"),
        (b"pair,raw\nA/x,1_0\n", "line 2 column raw: '1_0' is no number"),
        (b"pair,raw\nA/x,0x10\n", "line 2 column raw: '0x10' is no number"),
        ("pair,raw\nA/x,\u0661\n".encode(), r"line 2 column raw: '\\u0661' is no number"),
        (b"pair,raw\nA/x,\0\n", r"line 2 column raw: '\\x00' is no number"),
        (b"pair,raw\n\nA/x,0.5,0.7\n", "line 3: cells: 3, but the columns are pair, raw"),
        (b"pair,raw\nA/x\n", "line 2: cells: 1, but the columns are pair, raw"),
        (b'pair,raw\nA/x,0.5\n"A/x,0.7\n', "line 3: cells: 1"),
        (b"pair,raw,raw\nA/x,1,2\n", "line 1 column raw: is there twice"),
        (b"pair,raw,component\nA/x,1,bogus\n", "line 2 column component: 'bogus', expected one of score, similarity"),
        (b"pair,raw\n ,1\n", "line 2 column pair: empty"),
        (b"pair,raw\n", "no row"),
        (b"", "no column pair; expected pair, raw"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_csv_is_named_with_line_and_column(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "raw.csv"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_raw_csv(path, 1, "")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_csv_of_rewards_may_have_empty_rewards_and_components(tmp_path: Path) -> None:
    path = tmp_path / "raw.csv"
    path.write_bytes(b"\xef\xbb\xbfpair,raw,component\r\nA/x, .5e-1 ,judge\r\nA/x,-2,\r\nA/x,,\r\nA/x,NaN,\r\n")
    found = read_raw_csv(path, 1, "")
    assert (found.of("A/x", "judge").mean, found.of("A/x").mean, found.of("A/x").n) == (0.05, -2.0, 1)
    path.write_text("pair,prompt,raw\nA/x,1,0.5\nA/x,1,\n")
    assert read_samples_csv(path) == [("A/x", "1", 0.5), ("A/x", "1", None)]
    path.write_text("pair,prompt,raw\nA/x,1,0.5\nA/x,,0.2\n")
    with pytest.raises(InputError, match="line 3 column prompt: empty"):
        read_samples_csv(path)


# --- compare ---------------------------------------------------------------------------------------------------


def halved() -> list[tuple[str, int, float | None]]:
    """Two pairs, one with exactly half the other's rewards, and one that never varies."""
    rng = np.random.default_rng(3)
    rows: list[tuple[str, int, float | None]] = []
    for prompt in range(60):
        for x in rng.beta(4, 4, 8):
            rows += [("big/x", prompt, x), ("small/x", prompt, x / 2), ("still/x", prompt, 0.7)]
    return [*rows, ("big/x", 99, None)]


def test_a_pair_of_half_the_size_weighs_half_and_the_same_once_normalised() -> None:
    result = compare(halved())
    assert (result["easy"], result["hard"], result["silent"], result["left_out"]) == (
        "big/x",
        "small/x",
        ["still/x"],
        1,
    )
    assert result["pairs"]["big/x"]["prompts"] == 60
    assert result["pairs"]["still/x"]["no_variance"] == 1.0
    for method in METHODS:
        found = result["methods"][method]
        for scale in SCALES:
            expected = 2.0 if method == "none" and scale != "group" else 1.0
            assert found[scale]["easy_hard"] == pytest.approx(expected, rel=2e-3)
            assert found[scale]["max_min"] >= 1.0
        assert found["rank_min"] == pytest.approx(1.0)
        assert found["no_variance"] == pytest.approx(1 / 3)
        assert (found["saturated"] is None) == (method in ("none", "zscore", "advantage"))
    none = result["methods"]["none"]["none"]
    assert (none["order"], none["drift"]["0.25"]["mean_abs"]) == pytest.approx((1.0, 0.75))
    assert result["methods"]["none"]["group"]["quiet_loud"] > 1.5 * none["quiet_loud"]
    assert result["methods"]["logistic"]["none"]["outliers"] < 0.2 * none["outliers"]
    fixed, follows = (result["methods"][method]["none"]["drift"]["0.5"] for method in ("logistic", "running"))
    assert result["warm"] == ["big/x", "small/x", "still/x"]
    assert fixed["mean_abs"] < 0.5
    assert follows["mean_abs"] == pytest.approx(1.0, abs=0.02)
    costs = result["recommendation"]["costs"]
    assert [c["sum"] for c in costs] == sorted(c["sum"] for c in costs)
    assert (costs[0]["method"], costs[0]["scale"]) == tuple(result["recommendation"][k] for k in ("method", "scale"))
    for name in ("balance", "order", "quiet", "outliers", "drift", "saturation"):
        least = min(costs, key=lambda c: c["sum"] - c[name])
        told = None if least is costs[0] else f"{least['method']} under {least['scale']}"
        assert result["recommendation"]["without"].get(name) == told
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert compare(halved()) == result


def test_outliers_are_judged_by_what_they_do_to_the_other_rows() -> None:
    """One prompt of 20 samples, one of which becomes an outlier: 20 IQR above the median of 0.5."""
    raw = np.linspace(0, 1, 20)

    def change(k: int) -> float:
        dirty = raw.copy()
        dirty[k] = 0.5 + 20 * 0.5
        others = np.arange(20) != k
        return abs(np.abs(dirty - dirty.mean())[others].mean() / np.abs(raw - raw.mean())[others].mean() - 1)

    found = compare([("A/x", 0, x) for x in raw])["methods"]["none"]["none"]["outliers"]
    assert min(abs(found - change(k)) for k in range(20)) < 1e-6
    assert found > 0.5


def test_the_recommendation_says_when_it_rests_on_which_rows_are_the_outliers() -> None:
    sure = compare(halved())["recommendation"]
    assert sure["stable"] == 1.0
    assert "outliers another wins" not in sure["why"]
    pairs, prompts, raw = rewards_study.simulated(4, seed=11)
    statistics = fit(pairs, raw, min_rows=1)
    found = [compare(Samples(pairs, prompts, raw), statistics, seed=seed) for seed in range(5)]
    best = {(one["recommendation"]["method"], one["recommendation"]["scale"]) for one in found}
    assert len(best) == 2
    told = found[0]["recommendation"]
    assert told["stable"] == 0.8
    assert "with other outliers another wins (1 of 5 draws)" in told["why"]
    for method in METHODS:
        for scale in SCALES:
            draws = [one["methods"][method][scale]["outliers"] for one in found]
            assert found[0]["methods"][method][scale]["outlier_draws"] == draws


def test_the_table_tells_of_samples_left_out_and_of_pairs_too_small_to_be_followed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_reward_comparison(compare(halved()))
    told = " ".join(capsys.readouterr().out.split())
    assert "samples without a raw reward, which take no part: 1" in told
    assert "running: of" not in told
    print_reward_comparison(compare([row for row in halved()[:600] if row[2] is not None]))
    told = " ".join(capsys.readouterr().out.split())
    assert "take no part" not in told
    assert "running: of big/x, small/x, still/x there are too few samples" in told


def test_columns_are_as_good_as_rows_and_given_statistics_are_used() -> None:
    rows = halved()
    columns = Samples(*zip(*rows, strict=True))
    assert compare(columns) == compare(rows)
    wide = fit(["big/x", "small/x", "still/x"] * 2, [0.0] * 3 + [4.0] * 3, min_rows=1)
    result = compare(rows, wide)
    assert result["methods"]["zscore"]["none"]["easy_hard"] == pytest.approx(2.0)
    assert result["pairs"]["big/x"]["iqr"] == 2.0


def test_few_samples_are_compared_and_samples_that_say_nothing_are_refused() -> None:
    one = fit(["A/x"], [0.3], min_rows=1)
    result = compare([("A/x", 0, 0.1), ("A/x", 0, 0.2)], one)
    assert result["methods"]["none"]["none"]["easy_hard"] is None
    assert result["methods"]["none"]["none"]["quiet_loud"] is None
    assert result["warm"] == []
    for samples, said in (
        ([("A/x", 0, 0.1), ("A/x", 1, 0.2)], "no prompt has two samples whose rewards differ"),
        ([("A/x", 0, None)], "samples: none has a reward"),
        ([], "samples: none has a reward"),
        ([("A/x", 0)], r"samples\[0\]: \('A/x', 0\), expected \(pair, prompt, raw reward\)"),
        ([("A/x", 0, inf)], r"raw\[0\]: inf is not a reward"),
        ([("A/x", 0, 1e39)], r"raw\[0\]: 1e\+39 is too large for float32"),
        (Samples(["A/x"], [], [0.1]), "samples: 1 pairs, 0 prompts, 1 rewards"),
    ):
        with pytest.raises(InputError, match=said):
            compare(samples, one)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"fewer than 20 values of score in 'A/x' \(n = 2\)"):
        compare([("A/x", 0, 0.1), ("A/x", 0, 0.2)])


def test_the_picture_is_an_svg_that_shows_every_method_and_escapes_names(tmp_path: Path) -> None:
    rows = [(pair.replace("big", '<b>&"'), prompt, x) for pair, prompt, x in halved()]
    plot(compare(rows), tmp_path / "compare.svg")
    with pytest.raises(InputError, match="cannot be written"):
        plot(compare(rows), tmp_path / "no" / "compare.svg")
    text = "\n".join(ElementTree.parse(tmp_path / "compare.svg").getroot().itertext())
    assert '<b>&"/x (median 0.5' in text
    for name in (*METHODS, "scale_rewards=batch", "saturation", "By the rule: "):
        assert name in text


@pytest.mark.slow
def test_the_study_is_the_same_each_time_and_its_tables_begin_with_the_ratios() -> None:
    figures = rewards_study.study()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures["five"]["silent"] == ["equal/labels"]
    assert figures["trap"]["easy_hard"]["none"] == pytest.approx({"none": 1.63, "batch": 1.63, "group": 0.98}, abs=0.02)
    text = rewards_study.tables(figures)
    assert "| raw | 1.63 | 1.63 | 0.98 |" in text[: text.index("Five simulated pairs")]
    for table in text.split("\n\n"):
        columns = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(columns) <= 1
