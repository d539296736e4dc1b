"""Rows without media and a holder's own videos or frames, joined by source, video and time.

Rows of the release know the names of their frames; any row knows its source, its video and the seconds of it that its
frames show. So a row's clip is made from its frames where they are on disk, else from the video file of its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medvidbench_hf.sample import Canvas, InputError, Sample
from medvidbench_hf.sources import Flagged, Reading, clip_parts
from medvidbench_hf.sources.media import FrameTree, video_file, video_files
from medvidbench_hf.sources.release import NO_CANVAS, clip_path, clip_seconds, media_size, no_canvas
from medvidbench_hf.sources.release.rows import UNKNOWN_CANVAS, listed_paths, place_is_known

NOT_FOUND = "no video or frames found"


class Row(NamedTuple):
    """A row and what its clip is made from: frames, or the file of its video, or neither.

    clip: the file of the clip that it has already. size: of the original frames, where the row does not know it.
    """

    split: str
    video_id: str
    sample: Sample
    file: str | None = None
    frames: tuple[str, ...] = ()
    clip: str | None = None
    size: Canvas | None = None


def reading(data: str, rows: Sequence[Sample], root: str | Path) -> Reading:
    """Find the media of each row below `root`. Rows that have a clip keep it. InputError where nothing is found."""
    tree, videos = FrameTree(root), video_files(root)
    records = [_found(sample, tree, videos) for sample in rows]
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
        frames = listed_paths(sample) or (f"{sample.clip_start_s:.3f}", f"{sample.clip_end_s:.3f}")
        sample = replace(sample, canvas=row.size or sample.canvas)
        sample = replace(sample, video=clip_path(sample, frames))
        yield sample
        if no_canvas(sample):
            about = f"{sample.source} {sample.video_id}: its boxes are in pixels of frames that were not found"
            yield Flagged(sample.source, row.split, row.video_id, sample.task, NO_CANVAS, about, sample.index)
        return
    yield sample if row.clip is None else replace(sample, video=str(Path("clips", *clip_parts(row.clip))))
    if sample.video is None:
        about = f"{sample.source} {sample.video_id}, {sample.clip_start_s:g}-{sample.clip_end_s:g} s"
        yield Flagged(sample.source, row.split, row.video_id, sample.task, NOT_FOUND, about, sample.index)


def clip_frames(row: Row, sample: Sample) -> np.ndarray | Sequence[Path]:
    """The files of the clip's frames, or frames cut from the video."""
    if row.frames:
        return [Path(frame) for frame in row.frames]
    assert row.file is not None
    return clip_seconds(row.file, sample)


def _found(sample: Sample, tree: FrameTree, videos: Mapping[str, Sequence[Path]]) -> Row:
    row = Row(sample.split, sample.video_id, sample)
    if sample.video is not None:
        return row if sample.video.startswith("hf://") else row._replace(clip=sample.video)
    unknown = sample.canvas == UNKNOWN_CANVAS
    paths = listed_paths(sample)
    found = tree.find(paths) if paths else None
    if found and found.files and not found.missing:
        frames = tuple(map(str, found.files))
        return row._replace(file=frames[0], frames=frames, size=media_size(frames, tree) if unknown else None)
    if place_is_known(sample) and (file := video_file(videos, sample.source, sample.video_id)):
        # The size of a video says nothing about boxes, which are in pixels of the frames that the rows were made from.
        boxed = sample.task in ("stg", "region_caption")
        return row._replace(file=str(file), size=media_size([file]) if unknown and not boxed else None)
    return row
