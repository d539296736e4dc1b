"""From rows to a column: the board's five ways, over all rows or over rows drawn with replacement.

A row gives each of its parts a sum and a count: `{"": (0.5, 1)}` for a plain value, `{"two_structures": (1.0, 1)}`
for a criterion. A part that does not count is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

Parts = Mapping[str, tuple[float, int]]


class Row(NamedTuple):
    """What a record is worth.

    values: column -> parts. parsed: whether the board could read the answer. without: trap -> the values the record
    would have if the board did not have this trap. flags: traps that the record met and that have no other value.
    """

    values: Mapping[str, Parts]
    parsed: bool
    without: Mapping[str, Mapping[str, Parts]] = {}
    flags: tuple[str, ...] = ()


class Cells:
    """One column's sums and counts by source, part and video; `value` pools them."""

    def __init__(
        self,
        rows: Iterable[tuple[str, str, Parts]],
        pool: Pool,
        videos: Mapping[tuple[str, str], int] | None = None,
        by_video: bool = True,
    ) -> None:
        """rows: (source, video id, parts). videos: (source, video id) -> position, made from the rows if not given.

        by_video=False keeps one sum for all videos, which is enough for `value`.
        """
        rows = list(rows)
        keys = dict.fromkeys(row[:2] for row in rows)
        self.videos = dict.fromkeys(keys, 0) if not by_video else videos or {key: k for k, key in enumerate(keys)}
        names = dict.fromkeys("" if pool is pooled else row[0] for row in rows)  # pooled does not tell sources apart
        sources = {name: k for k, name in enumerate(names)}
        parts = {part: k for k, part in enumerate(sorted({part for row in rows for part in row[2]}))}
        shape = (len(sources), len(parts), max(self.videos.values(), default=-1) + 1)
        self.sums, self.counts, self.rows = np.zeros(shape), np.zeros(shape), np.zeros((shape[0], shape[2]))
        where = [(sources["" if pool is pooled else s], self.videos[s, video]) for s, video, _ in rows]
        if where:
            np.add.at(self.rows, tuple(np.array(where).T), 1)
        cells = [
            (s, parts[p], v, *cell)
            for (s, v), (_, _, values) in zip(where, rows, strict=True)
            for p, cell in values.items()
        ]
        if cells:
            s, p, v, totals, ns = zip(*cells, strict=True)
            np.add.at(self.sums, (s, p, v), totals)
            np.add.at(self.counts, (s, p, v), ns)
        self.parts = list(parts)
        self._pool = pool

    def value(self) -> float | None:
        """The column; None where nothing counts or a value is not a number."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(self._pool(self.sums.sum(-1), self.counts.sum(-1), self.rows.sum(-1)))
        return None if np.isnan(value) else value

    def drawn(self, weights: np.ndarray) -> np.ndarray:
        """The column for each draw of videos. weights: (n_draws, n_videos) how often each video was drawn."""
        sums, counts, rows = (np.moveaxis(a @ weights.T, -1, 0) for a in (self.sums, self.counts, self.rows))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._pool(sums, counts, rows)  # (n_draws,)


#: sums and counts (..., n_sources, n_parts), rows (..., n_sources) -> (...)
Pool = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def pooled(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """All counted values alike (TAG, STG, NAP)."""
    return sums.sum((-2, -1)) / counts.sum((-2, -1))


def weighted_by_rows(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean of each source over what counts, weighted by all its rows; a source where nothing counts is 0 (DVC_F1)."""
    return (_ratio(sums.sum(-1), counts.sum(-1)) * rows).sum(-1) / rows.sum(-1)


def macro(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean over sources of the mean over parts; a source where nothing counts is 0 (CVS, SA)."""
    by_source = _ratio(_ratio(sums, counts).sum(-1), (counts > 0).sum(-1))
    return by_source.sum(-1) / (rows > 0).sum(-1)


def mean_of_parts(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean over parts, each over all rows (VS_llm, RC_llm: the judge's aspects)."""
    return (sums.sum(-2) / counts.sum(-2)).mean(-1) if sums.shape[-1] else np.full(sums.shape[:-2], np.nan)


def events(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """DVC_llm. Parts are "threshold aspect": mean of the non-zero aspects, then of the non-zero thresholds, by source.

    Weighted by all rows of a source.
    """
    means = _ratio(sums, counts)  # (..., n_sources, 3 thresholds x 5 aspects); none where no pair was judged
    if not means.shape[-1]:
        return np.full(means.shape[:-2], np.nan)
    means = means.reshape(*means.shape[:-1], -1, 5)
    for _ in ("aspects", "thresholds"):
        means = _ratio(means.sum(-1), (means != 0).sum(-1))
    return (means * rows).sum(-1) / rows.sum(-1)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """sums / counts, 0 where nothing counts."""
    return np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
