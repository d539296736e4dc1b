"""Temporal IoU and one-to-one matching, shared by tal and dense_captioning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from medvidbench_hf.sample import Segment, Span

Interval = tuple[float, float]


def widen(item: Span | Segment, frame_interval_s: float) -> Interval:
    """The span in seconds, grown about its middle to one frame interval where it is shorter.

    A clip shows nothing shorter than the time between two frames, and a zero-length truth has no IoU at all.
    """
    start, end = item.start_s, item.end_s
    missing = frame_interval_s - (end - start)
    return (start - missing / 2, end + missing / 2) if missing > 0 else (start, end)


def tiou(a: Sequence[Interval], b: Sequence[Interval]) -> np.ndarray:
    """Pairwise temporal IoU, overlap over union of lengths; (len(a), len(b))."""
    x = np.asarray(a, dtype=float).reshape(-1, 1, 2)
    y = np.asarray(b, dtype=float).reshape(1, -1, 2)
    overlap = np.clip(np.minimum(x[..., 1], y[..., 1]) - np.maximum(x[..., 0], y[..., 0]), 0, None)
    union = (x[..., 1] - x[..., 0]) + (y[..., 1] - y[..., 0]) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def best_sum(iou: np.ndarray, at_least: float = 0.0) -> float:
    """Largest sum of IoU over one-to-one pairs whose IoU is at least `at_least`."""
    allowed = np.where(iou >= at_least, iou, 0.0)
    if min(iou.shape) <= 1:
        return float(allowed.max(initial=0.0))
    return float(allowed[linear_sum_assignment(allowed, maximize=True)].sum())


def most_pairs(iou: np.ndarray, at_least: float) -> list[tuple[int, int]]:
    """As many one-to-one pairs with IoU >= at_least as there can be; among those, the largest sum of IoU."""
    if iou.size == 0:
        return []
    if min(iou.shape) == 1:
        i, j = np.unravel_index(int(iou.argmax()), iou.shape)
        return [(int(i), int(j))] if iou[i, j] >= at_least else []
    # An extra pair outweighs any gain in IoU, because all IoU together stay below 1 after the division.
    weight = np.where(iou >= at_least, 1.0 + iou / (min(iou.shape) + 1), 0.0)
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if iou[i, j] >= at_least]


def f1(n_pairs: int, n_predicted: int, n_true: int) -> float:
    """Harmonic mean of precision n_pairs / n_predicted and recall n_pairs / n_true."""
    return 2 * n_pairs / (n_predicted + n_true)
