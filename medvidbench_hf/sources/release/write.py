"""Any samples in the release's own form: its JSON, and its frames on disk.

    OUT/medvidbench_test.json       [{"id", "qa_type", "data_source", "conversations", "video", ...}, ...]
    OUT/testdata/<source>/frames_10fps/<video_id>/000123.jpg

Rows that were read from the release come out as they were. Others get source-frame ids on the slowest clock that tells
all their times exactly, and frames as large as the canvas of their boxes, as the release has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from medvidbench_hf.sample import InputError, PublicSample, Sample
from medvidbench_hf.sources.release.names import QA_TYPES, source_named
from medvidbench_hf.sources.release.rows import VIDEO_TOKEN, row_of
from medvidbench_hf.tasks.struc_info import struc_info

_CLOCKS_HZ = (1, 2, 5, 10, 15, 25, 30, 50, 100, 200, 500, 1000)
_JPEG_QUALITY = 95
MARKER = ".medvidbench-release"  # of a folder that an export may add to
_QA_NAMES = {pair: name for name, pair in QA_TYPES.items()}


class WrittenRelease(NamedTuple):
    """json: the file of rows. n_rows, n_frames: what was written. without_frames: rows that have no video."""

    json: Path
    n_rows: int
    n_frames: int
    without_frames: int


def write_release(samples: Iterable[Sample], kind: str, out: str | Path, *, frames: bool = True) -> WrittenRelease:
    """Write OUT/medvidbench_<kind>.json and, with `frames`, the frames that its rows name.

    samples: in the order of the rows. kind: "test" writes no answer, any other writes them all and refuses a row that
    has none. Frames that are there already are not written again. Raises InputError that names the row.
    """
    out = Path(out)
    path = _free(out, kind)
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    written: set[str] = set()
    without = 0
    for sample in samples:
        if kind != "test" and sample.answer is None:
            raise InputError(f"{sample.split}[{sample.index}] has no answer: only the test form is for such rows")
        row = official_row(sample, answered=kind != "test")
        rows.append(row)
        if sample.video is None:
            without += 1
        elif frames and (sample.video, tuple(row["video"])) not in seen:
            seen.add((sample.video, tuple(row["video"])))
            written.update(_write_frames(sample, row["video"], out))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return WrittenRelease(path, len(rows), len(written), without)


def _free(out: Path, kind: str) -> Path:
    """The JSON file to write, in a folder that is new, empty, or of an earlier export of another kind."""
    path, marker = out / f"medvidbench_{kind}.json", out / MARKER
    try:
        there = [entry.name for entry in out.iterdir()] if out.exists() else []
    except NotADirectoryError:
        raise InputError(f"{out} is a file, not a folder") from None
    if there and MARKER not in there:
        raise InputError(f"{out} is not empty and holds no export of this form: choose another folder")
    of_the_kind = ("test",) if kind == "test" else ("train", "validation", "trainval")
    clash = next((name for name in there if name in {f"medvidbench_{other}.json" for other in of_the_kind}), None)
    if clash:
        raise InputError(f"{out / clash} is there already: remove it, or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()
    return path


def official_row(sample: Sample, *, answered: bool) -> dict[str, Any]:
    """A sample as a row of the release; without answers where not `answered`."""
    extra = json.loads(sample.extra)
    if "frames" in extra and "row" in extra:
        row = row_of(sample)
        if answered or sample.answer is None:
            return row
        if "conversations" in json.loads(sample.answer_extra or "{}"):
            raise InputError(f"{sample.split}[{sample.index}]: its turns cannot be told from its answer")
        return {**_question_side(sample, row), "struc_info": []}
    clock_hz, ids = frame_ids(sample)
    source = source_named(sample.source)
    folder = f"{'valdata' if answered else 'testdata'}/{source.folder}/frames_{clock_hz}fps/{sample.video_id}"
    paths = [f"{folder}/{tick:06d}.jpg" for tick in ids]
    turns = [{"from": "human", "value": VIDEO_TOKEN + sample.question}]
    if answered:
        turns.append({"from": "gpt", "value": sample.answer or ""})
    region: dict[str, Any] = {}
    if sample.region is not None:
        nearest = min(range(len(ids)), key=lambda k: abs(sample.frame_times_s[k] - sample.region.time_s))  # type: ignore[union-attr]
        region = {"start_frame": paths[nearest], "start_frame_bbox": list(sample.region.box)}
    return {
        "id": sample.id,
        "qa_type": _QA_NAMES[sample.task, sample.variant],
        "data_source": sample.source,
        "dataset_name": sample.source,
        "conversations": turns,
        "video": paths,
        "sampled_video_frames": ids,
        "metadata": {
            "video_id": sample.video_id,
            "fps": str(sample.fps),
            "input_video_start_frame": str(ids[0]),
            "input_video_end_frame": str(ids[0] + round(clock_hz * sample.duration_s)),
        },
        "struc_info": struc_info(sample.truth) if answered and sample.truth is not None else [],
        "is_RC": sample.region is not None,
        "RC_info": region,
    }


def frame_ids(sample: PublicSample) -> tuple[int, list[int]]:
    """(clock in Hz, source-frame ids) that tell the sample's times exactly. InputError where no clock does."""
    for clock_hz in _CLOCKS_HZ:
        ticks = [clock_hz * t for t in sample.frame_times_s]
        # A clock slower than the frames would make its usual step times fps another rate than its own.
        if clock_hz >= sample.fps and all(abs(tick - round(tick)) < 1e-4 for tick in ticks):
            first = round(clock_hz * sample.clip_start_s)
            return clock_hz, [first + round(tick) for tick in ticks]
    raise InputError(f"{sample.split}[{sample.index}] field frame_times_s: no clock of frame ids tells these times")


def _question_side(sample: Sample, row: dict[str, Any]) -> dict[str, Any]:
    """The row without what its file's answers came with."""
    kept = json.loads(sample.extra).get("fields", {})
    human = [turn for turn in row["conversations"] if turn["from"] == "human"]
    frames = {field: row[field] for field in ("video", "sampled_video_frames") if field in row}
    return {**kept, **frames, "conversations": human}


def _write_frames(sample: Sample, paths: Sequence[str], out: Path) -> Sequence[str]:
    """Write the frames of a clip under these paths, at canvas size; those that were not there."""
    from PIL import Image

    from medvidbench_hf.video import frames

    places = [out / path.removeprefix("/root/data/").lstrip("/") for path in paths]
    for path, place in zip(paths, places, strict=True):
        if ".." in place.parts or not place.resolve().is_relative_to(out.resolve()):
            where = f"{sample.split}[{sample.index}] field video: {path[-100:]!r}"
            raise InputError(f"{where} points outside the root; --no-frames writes the JSON alone")
    if all(place.is_file() for place in places):
        return ()
    assert sample.video is not None
    pixels = frames(sample.video)
    if len(pixels) != len(places):
        raise InputError(f"{sample.video}: {len(pixels)} frames, but its row lists {len(places)}")
    for array, place in zip(pixels, places, strict=True):
        image = Image.fromarray(array)
        if image.size != sample.canvas and max(sample.canvas) < 10_000:
            image = image.resize(sample.canvas, Image.Resampling.BICUBIC)
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
        try:
            image.save(partial, "PNG" if place.suffix.lower() == ".png" else "JPEG", quality=_JPEG_QUALITY)
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
    return paths
