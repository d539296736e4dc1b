"""When each listed frame was: clip-local seconds from the source-frame ids, by the clock that the row tells.

    ids 22425, 22440, 22456 in frames_15fps/, fps 1.0   ->   0.0, 1.0, 2.066667 s: ids / 15 Hz

The release states no clock, and the same source ticks differently from row to row, so it is taken from the row's own
evidence, in this order: bounds in seconds, the rate in the folder's name, the usual step of the ids times fps. The
position in the list over fps is the last resort: lists have holes, slips and repeats, and it is wrong on a quarter of
the release's rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

CLOCKS_HZ = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 25.0, 30.0)
LOWEST_FPS, HIGHEST_FPS = 1e-4, 1000.0
LONGEST_S = 1e7  # bounds beyond are no seconds of a video
LARGEST_ID = 2**63 - 1
_FOLDER_RATE = re.compile(r"(?:^|[/_])(\d{1,3}(?:\.\d{1,3})?)fps(?=[/_]|$)", re.IGNORECASE)

# The kinds of what is wrong with a row's times.
BAD_FPS = "fps is not a usable number"
BACKWARDS = "frame ids run backwards"
TOO_LARGE = "frame ids are too large"
UNLIKE = "ids and paths differ in number"
BAD_BOUNDS = "its bounds in seconds are not usable"
UNCERTAIN = "the clock is uncertain"
NO_FRAMES = "no frame list"


class Times(NamedTuple):
    """A row's times: when each frame is, how that was found out, and what speaks against it.

    times_s: (n_frames,) from 0. clock_hz: ticks of the ids a second, None where positions were counted. fps: the
    row's, or one that was worked out where the row has no usable one. step: the usual step of the ids, first_id: the
    first of them. flags: kind of problem -> particulars.
    """

    times_s: tuple[float, ...]
    clock_hz: float | None
    fps: float
    step: int
    first_id: int
    rule: str
    flags: dict[str, str]


def frame_times(
    n_frames: int,
    ids: Sequence[int] | None,
    fps: float | None,
    bounds_s: tuple[float, float] | None = None,
    folder: str = "",
) -> Times:
    """Times of a row's frames: finite, from 0, never backwards, one a frame, whatever the evidence.

    ids: source-frame ids, one a frame, or None. fps: the sampling rate of the list. bounds_s: start and end of the
    clip where the row states them in seconds. folder: the folder of the frames, whose name may tell its rate.
    """
    flags: dict[str, str] = {}
    if fps is not None and not LOWEST_FPS <= fps <= HIGHEST_FPS:
        fps = None
    if fps is None:
        flags[BAD_FPS] = f"it has to be from {LOWEST_FPS:g} to {HIGHEST_FPS:g} frames a second"
    if bounds_s is not None and not usable_bounds(*bounds_s):
        flags[BAD_BOUNDS] = f"{bounds_s[0]:g}-{bounds_s[1]:g} s"
        bounds_s = None
    if n_frames == 0:
        flags[NO_FRAMES] = "the row lists no frames"
        return Times((0.0,), None, fps or 1.0, 1, 0, "none: the row lists no frames", flags)
    if ids is not None and len(ids) != n_frames:
        flags[UNLIKE] = f"{len(ids)} ids, {n_frames} paths"
        ids = None
    elif ids is not None and (back := next((k for k, (a, b) in enumerate(pairwise(ids)) if b < a), None)) is not None:
        flags[BACKWARDS] = f"{ids[back]} is followed by {ids[back + 1]}"
        ids = None
    elif ids and max(-ids[0], ids[-1]) > LARGEST_ID:
        flags[TOO_LARGE] = f"beyond {LARGEST_ID}"
        ids = None
    if ids is None:
        return _by_position(n_frames, fps, 1, flags, "no usable ids")

    step = _usual_step(ids)
    told = {"folder": _folder_hz(folder), "stride": _snapped(step * fps) if fps and len(ids) > 1 else None}
    spoken = [f"{name} {hz:g} Hz" for name, hz in told.items() if hz]
    candidates = {name: hz for name, hz in told.items() if hz}
    clock, by = None, ""
    if bounds_s is not None and ids[-1] > ids[0]:
        duration_s, span = bounds_s[1] - bounds_s[0], ids[-1] - ids[0]
        spoken.insert(0, f"seconds {span / duration_s:.3g} Hz")
        agreeing = [name for name, hz in candidates.items() if abs(span - duration_s * hz) <= 2 * step]
        if agreeing:
            clock, by = candidates[agreeing[0]], f"seconds and {agreeing[0]}"
        elif not candidates:
            clock, by = _snapped(span / duration_s, 0.05), "seconds"
        else:
            flags[UNCERTAIN] = ", ".join(spoken)
    if clock is None and told["folder"]:
        clock, by = told["folder"], "folder"
        if told["stride"] and not 0.9 <= told["stride"] / clock <= 1.1:
            flags[UNCERTAIN] = ", ".join(spoken)
    if clock is None and told["stride"]:
        clock, by = told["stride"], "stride"
    if clock is None:
        return _by_position(n_frames, fps, step, flags, "nothing tells the clock of the ids")
    times_s = tuple(round((tick - ids[0]) / clock, 6) for tick in ids)
    rule = f"ids / {clock:g} Hz, by {by} ({', '.join(spoken)})"
    return Times(times_s, clock, fps or clock / step, step, ids[0], rule, flags)


def usable_bounds(start_s: float, end_s: float) -> bool:
    """Whether a clip can start and end at these seconds of its video."""
    return -LONGEST_S <= start_s <= end_s - 1 / HIGHEST_FPS and end_s <= LONGEST_S


def _by_position(n_frames: int, fps: float | None, step: int, flags: dict[str, str], reason: str) -> Times:
    rate = fps or 1.0
    rule = f"k / fps: {reason}" if fps else f"k / 1 fps: {reason}, and no usable fps"
    return Times(tuple(round(k / rate, 6) for k in range(n_frames)), None, rate, step, 0, rule, flags)


def _usual_step(ids: Sequence[int]) -> int:
    """The most frequent step of the ids, the smaller of equals; 1 where they do not move."""
    steps = Counter(b - a for a, b in pairwise(ids) if b > a)
    return min(steps, key=lambda step: (-steps[step], step)) if steps else 1


def _folder_hz(folder: str) -> float | None:
    """15.0 of ".../frames_15fps/..."."""
    found = _FOLDER_RATE.findall(folder)
    rate = float(found[-1]) if found else 0.0
    return rate if 0 < rate <= HIGHEST_FPS else None


def _snapped(hz: float, tolerance: float = 0.01) -> float | None:
    """The usual clock within the tolerance, else the rate itself: 5 x 0.2 fps is 1 Hz, and so is 3 x 0.333.

    None of what ticks too rarely to be a clock.
    """
    if hz < LOWEST_FPS:
        return None
    near = min(CLOCKS_HZ, key=lambda clock: abs(clock - hz))
    return near if abs(near - hz) <= tolerance * near else round(hz, 6)
