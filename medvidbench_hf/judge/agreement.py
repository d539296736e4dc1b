"""Do judges agree with people as well as people agree with each other?"""

from __future__ import annotations

from collections import Counter
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.judge.pairs import HIGHEST, LOWEST
from medvidbench_hf.judge.ratings import PARTS, Ratings
from medvidbench_hf.sample import InputError
from medvidbench_hf.whole_file import write_text

CLASSES = ("human-human", "human-judge", "judge-judge")
RESAMPLES = 1000
FEWEST_ITEMS = 3  # below, a correlation says nothing
FEW_ITEMS = 20  # below, an interval says little

#: What the paper reports of its judge against clinicians.
PAPER = {
    "pearson": 0.977,
    "kappa": 0.817,
    "note": "reported by the paper against clinicians; raters, items, weighting and binning are not known, so it is "
    "no bar for the figures here",
}
NOTES = {
    "overall": "mean of the five dimensions, of items that have all five",
    "binning": "for kappa alone: scores are rounded half up to 1, 2, 3, 4 or 5, and so is the overall mean",
    "resampled": "items, with replacement; what all raters said of an item stays together; 95 % percentile intervals",
    "pooled": "classes and judges: mean over the pairs of raters that have a value (for kappa: Light's kappa)",
}

_BINS = HIGHEST - LOWEST + 1
_APART = np.abs(np.subtract.outer(np.arange(_BINS), np.arange(_BINS)))

#: statistic -> what it costs that a gave bin i and b bin j
COSTS = {"kappa": np.minimum(_APART, 1), "kappa_linear": _APART, "kappa_quadratic": _APART**2}
STATISTICS = ("pearson", "spearman", *COSTS)


# --- agreement -------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """One statistic of two raters. values: (1 + resamples,), of all items first; why it has none, or ""."""

    values: np.ndarray
    why: str


class _Pair(NamedTuple):
    """Two raters. both: (items, 6), what both rated; found: a dictionary of statistics for each of PARTS."""

    a: str
    b: str
    kinds: str  # one of CLASSES
    both: np.ndarray
    found: list[dict[str, _Found]]


def agreement(ratings: Ratings, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Any]:
    """How well the raters agree, a dimension and overall, as JSON values.

        items, raters      how many; name -> kind and number of items rated
        resamples, seed    of the bootstrap
        pairs              for each two raters: a, b, class, and by part (PARTS) n, the items both rated, and statistics
        classes            class (CLASSES) -> pairs, and by part n, the items that some pair of it rated, and statistics
        judges             judge -> the same over its pairs with humans; to be held against the class human-human
        paper              what the paper reports, beside these and never among them
        notes              how the figures are made: overall, binning, resampled, pooled
        weak               what weakens them, in sentences

    A statistic (STATISTICS) is value, interval [low, high] and why: of what is None, or of a pair that is left out.
    """
    if resamples < 0:
        raise InputError(f"resamples: {resamples}, expected 0 or more")
    n = len(ratings.items)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    weights = np.concatenate([np.ones((1, n)), draws])  # (1 + resamples, items): how often an item counts
    humans, judges = ratings.of("human"), ratings.of("judge")
    pairs = [_pair(ratings, a, b, weights) for a, b in combinations(humans + judges, 2)]
    classes = {name: [pair for pair in pairs if pair.kinds == name] for name in CLASSES}
    by_judge = {
        name: [pair for pair in classes["human-judge"] if pair.b == name]
        for name in (ratings.raters[judge] for judge in judges)
    }
    rated = (~np.isnan(ratings.scores)).any(axis=2).sum(axis=0)  # (raters,)
    of_rater = zip(ratings.raters, ratings.kinds, rated.tolist(), strict=True)
    return {
        "items": n,
        "raters": {name: {"kind": kind, "items": count} for name, kind, count in of_rater},
        "resamples": resamples,
        "seed": seed,
        "pairs": [{"a": pair.a, "b": pair.b, "class": pair.kinds, **_mean([pair])} for pair in pairs],
        "classes": {name: {"pairs": len(of_class), **_mean(of_class)} for name, of_class in classes.items()},
        "judges": {name: {"pairs": len(of_judge), **_mean(of_judge)} for name, of_judge in by_judge.items()},
        "paper": dict(PAPER),
        "notes": dict(NOTES),
        "weak": [
            *([] if humans else ["no human rated: nothing here says how well a judge agrees with people"]),
            *(
                f"{pair.a} and {pair.b}: {few} items in common, which says little"
                for pair in pairs
                if (few := int(pair.both[:, -1].sum())) < FEW_ITEMS
            ),
        ],
    }


def _pair(ratings: Ratings, a: int, b: int, weights: np.ndarray) -> _Pair:
    of_a, of_b = ratings.parts()[:, [a, b]].transpose(1, 0, 2)  # (items, 6) each
    both = ~(np.isnan(of_a) | np.isnan(of_b))
    names = ratings.raters[a], ratings.raters[b]
    found = [_measure(of_a[m, k], of_b[m, k], weights[:, m], names) for k, m in enumerate(both.T)]
    return _Pair(*names, f"{ratings.kinds[a]}-{ratings.kinds[b]}", both, found)


def _measure(a: np.ndarray, b: np.ndarray, weights: np.ndarray, names: tuple[str, str]) -> dict[str, _Found]:
    """The statistics of (n,) scores a and b, under each row of the weights (draws, n)."""
    if len(a) < FEWEST_ITEMS:
        why = f"items rated by both: {len(a)}, at least {FEWEST_ITEMS} are needed"
        return dict.fromkeys(STATISTICS, _Found(np.full(len(weights), np.nan), why))
    bins = binned(a), binned(b)
    why_raw, why_binned = _constant((a, b), names, ""), _constant(bins, names, " once rounded")
    tables = contingency(*bins, weights)
    return {
        "pearson": _Found(pearson(a, b, weights), why_raw),
        "spearman": _Found(pearson(ranks(a, weights), ranks(b, weights), weights), why_raw),
        **{name: _Found(kappa(tables, cost), why_binned) for name, cost in COSTS.items()},
    }


def _constant(scores: tuple[np.ndarray, np.ndarray], names: tuple[str, str], how: str) -> str:
    for name, of_rater in zip(names, scores, strict=True):
        if (of_rater == of_rater[0]).all():
            return f"{name} gave all {len(of_rater)} items the same score{how}"
    return ""


def _mean(pairs: list[_Pair]) -> dict[str, Any]:
    """By part: n, and each statistic's mean over the pairs that have it, of all items and of each draw."""
    made: dict[str, Any] = {}
    for k, part in enumerate(PARTS):
        made[part] = {"n": int(np.any([pair.both[:, k] for pair in pairs], axis=0).sum())}
        for name in STATISTICS:
            found = [pair.found[k][name] for pair in pairs]
            valued = [one.values for one in found if not one.why]  # (1 + resamples,) each
            whys = list(dict.fromkeys(one.why for one in found if one.why)) or ["there is no such pair of raters"]
            if not valued:
                made[part][name] = {"value": None, "interval": None, "why": "; ".join(whys)}
                continue
            with np.errstate(invalid="ignore"):
                mean = np.nansum(valued, axis=0) / (~np.isnan(valued)).sum(axis=0)
            left_out = f"{len(found) - len(valued)} of {len(found)} pairs left out: {'; '.join(whys)}"
            made[part][name] = _told(mean, left_out if len(valued) < len(found) else "")
    return made


def _told(values: np.ndarray, why: str) -> dict[str, Any]:
    """As JSON. Draws without a value would shift an interval by as much as it leaves out, so few are let pass."""
    drawn = values[1:]
    kept = drawn[~np.isnan(drawn)]
    lost = drawn.size - kept.size
    interval = None
    if not drawn.size:
        why = why or "no resamples were asked for"
    elif lost > 0.05 * drawn.size:
        why = f"{lost} of {drawn.size} resamples have no value: too few items, or scores too much alike"
    else:
        interval = [float(end) for end in np.quantile(kept, [0.025, 0.975])]
    return {"value": float(values[0]), "interval": interval, "why": why or None}


# --- statistics, under many weights at once --------------------------------------------------------------------
# weights: (draws, n), how often each item counts; a result is (draws,), NaN where it is undefined.


def pearson(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of (n,) or (draws, n) values; NaN where one side does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1, keepdims=True)  # (draws, 1)
        da, db = (x - (weights * x).sum(axis=1, keepdims=True) / total for x in (a, b))  # (draws, n)
        cov, var_a, var_b = ((weights * x * y).sum(axis=1) / total[:, 0] for x, y in ((da, db), (da, da), (db, db)))
        varies = np.minimum(var_a, var_b) > 1e-18  # scores have 6 decimals; what is less is rounding
        return np.where(varies, np.clip(cov / np.sqrt(var_a * var_b), -1.0, 1.0), np.nan)


def ranks(a: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws, n): the rank of each of (n,) values among as many copies as its weight says, the middle one of ties."""
    levels, of_item = np.unique(a, return_inverse=True)
    order = np.argsort(of_item, kind="stable")
    upto = weights[:, order].cumsum(axis=1)[:, np.searchsorted(of_item[order], np.arange(len(levels)), "right") - 1]
    counts = np.diff(upto, prepend=0.0)  # (draws, levels)
    return (upto - (counts - 1) / 2)[:, of_item]


def contingency(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(draws, 5, 5): how often a gave the row's bin and b the column's; a and b are (n,) bins 0..4."""
    cell = np.eye(_BINS**2)[_BINS * a + b]  # (n, 25)
    return (weights @ cell).reshape(-1, _BINS, _BINS)


def kappa(tables: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Cohen's kappa of (draws, 5, 5) counts: 1 - cost seen / cost by chance; NaN where one side is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = tables / tables.sum(axis=(1, 2), keepdims=True)
        of_a, of_b = shares.sum(axis=2), shares.sum(axis=1)  # (draws, 5)
        seen = (shares * cost).sum(axis=(1, 2))
        chance = np.einsum("di,ij,dj->d", of_a, cost, of_b)
        varies = np.minimum((of_a > 0).sum(axis=1), (of_b > 0).sum(axis=1)) > 1
        return np.where(varies, 1 - seen / chance, np.nan)


def binned(scores: np.ndarray) -> np.ndarray:
    """Bins 0..4 of scores 1..5, rounded half up."""
    return np.floor(np.round(scores, 6) + 0.5).astype(int) - LOWEST


# --- picture ---------------------------------------------------------------------------------------------------

_PANEL_PX, _PLOT_PX, _LEFT_PX, _TOP_PX, _PANELS_A_ROW = 360, 280, 54, 34, 3


def plot(ratings: Ratings, path: str | Path) -> Path:
    """Write `picture` as an SVG file."""
    return write_text(Path(path), picture(ratings))


def picture(ratings: Ratings) -> str:
    """An SVG, a panel a judge: its overall scores against the mean of the humans'; a dot's area is its number of items.

    Raises InputError where no item has all five scores of a human and of a judge.
    """
    overall = ratings.parts()[:, :, -1]  # (items, raters)
    people = overall[:, ratings.of("human")]
    rated = ~np.isnan(people).all(axis=1)
    means = np.full(len(overall), np.nan)
    means[rated] = np.nanmean(people[rated], axis=1)
    panels = []
    for judge in ratings.of("judge"):
        both = rated & ~np.isnan(overall[:, judge])
        if both.any():
            panels.append(_panel(ratings.raters[judge], means[both], overall[both, judge]))
    if not panels:
        raise InputError("nothing to plot: no item has all five scores of a human and of a judge")
    width = _PANEL_PX * min(len(panels), _PANELS_A_ROW)
    height = _PANEL_PX * -(-len(panels) // _PANELS_A_ROW)
    placed = "".join(
        f'<g transform="translate({_PANEL_PX * (k % _PANELS_A_ROW)},{_PANEL_PX * (k // _PANELS_A_ROW)})">{panel}</g>'
        for k, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{placed}</svg>\n'
    )


def _panel(judge: str, human: np.ndarray, given: np.ndarray) -> str:
    def x(score: float) -> float:
        return _LEFT_PX + (score - LOWEST) / (HIGHEST - LOWEST) * _PLOT_PX

    def y(score: float) -> float:
        return _TOP_PX + (HIGHEST - score) / (HIGHEST - LOWEST) * _PLOT_PX

    left, right, top, bottom = x(LOWEST), x(HIGHEST), y(HIGHEST), y(LOWEST)
    parts = []
    for score in range(LOWEST, HIGHEST + 1):
        parts.append(
            f'<path d="M{left} {y(score)}H{right}M{x(score)} {top}V{bottom}" stroke="#e3e8ee"/>'
            f'<text x="{left - 10}" y="{y(score) + 4}" text-anchor="end" fill="#555">{score}</text>'
            f'<text x="{x(score)}" y="{bottom + 18}" text-anchor="middle" fill="#555">{score}</text>'
        )
    parts.append(f'<path d="M{left} {bottom}L{right} {top}" stroke="#888" stroke-dasharray="4 4"/>')
    points = Counter(zip(human.round(2).tolist(), given.round(2).tolist(), strict=True))
    radius_px = min(3.5, 16 / max(points.values()) ** 0.5)  # of one item
    for (at, to), count in points.most_common():
        parts.append(
            f'<circle cx="{x(at):.1f}" cy="{y(to):.1f}" r="{radius_px * count**0.5:.1f}" fill="#4c78a8" '
            f'fill-opacity="0.65" stroke="white" stroke-width="0.7"><title>{at:g}, {to:g}: {count}</title></circle>'
        )
    title = judge if len(judge) <= 40 else judge[:39] + "…"
    middle = _TOP_PX + _PLOT_PX / 2
    return (
        f'<text x="{left}" y="20" font-weight="bold">{escape(title)}</text>'
        f'{"".join(parts)}<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">'
        f"mean of the humans, overall ({len(human)} items)</text>"
        f'<text transform="translate(18,{middle}) rotate(-90)" text-anchor="middle">judge, overall</text>'
    )
