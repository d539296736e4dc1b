"""Rows without media and a holder's own videos or frames, joined by source, video and time.

Rows of the release know the names of their frames; any row knows its source, its video and the seconds of it that its
frames show. So a row's clip is made from its frames where they are on disk, else from the video file of its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvidbench_hf.sample import InputError, Sample
from medvidbench_hf.sources import Flagged, Reading
from medvidbench_hf.sources.media import FrameTree, video_file, video_files
from medvidbench_hf.sources.release import clip_path, clip_seconds
from medvidbench_hf.sources.release.rows import listed_paths

NOT_FOUND = "no video or frames found"


class Row(NamedTuple):
    """A row and what its clip is made from: frames, or the file of its video, or neither."""

    split: str
    video_id: str
    sample: Sample
    file: str | None
    frames: tuple[str, ...] = ()


def reading(data: str, rows: Sequence[Sample], root: str | Path) -> Reading:
    """Find the media of each row below `root`. Rows that have a video keep it. InputError where nothing is found."""
    tree, videos = FrameTree(root), video_files(root)
    records = []
    for sample in rows:
        frames: tuple[str, ...] = ()
        file = None
        if sample.video is None:
            paths = listed_paths(sample)
            found = tree.find(paths) if paths else None
            if found and found.files and not found.missing:
                frames, file = tuple(map(str, found.files)), str(found.files[0])
            elif place := video_file(videos, sample.source, sample.video_id):
                file = str(place)
        records.append(Row(sample.split, sample.video_id, sample, file, frames))
    asked = [record for record in records if record.sample.video is None]
    without = [record for record in asked if record.file is None]
    if asked and len(without) == len(asked):
        first = without[0].sample
        raise InputError(
            f"{root} has nothing for these {len(asked)} rows: looked for video files named like {first.video_id}.mp4"
            + (f" and for frames such as {listed_paths(first)[0]}" if listed_paths(first) else "")
        )
    warnings = []
    if without:
        videos_without = sorted({f"{record.sample.source} {record.video_id}" for record in without})
        named = ", ".join(videos_without[:5]) + (", ..." if len(videos_without) > 5 else "")
        warnings.append(f"{len(without)} rows of {len(videos_without)} videos have no media here: {named}")
    digest = hashlib.sha256()
    for sample in rows:
        digest.update(repr(sample).encode())
    return Reading(
        videos=records,
        found={"rows": len(rows), "without media before": len(asked), "without media now": len(without)},
        warnings=tuple(warnings),
        options={"data": data, "rows": digest.hexdigest()[:16]},
        media=True,
        keeps_rows=True,
    )


def samples(row: Row) -> Iterator[Sample | Flagged]:
    """The row with its clip's path, or with a flag."""
    sample = row.sample
    if row.file is not None:
        frames = listed_paths(sample) or (f"{sample.clip_start_s:.1f}", f"{sample.clip_end_s:.1f}")
        yield replace(sample, video=clip_path(sample, frames))
        return
    yield sample
    if sample.video is None:
        about = f"{sample.source} {sample.video_id}, {sample.clip_start_s:g}-{sample.clip_end_s:g} s"
        yield Flagged(sample.source, row.split, row.video_id, sample.task, NOT_FOUND, about, sample.index)


def clip_frames(row: Row, sample: Sample) -> np.ndarray | Sequence[Path]:
    """The files of the clip's frames, or frames cut from the video."""
    if row.frames:
        return [Path(frame) for frame in row.frames]
    assert row.file is not None
    return clip_seconds(row.file, sample)
