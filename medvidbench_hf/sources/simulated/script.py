"""What happens in a simulated clip: a pure function of (source, seed). No pixels here.

Order of the draws: how many frames, which actions on which frames, at which times the frames were taken, then where
each tool works. Everything seen is a function of true time, so two frames with the same time are the same picture.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, exp, pi, sin
from typing import Any, NamedTuple

import numpy as np

from medvidbench_hf.sample import Box, Canvas, InputError
from medvidbench_hf.sources.simulated.tools import TOOLS, outline
from medvidbench_hf.sources.simulated.world import SOURCE_NAMES, WORLDS, World

REGULAR = "k / fps"


class Dice:
    """Draws from the generator of one clip, fetched in blocks: numpy takes longer for one number than for a block."""

    def __init__(self, *key: int) -> None:
        self._draw = self._stream(np.random.default_rng(key)).__next__

    @staticmethod
    def _stream(generator: np.random.Generator) -> Iterator[float]:
        while True:
            yield from generator.random(256).tolist()

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * self._draw()

    def integer(self, low: int, high: int) -> int:
        """low..high, both included."""
        return low + int((high - low + 1) * self._draw())

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(len(items) * self._draw())]


class Track(NamedTuple):
    """One tool's appearance: frames `first`..`end` - 1, about one place, moving in one way.

    place: canvas pixels, x + iy, the middle of the head. angle: where the shaft leads, radians. amplitude: pixels.
    step: index of the action in the ring, -1 for the helper.
    """

    tool: str
    step: int
    first: int
    end: int
    start_s: float
    end_s: float
    place: complex
    angle: float
    motion: str
    amplitude: float
    period_s: float
    phase: float


class Pose(NamedTuple):
    tip: complex  # canvas pixels, x + iy
    angle: float
    opening: float  # 0 closed .. 1 open


@dataclass(frozen=True)
class Clip:
    """One simulated video: when its frames were taken, what happens, and where.

    tracks: the tool of each showing of an action in order of time, then the helper's. direction: +1 or -1 along the
    ring. grades: the truth of cvs_assessment (0..2) or skill_assessment (1..5), in the order of the form.
    clip_start_s: seconds of the source video.
    """

    source: str
    seed: int
    fps: float
    frame_times_s: tuple[float, ...]
    time_rule: str
    clip_start_s: float
    tracks: tuple[Track, ...]
    direction: int
    grades: tuple[int, ...]

    @property
    def world(self) -> World:
        return WORLDS[self.source]

    @property
    def canvas(self) -> Canvas:
        return WORLDS[self.source].canvas

    @property
    def end_s(self) -> float:
        """The clip's end, clip-local: one frame interval after its last frame."""
        return self.frame_times_s[-1] + 1.0 / self.fps

    @cached_property
    def actions(self) -> tuple[Track, ...]:
        """The showings of actions in order of time."""
        return tuple(track for track in self.tracks if track.step >= 0)

    @property
    def next_label(self) -> str:
        """The action that would start right after the clip."""
        ring = self.world.ring
        return ring[(self.actions[-1].step + self.direction) % len(ring)].label

    def action_at(self, time_s: float) -> Track | None:
        """The action shown at a time, None in a pause."""
        return next((track for track in self.actions if track.start_s <= time_s < track.end_s), None)

    def visible_at(self, time_s: float) -> list[Track]:
        return [track for track in self.tracks if track.start_s <= time_s < track.end_s]

    def sway(self, time_s: float) -> complex:
        """How far the camera has shifted the whole picture, canvas pixels."""
        size, turn = self.world.sway_px, self.seed % 628 / 100
        return complex(size * sin(0.23 * time_s + turn), 0.7 * size * sin(0.17 * time_s + 2 * turn))

    def pose(self, track: Track, time_s: float) -> Pose:
        """Where a tool is, camera sway included."""
        world = self.world
        turn = 2 * pi * (time_s / track.period_s + track.phase)
        along = cmath.rect(1.0, track.angle)
        size = track.amplitude
        slow = complex(cos(0.31 * turn + track.phase), sin(0.23 * turn + 2 * track.phase)) * (0.55 * size)
        match track.motion:
            case "sweep":
                fast = along * 1j * sin(turn)
            case "push":
                fast = along * sin(turn)
            case "tap":
                fast = along * abs(sin(turn))
            case "circle":
                fast = cmath.rect(0.8, turn)
            case "saw":
                fast = along * (2 * abs(2 * (turn / (2 * pi) % 1.0) - 1) - 1)
            case "zigzag":
                fast = along * 1j * sin(2 * turn) + along * 0.6 * sin(0.7 * turn)
            case _:  # hold
                fast = along * 0.15 * sin(turn)
        middle = track.place + slow + size * fast + self.sway(time_s)
        angle = track.angle + 0.12 * sin(0.6 * turn)
        return Pose(middle - 0.5 * world.head_px * cmath.rect(1.0, angle), angle, 0.5 + 0.5 * cos(1.7 * turn))

    def box(self, track: Track, time_s: float) -> Box:
        """The visible part of the tool's head, canvas pixels: the extent of the polygons that are drawn."""
        tip, angle, opening = self.pose(track, time_s)
        frame = cmath.rect(self.world.head_px, angle)
        points = [p * frame for _, shape in outline(TOOLS[track.tool], opening) for p in shape]
        x, y = [p.real for p in points], [p.imag for p in points]
        width, height = self.canvas
        return Box(
            min(max(min(x) + tip.real, 0.0), width),
            min(max(min(y) + tip.imag, 0.0), height),
            min(max(max(x) + tip.real, 0.0), width),
            min(max(max(y) + tip.imag, 0.0), height),
        )


def video_name(source: str, seed: int) -> str:
    """The video_id of a clip: no two clips share it."""
    return f"{source}_{seed:06d}"


def simulate(source: str, seed: int, n_frames: int | None = None) -> Clip:
    """The clip with this number. n_frames fixes the number of frames, which makes it another clip; else it is
    drawn from the source's range.

    Raises InputError for an unknown source, a negative seed, or fewer than 16 frames.
    """
    if source not in WORLDS:
        raise InputError(f"unknown simulated source {source!r}; known: {', '.join(SOURCE_NAMES)}")
    if seed < 0:
        raise InputError(f"seed {seed} is negative: give 0 or more")
    if n_frames is not None and n_frames < 16:
        raise InputError(f"n_frames {n_frames} is too short for a simulated clip: give 16 or more")
    world = WORLDS[source]
    dice = Dice(SOURCE_NAMES.index(source), seed)
    n = n_frames or dice.integer(*world.frames)
    fps = dice.pick((0.5, 1.0, 2.0))
    direction = dice.pick((1, -1))
    parts = _parts(dice, world, n, direction) if world.ring else []
    rule, times = _times(dice, n, fps, [(first, end) for _, first, end in parts] or [(0, n)])
    starts = (*times, times[-1] + 1.0 / fps)
    tracks = [_track(dice, world, world.ring[step].tool, step, first, end, starts) for step, first, end in parts]
    if world.helper:
        tracks.append(_track(dice, world, world.helper, -1, 0, n, starts))
    elif not world.ring:
        # The drivers leave before the end, so that nothing hides the result.
        tracks += [_track(dice, world, "needle driver", -1, 0, n * 3 // 4, starts) for _ in range(2)]
    grades: tuple[int, ...] = ()
    if source == "SimulatedLaparoscopy":
        grades = tuple(dice.integer(0, 2) for _ in range(3))
    elif source == "SimulatedRobotics":
        grades = _skill(dice)
    start_frame = dice.pick((0, dice.integer(1, 4000)))
    return Clip(source, seed, fps, times, rule, start_frame / fps, tuple(tracks), direction, grades)


def _parts(dice: Dice, world: World, n: int, direction: int) -> list[tuple[int, int, int]]:
    """(index in the ring, first frame, end frame) of each showing of an action; frames between them are pauses."""
    step = dice.integer(0, len(world.ring) - 1)
    plan: list[int] = []  # indices in the ring, -1 for a pause
    for k in range(dice.integer(*world.steps)):
        if k and dice.uniform() < world.p_gap:
            plan.append(-1)
        plan.append(step)
        while dice.uniform() < world.p_split and plan.count(step) < 3:
            plan += [-1, step]
        step = (step + direction) % len(world.ring)
    while len(plan) > n:  # too much for a short clip: leave out what comes first
        del plan[: 2 if plan[1] < 0 else 1]
    spread = 2 * world.unevenness
    frames = [1] * len(plan)
    # A pause is at most as long as an action of medium length.
    weights = [exp(spread * dice.uniform(-1, 0 if item < 0 else 1)) for item in plan]
    # What is left over is shared out by cumulative weight, so that the shares are whole and add up.
    spare, total, before, given = n - len(plan), sum(weights), 0.0, 0
    for k, weight in enumerate(weights):
        before += weight
        share = round(spare * before / total) - given
        frames[k] += share
        given += share
    parts, first = [], 0
    for item, count in zip(plan, frames, strict=True):
        if item >= 0:
            parts.append((item, first, first + count))
        first += count
    return parts


def _times(dice: Dice, n: int, fps: float, shown: list[tuple[int, int]]) -> tuple[str, tuple[float, ...]]:
    """The rule and the time of each frame, whole tenths of a second; one clip in four is irregular."""
    tenths = [round(10 * k / fps) for k in range(n)]
    interval = round(10 / fps)
    if dice.uniform() >= 0.25:
        return REGULAR, tuple(t / 10 for t in tenths)
    longer = [(first, end) for first, end in shown if end - first >= 2]
    kind = dice.pick(("hole", "repeat", "slips") if longer else ("hole", "slips"))
    if kind == "hole":
        at, missing = dice.integer(1, n - 1), 10 * dice.integer(2, 6)
        tenths[at:] = [t + missing for t in tenths[at:]]
    elif kind == "repeat":
        # Both frames show one moment, so they have to lie in the same showing.
        first, end = dice.pick(longer)
        at = dice.integer(first + 1, end - 1)
        tenths[at:] = [t - interval for t in tenths[at:]]
    else:
        tenths = [t + (dice.integer(0, interval * 2 // 5) if k else 0) for k, t in enumerate(tenths)]
    return f"listed: {kind}", tuple(t / 10 for t in tenths)


def _track(dice: Dice, world: World, tool: str, step: int, first: int, end: int, starts: tuple[float, ...]) -> Track:
    width, height = world.canvas
    motion = world.ring[step].motion if step >= 0 else "circle"
    margin = 0.4 * world.head_px + 0.5 * world.reach_px
    top, bottom = (share * height for share in world.place_y)
    place = complex(dice.uniform(margin, width - margin), dice.uniform(max(margin, top), min(height - margin, bottom)))
    if world.domain in ("open", "nursing"):
        # Arms reach in from the nearest edge, so that they hide little.
        angle = cmath.phase(place - complex(width, height) / 2) + dice.uniform(-0.5, 0.5)
    else:
        # Shafts come from below and from the sides, as in a picture taken by somebody who works.
        angle = dice.uniform(-0.15 * pi, 1.15 * pi)
    period = dice.uniform(*world.period_s)
    amplitude = world.reach_px * dice.uniform(0.7, 1.0)
    return Track(
        tool, step, first, end, starts[first], starts[end], place, angle, motion, amplitude, period, dice.uniform()
    )


def _skill(dice: Dice) -> tuple[int, ...]:
    """Six aspects, 1..5. Half of the time an aspect is the shared level, else its own, so each is uniform."""
    level = dice.integer(1, 5)
    tissue, needle, motion, flow, quality = (level if dice.uniform() < 0.5 else dice.integer(1, 5) for _ in range(5))
    overall = sorted((tissue, needle, motion, flow, quality))[2]
    return (tissue, needle, motion, flow, overall, quality)
