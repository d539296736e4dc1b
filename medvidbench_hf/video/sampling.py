"""Which frames of a clip are shown, and when they are true.

    frames = sample_frames(sample, 32, "requested")
    frames.times_s[k]  # the true time of frames.pixels[k], seconds from the start of the clip

Policies, where a clip has more frames than may be shown:
- uniform: even in time, not in position, because frame lists have holes and slips; the first and the last frame stay;
- dense: neighbours, none skipped, round the middle of the clip or round the times asked for;
- requested: the frame nearest each time asked for, then the rest even in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, isfinite
from typing import NamedTuple

import numpy as np

from medvidbench_hf.sample import Canvas, InputError, PublicSample
from medvidbench_hf.video.read import Probe, frames, probe

POLICIES = ("uniform", "dense", "requested")

TOLERANCE_S = 0.001  # two times that differ by less are one: clip files keep milliseconds


class Frames(NamedTuple):
    """Frames of a clip with their true times, in seconds from its start."""

    pixels: np.ndarray  # (n, height, width, 3) uint8
    times_s: tuple[float, ...]  # (n,)
    indices: tuple[int, ...]  # (n,) positions in the clip, increasing


def sample_frames(
    sample: PublicSample,
    max_frames: int,
    policy: str = "uniform",
    around_s: Sequence[float] | None = None,
    size_px: Canvas | None = None,
) -> Frames:
    """At most `max_frames` frames of the row's clip, chosen by `policy`, with their true times.

    around_s: times asked for; without it "requested" takes those of the row (`asked_times`). size_px: None keeps the
    size of the file. InputError where the row has no clip or the clip has another number of frames than the row says.
    """
    if around_s is None:
        around_s = asked_times(sample) if policy == "requested" else ()
    times_s = sample.frame_times_s
    indices = choose(times_s, max_frames, policy, around_s)
    probe_clip(sample)
    return Frames(read_clip(sample, indices, size_px), tuple(times_s[k] for k in indices), tuple(indices))


def asked_times(sample: PublicSample) -> tuple[float, ...]:
    """The times a row asks about: an stg row's requested times, the time of a region row's box, else none."""
    return sample.request_times_s or ((sample.region.time_s,) if sample.region else ())


def choose(
    times_s: Sequence[float], max_frames: int, policy: str = "uniform", around_s: Sequence[float] = ()
) -> list[int]:
    """Positions of at most `max_frames` frames, increasing, none twice; as many as there are frames to fill them.

    times_s: (n,) true times, in order. around_s: times asked for, for "dense" and "requested"; where there are more of
    them than frames may be shown, the frames are spread over them.
    """
    check_policy(policy)
    if max_frames < 1:
        raise InputError(f"max_frames {max_frames}: at least 1 frame must be shown")
    if policy == "uniform" and len(around_s):
        raise InputError('policy "uniform" looks at no particular time: leave around_s out, or choose "requested"')
    if not all(map(isfinite, around_s)):
        raise InputError(f"around_s {tuple(around_s)}: a time is not a finite number")
    n = len(times_s)
    if n <= max_frames:
        return list(range(n))
    times = np.asarray(times_s, float)
    if policy == "dense":
        centres = nearest(times, around_s if len(around_s) else [(times[0] + times[-1]) / 2])
        steps_away = np.abs(np.arange(n)[:, None] - centres).min(axis=1)  # (n,)
        return sorted(np.argsort(steps_away, kind="stable")[:max_frames].tolist())
    asked = sorted(set(nearest(times, around_s)))
    if len(asked) >= max_frames:
        return [asked[k] for k in _even(times[asked], max_frames, [])]
    return _even(times, max_frames, asked)


def check_policy(policy: str) -> None:
    if policy not in POLICIES:
        raise InputError(f"policy {policy!r}: expected one of {', '.join(POLICIES)}")


def nearest(times_s: np.ndarray | Sequence[float], goals_s: Sequence[float]) -> list[int]:
    """Position of the frame nearest in time to each goal; of frames equally near, the first."""
    times, goals = np.asarray(times_s, float), np.asarray(goals_s, float)
    after = np.searchsorted(times, goals).clip(max=len(times) - 1)
    before = np.searchsorted(times, times[np.maximum(after - 1, 0)])  # the first of the frames at that time
    return np.where(goals - times[before] <= times[after] - goals, before, after).tolist()


def _even(times: np.ndarray, count: int, kept: list[int]) -> list[int]:
    """`count` positions: those kept, those nearest to evenly spaced times, then whatever lies farthest from them all.

    The last step is for lists with holes, where several of the evenly spaced times are nearest to one frame.
    """
    spaced = count - len(kept)
    first, last = float(times[0]), float(times[-1])
    inner = np.linspace(first, last, spaced)[1:-1].tolist() if spaced > 1 else [(first + last) / 2]
    ends = (0, len(times) - 1) if spaced > 1 else ()
    chosen = {*kept, *ends, *nearest(times, inner)}
    near = times[sorted(chosen)]
    after = np.searchsorted(near, times).clip(max=len(near) - 1)
    away = np.minimum(np.abs(times - near[after]), np.abs(times - near[np.maximum(after - 1, 0)]))  # (n,)
    while len(chosen) < count:
        away[list(chosen)] = -1.0
        farthest = int(away.argmax())
        chosen.add(farthest)
        away = np.minimum(away, np.abs(times - times[farthest]))
    return sorted(chosen)


def hold(
    times_s: Sequence[float], max_frames: int, shortest_step_s: float, interval_s: float, kept: Iterable[int] = ()
) -> tuple[list[int], float]:
    """The clip on a regular time grid, as a player shows it: positions, one a grid time, and the step of the grid.

    Grid time k * step shows the last frame that is not later; in a hole a frame is held. So each frame is shown in
    [its own time, the time of the next frame shown), to 1 ms. times_s: (n,) true times, in order, from 0.

    The step is the finest that needs at most `max_frames` (2 or more) positions, but not finer than the list itself
    nor than `shortest_step_s`. A list with one step throughout keeps its own frames at their own times, every one or
    every second, third...; what is left over at its end is not shown. `kept`: positions that are shown whatever falls
    between them and the next grid time; of two in one step, the later. interval_s: the step where time stands still.
    """
    times, kept = np.asarray(times_s, float), set(kept)
    n, end_s = len(times), float(times[-1])
    moves = np.diff(times)
    moves = moves[moves > TOLERANCE_S]
    if not moves.size:
        return [max(kept, default=n - 1)], interval_s
    step = end_s / (n - 1)
    regular = bool(np.abs(times - step * np.arange(n)).max() <= TOLERANCE_S)
    if regular:
        step *= max(ceil((n - 1) / (max_frames - 1)), ceil(shortest_step_s / step))
    else:
        step = max(float(moves.min()), end_s / (max_frames - 1), shortest_step_s)
    slots = np.ceil((times - TOLERANCE_S) / step).astype(int).clip(min=0).tolist()
    shown: dict[int, int] = {}  # grid position -> the frame that comes up there
    for k, slot in enumerate(slots):
        if k in kept or shown.get(slot) not in kept:
            shown[slot] = k
    last = slots[-1]
    if regular and last * step > end_s + TOLERANCE_S and shown[last] not in kept and last > 0:
        del shown[last]
    held: list[int] = []
    for slot in range(max(shown) + 1):
        held.append(shown[slot] if slot in shown else held[-1])
    return held, step


def probe_clip(sample: PublicSample) -> Probe:
    """What the row's clip holds. InputError where there is none, or where it is not the clip that the row describes."""
    if sample.video is None:
        raise InputError(f"{row_name(sample)} field video: this data has no clips; load or build it with its media")
    try:
        found = probe(sample.video)
    except InputError as error:
        raise InputError(f"{row_name(sample)} field video: {error}") from None
    if found.n_frames != len(sample.frame_times_s):
        raise InputError(
            f"{row_name(sample)} field video: {sample.video} holds {found.n_frames} frames, but frame_times_s has "
            f"{len(sample.frame_times_s)} times: build or fetch this clip again"
        )
    return found


def read_clip(sample: PublicSample, indices: Sequence[int], size_px: Canvas | None = None) -> np.ndarray:
    """(n, height, width, 3) uint8: the frames at these positions of the row's clip, in the order asked."""
    assert sample.video is not None  # probe_clip has looked
    try:
        return frames(sample.video, indices, size_px)
    except InputError as error:
        raise InputError(f"{row_name(sample)} field video: {error}") from None


def row_name(sample: PublicSample) -> str:
    """How an error names a row."""
    return f"{sample.split}[{sample.index}] (id {sample.id!r})"
