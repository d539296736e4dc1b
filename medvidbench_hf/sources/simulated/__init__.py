"""A simulated medical-video benchmark: rendered by code, so that every truth is exact and everything can be shared.

Four sources of unlike difficulty, each with "Simulated" in its name and no real patient in it:

    SimulatedLaparoscopy   large slow tools, long phases       tal stg next_action dense_captioning video_summary
                                                               region_caption cvs_assessment
    SimulatedOpenSurgery   small fast hands, short actions     tal stg next_action dense_captioning video_summary
                                                               region_caption
    SimulatedNursing       many short actions over a table     tal next_action dense_captioning video_summary
    SimulatedRobotics      traces of skill on a suturing pad   skill_assessment

One video is one clip of 16 to 32 frames, a pure function of its source and seed:

    >>> clip = simulate("SimulatedLaparoscopy", 7)
    >>> render(clip, size_px=112).shape
    (16, 84, 112, 3)

The files: `world.py` what can be seen, `script.py` what happens, `rows.py` what is asked, `drawing.py` how it is drawn
(`scenes.py`, `tools.py`, `traces.py`, `bench.py` with `pen.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvidbench_hf.sample import InputError, PublicSample, Sample
from medvidbench_hf.sources import Reading
from medvidbench_hf.sources.simulated.drawing import render
from medvidbench_hf.sources.simulated.rows import clip_samples, perception
from medvidbench_hf.sources.simulated.script import Clip, simulate, video_name
from medvidbench_hf.sources.simulated.world import SOURCE_NAMES, WORLDS

__all__ = [
    "SOURCE_NAMES",
    "WORLDS",
    "Clip",
    "VideoRecord",
    "clip_frames",
    "clip_samples",
    "perception",
    "read",
    "render",
    "samples",
    "simulate",
]

# The split of a source's k-th video: 12 train, 3 validation, 5 test of 20, mixed so that a few videos have all three.
_SPLITS = tuple({"t": "train", "v": "validation", "e": "test"}[letter] for letter in "tettvteetttvtettevtt")
MOST_VIDEOS = 10**6  # 12 million questions
VIDEOS_PER_SEED = 10**9  # read(seed=s) uses clip seeds s * 10**9 + number; a stream of training clips takes others


class VideoRecord(NamedTuple):
    """One video to be built; all else follows from source and clip_seed."""

    source: str
    clip_seed: int
    split: str
    media: bool

    @property
    def video_id(self) -> str:
        return video_name(self.source, self.clip_seed)


def read(root: Path | str | None = None, *, seed: int = 0, videos: int = 120, media: bool = True) -> Reading:
    """The list of videos to build, shared out over the four sources in turn.

    There are no files to read, so no root. videos=120 gives about 1,500 questions, videos=4000 about 50,000.
    Raises InputError for fewer than four videos or a negative seed.
    """
    if root is not None:
        raise InputError(f"the simulated source reads no files: leave root {root} out")
    if videos < len(SOURCE_NAMES):
        raise InputError(f"videos {videos} is too few: give {len(SOURCE_NAMES)} or more, one for each simulated source")
    if videos > MOST_VIDEOS:
        raise InputError(f"videos {videos} is too many: give {MOST_VIDEOS} or fewer")
    if seed < 0:
        raise InputError(f"seed {seed} is negative: give 0 or more")
    records = []
    for number in range(videos):
        turn, which = divmod(number, len(SOURCE_NAMES))
        split = _SPLITS[turn % len(_SPLITS)]
        records.append(VideoRecord(SOURCE_NAMES[which], seed * VIDEOS_PER_SEED + number, split, media))
    found = {"videos": videos}
    for source in SOURCE_NAMES:
        found[source] = sum(record.source == source for record in records)
    options = {"seed": seed, "videos": videos, "media": media}
    return Reading(videos=records, found=found, options=options, media=media)


def samples(video: VideoRecord) -> Iterator[Sample]:
    """The rows of one video."""
    clip = simulate(video.source, video.clip_seed)
    path = f"clips/{video.source}/{video.video_id}/{video.video_id}.mp4" if video.media else None
    yield from clip_samples(clip, video.split, path)


def clip_frames(video: VideoRecord, sample: PublicSample) -> np.ndarray:
    """The clip's frames at their stored size, uint8 (n_frames, height, width, 3); every sample has the same clip."""
    return render(simulate(video.source, video.clip_seed), WORLDS[video.source].stored_px)
